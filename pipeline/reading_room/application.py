"""The reading room as an ASGI application: every address that it answers, and who may ask."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline import __version__
from pipeline.page.server.niivue import ASSETS
from pipeline.page.server.origin import OwnOrigin
from pipeline.page.server.routes import SecurityHeaders, viewer_scripts
from pipeline.page.server.settings import PageSettings
from pipeline.reader_study.accounts import Role
from pipeline.reading_room.account_pages import AccountPages
from pipeline.reading_room.coordinator_pages import close, coordinator_page, export
from pipeline.reading_room.reader_pages import case_file, drawn_slice, feedback_page, read_page, save_read, work_page
from pipeline.reading_room.room import Room
from pipeline.reading_room.visit import NO_PAGE, Handler, Visit, endpoint

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self' blob: 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self' data: blob:; worker-src 'self' blob:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'self'"
)
OWN_HEADERS = [
    (b"content-security-policy", CONTENT_POLICY.encode()),
    # With no-referrer, browsers send forms without their origin, which is what tells ours from those of other sites.
    (b"referrer-policy", b"same-origin"),
]
STYLES = ("style.css", "reading_room.css")
SCRIPTS = ("reading_room.js", "reading_draft.js")


class PrivateHeaders:
    """Nothing of a study stays in a browser's cache, and no script runs but ours: stricter than the page's policy.

    Browsers apply both policies. Scripts and styles, which are the same for everybody, may be kept after a question.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        shared = scope["path"].startswith(("/viewer/", "/room/"))
        kept = b"no-cache" if shared else b"no-store"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [pair for pair in message.get("headers", []) if pair[0] != b"referrer-policy"]
                message["headers"] = [*others, *OWN_HEADERS, (b"cache-control", kept)]
            await send(message)

        await self.app(scope, receive, send_with_headers)


def build_room(room: Room, settings: PageSettings, library: Path | None) -> Starlette:
    """The application. ``library``: NiiVue's module; None where it is missing, and slices are drawn here."""
    people = AccountPages(room, secure=settings.public)
    reader, coordinator = Role.READER, Role.COORDINATOR

    def route(path: str, handler: Handler, role: Role | None = None, method: str = "GET") -> Route:
        return Route(path, endpoint(room, handler, role), methods=[method])

    def home(visit: Visit) -> Response:
        if visit.session is None:
            return RedirectResponse("login", 303)
        return work_page(visit) if visit.session.role is reader else RedirectResponse("coordinator", 303)

    routes: list[BaseRoute] = [
        route("/", home),
        route("/login", people.login_page),
        route("/login", people.log_in, method="POST"),
        route("/invite", people.invite_page),
        route("/invite", people.accept, method="POST"),
        route("/logout", people.log_out, method="POST"),
        route("/read", read_page, reader),
        route("/files/{number}/{name}", case_file, reader),
        route("/slice", drawn_slice, reader, "POST"),
        route("/save", save_read, reader, "POST"),
        route("/feedback", feedback_page, reader),
        route("/coordinator", coordinator_page, coordinator),
        route("/export.csv", export, coordinator),
        route("/close", close, coordinator, "POST"),
        *_static(library),
    ]
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(PrivateHeaders),
            Middleware(SecurityHeaders, frame_ancestors="'self'"),
            Middleware(OwnOrigin, hosts=settings.hosts, any_host=("/healthz",), behind_tls=settings.public),
        ],
        exception_handlers={404: _not_found, 405: _not_found},
    )


def _static(library: Path | None) -> list[BaseRoute]:
    """Scripts and styles, and the health check. Names come from lists, never from the address alone."""
    viewer = viewer_scripts()
    if library is not None:
        viewer["niivue.js"] = library
    own = {name: ASSETS / name for name in (*STYLES, *SCRIPTS)}

    def file(files: dict[str, Path], name: str) -> Response:
        path = files.get(name)
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        return FileResponse(path, media_type=kind) if path else PlainTextResponse(NO_PAGE, status_code=404)

    async def viewer_file(request: Request) -> Response:
        return file(viewer, request.path_params["name"])

    async def own_file(request: Request) -> Response:
        return file(own, request.path_params["name"])

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "version": __version__})

    return [Route("/viewer/{name:path}", viewer_file), Route("/room/{name}", own_file), Route("/healthz", health)]


async def _not_found(_: Request, __: Exception) -> Response:
    return PlainTextResponse(NO_PAGE, status_code=404)
