"""A client of the routes and the middleware, without Gradio."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from pipeline.page.server.routes import OwnPages, app_kwargs
from pipeline.page.server.settings import PageSettings
from pipeline.page.server.visitors import COOKIE, Visitors
from pipeline.page.state.open_cases import OpenCases
from pipeline.page.view.privacy import privacy_html

HOME = "http://localhost"
HEALTH = ["ok"]


async def echo(request: Request) -> Response:
    return PlainTextResponse(f"reached {request.url.path} {len(await request.body())}")


async def uploaded(_: Request) -> Response:
    return JSONResponse(["/tmp/uploads/hash/a.nii"])


def client_for(cases: OpenCases, visitors: Visitors | None = None, **settings: Any) -> TestClient:
    page = PageSettings(**settings)
    site = OwnPages(None, privacy_html(page), lambda: {0: 0, 3: 2}, lambda: {"status": HEALTH[-1]})
    kwargs = app_kwargs(page, cases, visitors or Visitors(), site)
    routes = [*kwargs["routes"], Route("/gradio_api/upload", uploaded, methods=["POST"])]
    routes.append(Route("/{path:path}", echo, methods=["GET", "POST"]))
    return TestClient(Starlette(routes=routes, middleware=kwargs["middleware"]), base_url=HOME)


def visit(client: TestClient) -> str:
    """Open the page as a browser that keeps cookies does."""
    client.cookies.clear()
    answer = client.get("/")
    assert "httponly" in answer.headers["set-cookie"].lower()
    return str(client.cookies[COOKIE])
