"""One request: who asks, with what, and how handlers are called, each with its role checked first."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from pipeline.errors import PipelineError
from pipeline.reader_study.accounts import Role
from pipeline.reading_room.errors import Refused
from pipeline.reading_room.rendering import render
from pipeline.reading_room.room import Room
from pipeline.reading_room.sessions import Session, cookie_name, session_of

LARGEST_BODY = 1 << 20
"""Of a request, bytes: a corrected mask has at most 700,000 characters."""
NO_PAGE = "There is no such page."
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Visit:
    """A request of somebody; ``session`` is None before the log-in."""

    room: Room
    request: Request
    session: Session | None
    body: bytes = b""

    @property
    def who(self) -> Session:
        """Who is logged in; handlers with a role always have somebody."""
        assert self.session is not None
        return self.session

    @property
    def form(self) -> dict[str, str]:
        """Fields of a form that was sent."""
        try:
            fields = parse_qs(self.body.decode(), keep_blank_values=True, max_num_fields=20)
        except (UnicodeDecodeError, ValueError) as error:
            raise Refused(400, "The form cannot be read; reload the page.") from error
        return {name: values[0] for name, values in fields.items()}

    @property
    def json(self) -> Any:
        """JSON that was sent."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Refused(400, "The answers cannot be read; reload the page.") from error

    @property
    def number(self) -> int:
        """The number of a read in the address; 0 if it is none."""
        text = str(self.request.path_params.get("number") or self.request.query_params.get("number") or "")
        return int(text) if text.isdecimal() and len(text) < 7 else 0

    def page(self, template: str, status: int = 200, **values: object) -> Response:
        """HTML of a template with what every page shows."""
        shared = {"study": self.room.protocol.study, "session": self.session}
        return HTMLResponse(render(template, **shared, **values), status)


Handler = Callable[[Visit], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


def endpoint(room: Room, handler: Handler, role: Role | None = None) -> Endpoint:
    """Call ``handler`` in a thread for those who have the role; others log in first, or find no such page.

    A request that changes something must say from which page it comes; the middleware has then compared that.
    """

    async def answer(request: Request) -> Response:
        session = session_of(room, request.cookies.get(cookie_name(room), ""))
        visit = Visit(room, request, session)
        try:
            if request.method == "POST":
                if "origin" not in request.headers:
                    raise Refused(403, "This server does not answer pages of other sites.")
                visit = Visit(room, request, session, await _body(request))
            if role is not None and session is None:
                return _log_in(request)
            if role is not None and visit.who.role is not role:
                raise Refused(404, NO_PAGE)
            return await run_in_threadpool(handler, visit)
        except PipelineError as error:
            return _refusal(visit, error)

    return answer


def _log_in(request: Request) -> Response:
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("login", 303)
    return JSONResponse({"error": "Log in again: your answers are kept in this browser."}, 401)


def _refusal(visit: Visit, error: PipelineError) -> Response:
    status = error.status if isinstance(error, Refused) else 409
    if status >= 500 or not isinstance(error, Refused):
        log.warning("A request was refused: %s", type(error).__name__)
    if "text/html" in visit.request.headers.get("accept", ""):
        return visit.page("message", status, text=str(error))
    return JSONResponse({"error": str(error)}, status)


async def _body(request: Request) -> bytes:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > LARGEST_BODY:
            raise Refused(413, "This request is larger than any that the page sends.")
    return content
