"""Routes beside Gradio's: the viewer's scripts and a health check; security headers on every response."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.page.server.niivue import ASSETS

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


def app_kwargs(*, library: Path | None, public: bool) -> dict[str, Any]:
    """Routes and middleware for ``launch(app_kwargs=...)``. ``library`` is NiiVue's module, None if missing."""

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def viewer(_: Request) -> Response:
        return FileResponse(ASSETS / "viewer.js", media_type="text/javascript", headers={"cache-control": "no-cache"})

    async def niivue(_: Request) -> Response:
        if library is None:
            return PlainTextResponse("The viewer library is not installed.", status_code=404)
        return FileResponse(library, media_type="text/javascript")

    ancestors = "'self' https://huggingface.co" if public else "'self'"
    return {
        "routes": [
            Route("/healthz", health),
            Route("/viewer/viewer.js", viewer),
            Route("/viewer/niivue.js", niivue),
        ],
        "middleware": [Middleware(SecurityHeaders, frame_ancestors=ancestors)],
    }
