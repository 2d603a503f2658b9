"""The browser's cookie on every request: sessions, uploads and files are for the visitor who began them."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from anyio import fail_after, to_thread
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.page.server.events import DRAW, Events, event_fault
from pipeline.page.server.upload_guard import ODD, UploadFault, UploadGuard, boundary_of, temporary_files
from pipeline.page.server.visitors import Use, Visitors

log = logging.getLogger(__name__)

LARGEST_EVENT = 6 << 20
"""Size of an event's data, bytes: it names each file of a folder, and a corrected mask has up to 700,000 characters."""
EVENT_SECONDS = 30.0
"""Time in which an event's data must arrive, s."""
MOST_UNOPENED = 4
"""Uploads of one visitor that arrive or that no event has opened yet."""
MOST_STREAMS, MOST_STREAMS_IN_TOTAL = 100, 2000
"""Event streams at once, of one visitor and of all; a tab has two, and a third while it uploads."""
API = "/gradio_api"
UPLOAD, PROGRESS, MESSAGES, FILE = (f"{API}/{name}" for name in ("upload", "upload_progress", "queue/data", "file="))
HEARTBEAT = re.compile(rf"^{API}/heartbeat/(?P<session>[^/]+)/?$")
NUMBER = re.compile(r"[0-9A-Za-z_-]{1,64}")
"""Sessions and uploads."""
NOT_YOURS = "This session belongs to another browser: reload the page."
NO_FILE = "There is no such file."
OPEN_FIRST = "Several of your uploads were not opened: wait a few minutes and try again."
TOO_LARGE = "This request is larger than any that the page sends."
TOO_SLOW = "This request arrived too slowly."
TOO_MANY = "Too many tabs are open in this browser: close some."
FLOOD = "Too many visitors at once: try again in a minute."
CLOSING = {"connection": "close"}


class _Refused(Exception):  # noqa: N818 - it is answered
    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.response = PlainTextResponse(message, status_code=status, headers=headers)


