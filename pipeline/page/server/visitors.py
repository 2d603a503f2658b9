"""Who may use which session: each browser gets a cookie, and what it begins belongs to it.

Gradio knows a session by a hash that the browser chooses and that stands in addresses. Here a session belongs to the
cookie that first used it; so do uploads, and the files of its cases.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.page.server.events import Inputs, event_fault

log = logging.getLogger(__name__)

COOKIE = "fibroreview"
MOST = 50_000
"""Sessions and uploads that are remembered; the oldest are forgotten."""
LARGEST_EVENT = 1 << 20
"""Size of an event's data, bytes."""
MOST_UNOPENED = 4
"""Uploads of one visitor that no event has opened yet."""
UPLOAD = "/gradio_api/upload"
FILE = "/gradio_api/file="
IN_PATH = re.compile(r"^/gradio_api/(?:heartbeat|stream)/(?P<session>[^/]+)")
NOT_YOURS = "This session belongs to another browser: reload the page."
OPEN_FIRST = "Several of your uploads were not opened: wait a few minutes and try again."
TOO_LARGE = "This request is larger than any that the page sends."


class HasCookies(Protocol):
    """Starlette's request, or Gradio's."""

    @property
    def cookies(self) -> Mapping[str, str]: ...


def visitor_of(request: HasCookies) -> str:
    """The visitor's cookie; empty where the browser keeps none."""
    return _valid(request.cookies.get(COOKIE, ""))


class Visitors:
    """Owners of sessions and uploads, by cookie. One object for all visitors; it keeps no address and no name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session_owner: OrderedDict[str, str] = OrderedDict()
        self._upload_owners: OrderedDict[str, set[str]] = OrderedDict()

    def may_use(self, session: str, visitor: str) -> bool:
        """Whether a session is this visitor's; one that nobody has used becomes it."""
        with self._lock:
            owner = self._session_owner.setdefault(session, visitor)
            _trim(self._session_owner)
        return owner == visitor

    def owner(self, session: str) -> str | None:
        with self._lock:
            return self._session_owner.get(session)

    def uploaded(self, path: Path, visitor: str) -> None:
        """Note that a visitor has uploaded this file; another one may have uploaded the same content."""
        with self._lock:
            self._upload_owners.setdefault(str(path), set()).add(visitor)
            _trim(self._upload_owners)

    def unopened(self, visitor: str) -> int:
        """Number of files that a visitor has uploaded and not opened, and that are still there."""
        with self._lock:
            mine = [path for path, owners in self._upload_owners.items() if visitor in owners]
        return sum(Path(path).exists() for path in mine)

    def claim(self, path: Path, visitor: str) -> bool | None:
        """Take a visitor's own upload, once.

        Returns:
            Whether it was nobody else's too; None where it is not this visitor's.
        """
        with self._lock:
            owners = self._upload_owners.get(str(path), set())
            if visitor not in owners:
                return None
            owners.remove(visitor)
            if not owners:
                self._upload_owners.pop(str(path), None)
            return not owners


