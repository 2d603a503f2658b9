"""A client of the routes and the middleware, without Gradio."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from pipeline.page.server.events import Events
from pipeline.page.server.routes import OwnPages, app_kwargs
from pipeline.page.server.settings import PageSettings
from pipeline.page.server.visitors import Visitors
from pipeline.page.state.open_cases import OpenCases
from pipeline.page.view.privacy import privacy_html

HOME = "http://localhost"
HEALTH = ["ok"]
INPUTS: dict[int, tuple[str, ...]] = {
    0: (),
    3: ("html", "html"),
    5: ("state", "file", "checkbox"),
    6: ("radio", "textbox"),
}
EVENTS = Events(INPUTS, viewer=4)


async def echo(request: Request) -> Response:
    told = [f"{name}={value}" for name, value in request.headers.items() if "forwarded" in name]
    return PlainTextResponse(" ".join([f"reached {request.url.path} {len(await request.body())}", *told]))


async def uploaded(_: Request) -> Response:
    return JSONResponse(["/tmp/uploads/hash/a.nii"])


def client_for(cases: OpenCases, visitors: Visitors | None = None, base: str = HOME, **settings: Any) -> TestClient:
    page = PageSettings(**settings)
    site = OwnPages(None, privacy_html(page), lambda: EVENTS, lambda: {"status": HEALTH[-1]})
    kwargs = app_kwargs(page, cases, visitors or Visitors(), site)
    routes = [*kwargs["routes"], Route("/gradio_api/upload", uploaded, methods=["POST"])]
    routes.append(Route("/{path:path}", echo, methods=["GET", "POST"]))
    return TestClient(Starlette(routes=routes, middleware=kwargs["middleware"]), base_url=base)


def visit(client: TestClient) -> str:
    """Open the page as a browser that keeps cookies does."""
    client.cookies.clear()
    answer = client.get("/")
    assert "httponly" in answer.headers["set-cookie"].lower()
    return answer.headers["set-cookie"].split(";")[0].partition("=")[2]
