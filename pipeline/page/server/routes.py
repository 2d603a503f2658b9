"""Routes beside Gradio's: the viewer's scripts and a health check; security headers on every response."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import to_thread
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.page.server.events import Events
from pipeline.page.server.niivue import ASSETS
from pipeline.page.server.origin import OwnOrigin
from pipeline.page.server.own_session import OwnSession
from pipeline.page.server.settings import PageSettings
from pipeline.page.server.visitors import Visitors
from pipeline.page.state.open_cases import OpenCases

CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; frame-ancestors "
)
"""Gradio needs inline scripts and eval; a Space shows the page in a frame of huggingface.co."""


class SecurityHeaders:
    """Add headers to every HTTP response. Pure ASGI: bodies are not buffered, so events still stream."""

    def __init__(self, app: ASGIApp, *, frame_ancestors: str) -> None:
        self.app = app
        self.headers = [
            (b"content-security-policy", (CONTENT_POLICY + frame_ancestors).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
            (b"referrer-policy", b"no-referrer"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # Images of a patient do not stay in the browser's cache: reading rooms share PCs.
        keep_out = [(b"cache-control", b"no-store")] if "/file=" in scope["path"] else []

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self.headers, *keep_out]
            await send(message)

        await self.app(scope, receive, send_with_headers)


OPEN_ROUTES = re.compile(
    r"/(?:|config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|healthz|privacy|assets/.*|static/.*|svelte/.*|viewer/.*"
    r"|gradio_api/(?:startup-events|app_id|theme\.css|info|upload|upload_progress|queue/join|queue/data|cancel|reset"
    r"|component_server|heartbeat/[^/]+|file=.*))/?"
)
"""The addresses that the page calls. Gradio has more: they write sessions to the disk, fetch from other servers, show
other visitors' use, or run events without the queue."""


PAGE_SCRIPTS = ("folder_drop.js", "unsaved.js")
"""Our scripts beside the viewer's."""
LOGIN_ROUTES = re.compile(r"/log(?:in|out)/?")
"""Open where there are logins."""


class OpenRoutes:
    """ASGI middleware: 404 for every address that none of the patterns holds."""

    def __init__(self, app: ASGIApp, *, patterns: Sequence[re.Pattern[str]]) -> None:
        self.app, self.patterns = app, patterns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not any(pattern.fullmatch(scope["path"]) for pattern in self.patterns):
            await PlainTextResponse("There is no such page.", status_code=404)(scope, receive, send)
            return
        await self.app(scope, receive, send)


@dataclass(frozen=True)
class OwnPages:
    """What the routes beside Gradio's show."""

    library: Path | None
    """NiiVue's module; None if missing."""
    privacy: str
    """The page on what is stored, HTML."""
    events: Callable[[], Events]
    """What the page's browser may send."""
    health: Callable[[], Mapping[str, Any]]
    """What ``/healthz`` answers; ``status`` is ok, loading or failed."""


def viewer_scripts() -> dict[str, Path]:
    """The viewer's ES modules by their address below ``/viewer/``: only what lies in the folder at the start."""
    folder = ASSETS / "viewer"
    return {file.relative_to(folder).as_posix(): file for file in folder.rglob("*.js")}


def app_kwargs(settings: PageSettings, cases: OpenCases, visitors: Visitors, site: OwnPages) -> dict[str, Any]:
    """Routes and middleware for ``launch(app_kwargs=...)``."""

    async def health(_: Request) -> Response:
        state = await to_thread.run_sync(site.health)  # it walks through the folders
        return JSONResponse(state, status_code=503 if state["status"] == "failed" else 200)

    async def privacy(_: Request) -> Response:
        return HTMLResponse(site.privacy)

    scripts = viewer_scripts() | {name: ASSETS / name for name in PAGE_SCRIPTS}

    async def viewer(request: Request) -> Response:
        script = scripts.get(request.path_params["name"])
        if script is None:
            return PlainTextResponse("There is no such script.", status_code=404)
        return FileResponse(script, media_type="text/javascript", headers={"cache-control": "no-cache"})

    async def niivue(_: Request) -> Response:
        if site.library is None:
            return PlainTextResponse("The viewer library is not installed.", status_code=404)
        return FileResponse(site.library, media_type="text/javascript")

    return {
        "routes": [
            Route("/healthz", health),
            Route("/privacy", privacy),
            Route("/viewer/niivue.js", niivue),
            Route("/viewer/{name:path}", viewer),
        ],
        "middleware": _middleware(settings, cases, visitors, site),
    }


def _middleware(settings: PageSettings, cases: OpenCases, visitors: Visitors, site: OwnPages) -> list[Middleware]:
    """What each request passes, the outermost first."""
    ancestors = "'self' https://huggingface.co" if settings.public else "'self'"
    return [
        Middleware(SecurityHeaders, frame_ancestors=ancestors),
        Middleware(
            OwnOrigin,
            hosts=settings.hosts,
            any_host=("/healthz", "/") if settings.public else ("/healthz",),
            behind_tls=settings.public,
        ),
        Middleware(OpenRoutes, patterns=(OPEN_ROUTES, LOGIN_ROUTES) if settings.logins else (OPEN_ROUTES,)),
        Middleware(
            OwnSession,
            visitors=visitors,
            session_of_file=cases.session_of_file,
            session_of_case=cases.session_of_case,
            no_room=cases.no_room,
            left=cases.discard_visitor,
            events=site.events,
            cross_site=settings.public,
        ),
    ]