class OwnSession:
    """ASGI middleware: sets the cookie, and answers 403 where a session or a file is another visitor's.

    Args:
        session_of_file: session of the case that a served file belongs to; None: no such file.
        no_room: why no upload can be taken now; None: it can.
        inputs: number of inputs by event.
        cross_site: whether the page is shown in a frame of another site, over TLS (a Space).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        visitors: Visitors,
        session_of_file: Callable[[Path], str | None],
        no_room: Callable[[], str | None],
        inputs: Inputs,
        cross_site: bool,
    ) -> None:
        self.app, self.visitors, self.session_of_file = app, visitors, session_of_file
        self.no_room, self.inputs = no_room, inputs
        self.attributes = "; Path=/; HttpOnly; " + (
            "SameSite=None; Secure; Partitioned" if cross_site else "SameSite=Lax"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        visitor = visitor_of(request)
        if fault := self._fault(scope, visitor):
            await PlainTextResponse(fault, status_code=403)(scope, receive, send)
            return
        is_upload = scope["path"].rstrip("/") == UPLOAD
        if is_upload:
            await self._upload(scope, receive, self._sender(scope, visitor, send))
            return
        if request.method == "POST":
            body = await _body(receive)
            if body is None:
                closing = PlainTextResponse(TOO_LARGE, status_code=413, headers={"connection": "close"})
                await closing(scope, receive, send)
                return
            if fault := event_fault(scope["path"], body, self.inputs):
                await PlainTextResponse(fault, status_code=422)(scope, receive, send)
                return
            if not all(self.visitors.may_use(session, visitor) for session in _sessions_in(body)):
                await PlainTextResponse(NOT_YOURS, status_code=403)(scope, receive, send)
                return
            receive = _again(body, receive)
        await self.app(scope, receive, self._sender(scope, visitor, send))

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an upload on while there is room; what Gradio's parser cannot take is the request's fault."""
        closing = {"connection": "close"}
        if fault := await to_thread.run_sync(self.no_room):
            await PlainTextResponse(fault, status_code=507, headers=closing)(scope, receive, send)
            return
        visitor = visitor_of(Request(scope))
        if visitor and await to_thread.run_sync(self.visitors.unopened, visitor) >= MOST_UNOPENED:
            await PlainTextResponse(OPEN_FIRST, status_code=429, headers=closing)(scope, receive, send)
            return
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except Exception as error:
            log.warning("An upload could not be parsed (%s).", type(error).__name__)
            if started:
                raise
            await PlainTextResponse("This is no upload of the page.", status_code=400, headers=closing)(
                scope, receive, send
            )

    def _fault(self, scope: Scope, visitor: str) -> str | None:
        """Why a request's address is not this visitor's to call; None: it is."""
        path: str = scope["path"]
        if path.startswith(FILE):
            session = self.session_of_file(Path(unquote(path.removeprefix(FILE))))
            allowed = session is not None and self.visitors.may_use(session, visitor)
            return None if allowed else "There is no such file."
        sessions = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("session_hash", [])
        if found := IN_PATH.match(path):
            sessions = [*sessions, found["session"]]
        return None if all(self.visitors.may_use(session, visitor) for session in sessions) else NOT_YOURS

    def _sender(self, scope: Scope, visitor: str, send: Send) -> Send:
        """``send`` that gives a page without a cookie one, and notes whose the files of an upload are."""
        new = not visitor and scope["method"] == "GET" and scope["path"] == "/"
        is_upload = scope["path"].rstrip("/") == UPLOAD
        parts = list[bytes]()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and new:
                cookie = f"{COOKIE}={secrets.token_hex(16)}{self.attributes}"
                message["headers"] = [*message.get("headers", []), (b"set-cookie", cookie.encode())]
            if message["type"] == "http.response.body" and is_upload:
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    for path in _uploaded(b"".join(parts)):
                        self.visitors.uploaded(path, visitor)
            await send(message)

        return sending


def _valid(cookie: str) -> str:
    return cookie if re.fullmatch(r"[0-9a-f]{32}", cookie) else ""


def _trim(entries: OrderedDict[str, Any]) -> None:
    while len(entries) > MOST:
        entries.popitem(last=False)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where it is larger than ``LARGEST_EVENT``."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return body
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > LARGEST_EVENT:
            return None
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """``receive`` that gives a body that was read already."""
    given = False

    async def receiving() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


def _sessions_in(body: bytes) -> list[str]:
    """The sessions that an event names: where Gradio reads them, at the top of its JSON."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return []  # Gradio answers that it is no JSON
    session = event.get("session_hash") if isinstance(event, dict) else None
    return [] if session is None else [str(session)]


def _uploaded(answer: bytes) -> list[Path]:
    try:
        paths = json.loads(answer)
    except ValueError:
        return []  # an upload that was refused
    return [Path(path) for path in paths if isinstance(path, str)] if isinstance(paths, list) else []