class OwnSession:
    """ASGI middleware: sets the cookie, and answers 403 where a session or a file is another visitor's.

    Args:
        session_of_file: session of the case that a served file belongs to; None: no such file.
        session_of_case: session of the case whose served folder has this name; None: no such case.
        no_room: why no upload can be taken now; None: it can.
        left: called with a visitor who logged in or out: the cases of the one before are to be deleted.
        events: what events the page has.
        cross_site: whether the page is shown in a frame of another site, over TLS (a Space).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        visitors: Visitors,
        session_of_file: Callable[[Path], str | None],
        session_of_case: Callable[[str], str | None],
        no_room: Callable[[], str | None],
        left: Callable[[str], None],
        events: Callable[[], Events],
        cross_site: bool,
    ) -> None:
        self.app, self.visitors, self.events = app, visitors, events
        self.session_of_file, self.session_of_case = session_of_file, session_of_case
        self.no_room, self.left, self.cross_site = no_room, left, cross_site
        self._streams: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visitor = self.visitors.visitor_of(Request(scope))
        try:
            await self._answer(scope, receive, send, visitor)
        except _Refused as refused:
            await refused.response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, visitor: str) -> None:
        path, method = scope["path"].rstrip("/"), scope["method"]
        if scope["path"].startswith(FILE):
            await self._file(scope, receive, send, visitor)
        elif path == UPLOAD:
            await self._upload(scope, receive, send, visitor)
        elif path in ("/login", "/logout"):
            await self._log_in_or_out(scope, receive, send, visitor)
        elif method == "POST":
            await self._event(scope, receive, send, visitor)
        elif path in (PROGRESS, MESSAGES) or HEARTBEAT.match(path):
            await self._stream(scope, receive, send, visitor)
        elif method == "GET" and path == "" and not visitor:
            await self.app(scope, receive, self._giving_cookie(scope, send))
        else:
            await self.app(scope, receive, send)

    def _begin(self, number: str, visitor: str) -> None:
        """Take a session or an upload's number; it becomes this visitor's if it is new.

        Raises:
            _Refused: it is another's, or there were too many new ones.
        """
        match self.visitors.use(number, visitor):
            case Use.FOREIGN:
                raise _Refused(403, NOT_YOURS)
            case Use.FLOOD:
                raise _Refused(429, FLOOD, **{"retry-after": "60"})

    async def _file(self, scope: Scope, receive: Receive, send: Send, visitor: str) -> None:
        session = self.session_of_file(Path(unquote(scope["path"].removeprefix(FILE))))
        if session is None or not self.visitors.owns_session(session, visitor):
            raise _Refused(403, NO_FILE)
        # Gradio answers a range with the headers of the request, the cookie among them.
        headers = [pair for pair in scope["headers"] if pair[0] not in (b"range", b"if-range")]
        await self.app({**scope, "headers": headers}, receive, send)

    async def _event(self, scope: Scope, receive: Receive, send: Send, visitor: str) -> None:
        """Pass an event on once its data are checked."""
        body = await _body(receive)
        fault = event_fault(scope["path"], body, self.events(), lambda file: self.visitors.owns(file, visitor))
        if fault:
            raise _Refused(422, fault)
        event = _object(body)
        if (session := event.get("session_hash")) is not None:
            self._begin(str(session), visitor)
        if scope["path"].rstrip("/") == DRAW:
            self._refuse_foreign_case(event.get("data"), visitor)
        await self.app(scope, _again(body, receive), send)

    def _refuse_foreign_case(self, wish: Any, visitor: str) -> None:
        case = wish.get("case") if isinstance(wish, dict) else None
        session = self.session_of_case(case) if isinstance(case, str) else None
        if session is not None and not self.visitors.owns_session(session, visitor):
            raise _Refused(403, NOT_YOURS)

    async def _stream(self, scope: Scope, receive: Receive, send: Send, visitor: str) -> None:
        """Pass a stream on while there are not too many of them."""
        path, query = scope["path"].rstrip("/"), scope.get("query_string", b"")
        if found := HEARTBEAT.match(path):
            self._begin(_number([found["session"]]), visitor)
        elif path == PROGRESS:  # it tells the names of files
            self._begin(f"upload {_number(_values(query, 'upload_id'))}", visitor)
        elif not self.visitors.owns_session(_number(_values(query, "session_hash")), visitor):
            raise _Refused(403, NOT_YOURS)
        if self._streams[visitor] >= MOST_STREAMS or self._streams.total() >= MOST_STREAMS_IN_TOTAL:
            raise _Refused(429, TOO_MANY, **CLOSING)
        self._streams[visitor] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._streams[visitor] -= 1
            self._streams += Counter()  # drops zeros

    async def _upload(self, scope: Scope, receive: Receive, send: Send, visitor: str) -> None:
        """Pass an upload on while there is room; what Gradio's parser cannot take is the request's fault."""
        numbers = _values(scope.get("query_string", b""), "upload_id")
        number = _number(numbers) if numbers else ""
        if number:
            self._begin(f"upload {number}", visitor)
        if fault := await to_thread.run_sync(self.no_room):
            raise _Refused(507, fault, **CLOSING)
        if await to_thread.run_sync(self.visitors.unopened, visitor, number) >= MOST_UNOPENED:
            raise _Refused(429, OPEN_FIRST, **CLOSING)
        started, parts = False, list[bytes]()

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            if message["type"] == "http.response.body":
                parts.append(message.get("body", b""))
                if not message.get("more_body", False) and (files := _uploaded(b"".join(parts))):
                    self.visitors.uploaded(files, visitor, number)
            await send(message)

        try:
            guard = UploadGuard(receive, Headers(scope=scope).get("content-type", ""))
            with self.visitors.uploading(visitor), temporary_files():
                await self.app(scope, guard.receive, noting)
        except UploadFault as odd:
            raise _Refused(odd.status, odd.message, **CLOSING) from odd
        except Exception as error:
            log.warning("An upload could not be parsed (%s).", type(error).__name__)
            if started:
                raise
            raise _Refused(400, ODD, **CLOSING) from error

    async def _log_in_or_out(self, scope: Scope, receive: Receive, send: Send, visitor: str) -> None:
        """Pass it on; whoever is at the browser afterwards is another visitor."""
        content_type = Headers(scope=scope).get("content-type", "")
        plain = content_type in ("", "application/x-www-form-urlencoded")
        if not plain and boundary_of(content_type) is None:
            raise _Refused(400, ODD, **CLOSING)
        body = await _body(receive)

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                await to_thread.run_sync(self.left, visitor)
            await send(message)

        await self.app(scope, _again(body, receive), self._giving_cookie(scope, noting))

    def _giving_cookie(self, scope: Scope, send: Send) -> Send:
        """``send`` that makes the browser a new visitor, unless the answer is a fault."""
        secure = "; Secure" if self.cross_site or scope["scheme"] == "https" else ""
        same_site = "None; Partitioned" if self.cross_site else "Lax"
        cookie = f"{self.visitors.cookie}={self.visitors.new_cookie()}; Path=/; HttpOnly; SameSite={same_site}{secure}"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                message["headers"] = [*message.get("headers", []), (b"set-cookie", cookie.encode())]
            await send(message)

        return sending


async def _body(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        _Refused: it is larger than ``LARGEST_EVENT``, or arrives too slowly.
    """
    body, more = bytearray(), True
    try:
        with fail_after(EVENT_SECONDS):
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    break
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > LARGEST_EVENT:
                    raise _Refused(413, TOO_LARGE, **CLOSING)
    except TimeoutError as error:
        raise _Refused(408, TOO_SLOW, **CLOSING) from error
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


def _values(query: bytes, name: str) -> list[str]:
    return parse_qs(query.decode("latin-1"), keep_blank_values=True).get(name, [])


def _number(values: list[str]) -> str:
    """The one number of a session or of an upload.

    Raises:
        _Refused: there is none, or several, or none that a page makes.
    """
    if len(values) != 1 or not NUMBER.fullmatch(values[0]):
        raise _Refused(422, "This is no request of the page.")
    return values[0]


def _object(body: bytes) -> dict[str, Any]:
    """An event's JSON; empty for addresses whose bodies are not checked and hold none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}  # Gradio answers that it is no JSON
    return content if isinstance(content, dict) else {}


def _uploaded(answer: bytes) -> list[Path]:
    try:
        paths = json.loads(answer)
    except ValueError:
        return []  # an upload that was refused
    return [Path(path) for path in paths if isinstance(path, str)] if isinstance(paths, list) else []
