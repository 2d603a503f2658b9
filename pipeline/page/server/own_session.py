"""The browser's cookie on every request: sessions, uploads and files are for the visitor who began them."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, unquote

from anyio import fail_after, to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.page.server.events import Inputs, event_fault
from pipeline.page.server.visitors import COOKIE, Visitors

log = logging.getLogger(__name__)

LARGEST_UPLOAD = (1 << 30) + (32 << 20)
"""Size of all files of one upload with their headers, bytes."""
LARGEST_EVENT = 1 << 20
"""Size of an event's data, bytes."""
EVENT_SECONDS = 30.0
"""Time in which an event's data must arrive, s."""
MOST_UNOPENED = 4
"""Uploads of one visitor that no event has opened yet."""
MOST_STREAMS = 100
"""Event streams of one visitor at once; a tab has two, and a third while it uploads."""
API = "/gradio_api"
UPLOAD = f"{API}/upload"
PROGRESS = f"{API}/upload_progress"
FILE = f"{API}/file="
STREAMS = re.compile(rf"^{API}/(?:heartbeat/[^/]+|queue/data|upload_progress)/?$")
IN_PATH = re.compile(rf"^{API}/(?:heartbeat|stream)/(?P<session>[^/]+)")
NOT_YOURS = "This session belongs to another browser: reload the page."
OPEN_FIRST = "Several of your uploads were not opened: wait a few minutes and try again."
TOO_LARGE = "This request is larger than any that the page sends."
TOO_MUCH = "These files have more than 1 GB together; upload the T2 series alone."
TOO_SLOW = "This request arrived too slowly."
TOO_MANY = "Too many tabs are open in this browser: close some."
CLOSING = {"connection": "close"}


class OwnSession:
    """ASGI middleware: sets the cookie, and answers 403 where a session or a file is another visitor's.

    Args:
        session_of_file: session of the case that a served file belongs to; None: no such file.
        no_room: why no upload can be taken now; None: it can.
        inputs: components of each event's inputs.
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
        self.no_room, self.inputs, self.cross_site = no_room, inputs, cross_site
        self._streams: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        visitor = self.visitors.visitor_of(request)
        if fault := self._fault(scope, visitor):
            await PlainTextResponse(fault, status_code=403)(scope, receive, send)
        elif scope["path"].rstrip("/") == UPLOAD:
            await self._upload(scope, receive, send, visitor)
        elif request.method == "POST":
            await self._event(scope, receive, send, visitor)
        elif STREAMS.match(scope["path"]):
            await self._stream(scope, receive, send, visitor)
        elif request.method == "GET" and scope["path"] == "/" and not visitor:
            await self.app(scope, receive, self._giving_cookie(scope, send))
        else:
            await self.app(scope, receive, send)

    def _fault(self, scope: Scope, visitor: str) -> str | None:
        """Why a request's address is not this visitor's to call; None: it is."""
        path: str = scope["path"]
        if path.startswith(FILE):
            session = self.session_of_file(Path(unquote(path.removeprefix(FILE))))
            allowed = session is not None and self.visitors.may_use(session, visitor)
            return None if allowed else "There is no such file."
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        sessions = query.get("session_hash", [])
        if found := IN_PATH.match(path):
            sessions = [*sessions, found["session"]]
        # An upload's number belongs to a visitor as a session does: its progress tells the file's name.
        sessions = [*sessions, *(f"upload {number}" for number in query.get("upload_id", []))]
        return None if all(self.visitors.may_use(session, visitor) for session in sessions) else NOT_YOURS

    async def _event(self, scope: Scope, receive: Receive, send: Send, visitor: str) -> None:
        """Pass an event on once its data are checked."""
        try:
            with fail_after(EVENT_SECONDS):
                body = await _body(receive)
        except TimeoutError:
            await PlainTextResponse(TOO_SLOW, status_code=408, headers=CLOSING)(scope, receive, send)
            return
        if body is None:
            await PlainTextResponse(TOO_LARGE, status_code=413, headers=CLOSING)(scope, receive, send)
            return
        if fault := event_fault(scope["path"], body, self.inputs, lambda file: self.visitors.owns(file, visitor)):
            await PlainTextResponse(fault, status_code=422)(scope, receive, send)
            return
        if not all(self.visitors.may_use(session, visitor) for session in _sessions_in(body)):
            await PlainTextResponse(NOT_YOURS, status_code=403)(scope, receive, send)
            return
        await self.app(scope, _again(body, receive), send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send, visitor: str) -> None:
        """Pass a stream on while its visitor has not too many of them."""
        if self._streams[visitor] >= MOST_STREAMS:
            await PlainTextResponse(TOO_MANY, status_code=429, headers=CLOSING)(scope, receive, send)
            return
        self._streams[visitor] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._streams[visitor] -= 1
            self._streams += Counter()  # drops zeros

    async def _upload(self, scope: Scope, receive: Receive, send: Send, visitor: str) -> None:
        """Pass an upload on while there is room; what Gradio's parser cannot take is the request's fault."""
        if fault := await to_thread.run_sync(self.no_room):
            await PlainTextResponse(fault, status_code=507, headers=CLOSING)(scope, receive, send)
            return
        if await to_thread.run_sync(self.visitors.unopened, visitor) >= MOST_UNOPENED:
            await PlainTextResponse(OPEN_FIRST, status_code=429, headers=CLOSING)(scope, receive, send)
            return
        started, parts = False, list[bytes]()
        counted = _Counted(receive)

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            if message["type"] == "http.response.body":
                parts.append(message.get("body", b""))
                if not message.get("more_body", False) and (files := _uploaded(b"".join(parts))):
                    self.visitors.uploaded(files, visitor)
            await send(message)

        try:
            await self.app(scope, counted.receive, noting)
        except Exception as error:
            log.warning("An upload could not be parsed (%s).", type(error).__name__)
            if started:
                raise
            fault, status = (TOO_MUCH, 413) if counted.too_much else ("This is no upload of the page.", 400)
            await PlainTextResponse(fault, status_code=status, headers=CLOSING)(scope, receive, send)

    def _giving_cookie(self, scope: Scope, send: Send) -> Send:
        """``send`` that gives a page without a cookie one."""
        secure = "; Secure" if self.cross_site or scope["scheme"] == "https" else ""
        same_site = "None; Partitioned" if self.cross_site else "Lax"
        cookie = f"{COOKIE}={self.visitors.new_cookie()}; Path=/; HttpOnly; SameSite={same_site}{secure}"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"set-cookie", cookie.encode())]
            await send(message)

        return sending


class _Counted:
    """``receive`` that ends an upload which is larger than ``LARGEST_UPLOAD``."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._left = receive, LARGEST_UPLOAD

    @property
    def too_much(self) -> bool:
        return self._left < 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self.too_much:
            raise ValueError("upload too large")
        return message


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where it is larger than ``LARGEST_EVENT``."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > LARGEST_EVENT:
            return None
    return bytes(body)


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
