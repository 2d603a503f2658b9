"""Every address of the web framework is either one that the page calls, or closed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr
from gradio.routes import App

from pipeline.page.server.routes import OPEN_ROUTES

CALLED = {
    *("/", "/config", "/config/", "/theme.css", "/favicon.ico", "/robots.txt", "/manifest.json"),
    *("/assets/{}", "/static/{}", "/svelte/{}"),
    *("/gradio_api/startup-events", "/gradio_api/app_id", "/gradio_api/app_id/", "/gradio_api/theme.css"),
    *("/gradio_api/info", "/gradio_api/info/", "/gradio_api/upload", "/gradio_api/upload_progress"),
    *("/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/cancel", "/gradio_api/reset"),
    *("/gradio_api/reset/", "/gradio_api/component_server", "/gradio_api/component_server/"),
    *("/gradio_api/heartbeat/{}", "/gradio_api/file={}"),
}
"""Reviewed one by one: what each answers is limited to the visitor by ``own_session``, or the same for all."""


def addresses(routes: Sequence[Any]) -> Iterator[str]:
    """Templates of all addresses, parameters as ``{}``."""
    for route in routes:
        if inner := getattr(route, "original_router", None) or getattr(route, "app", None):
            yield from addresses(getattr(inner, "routes", ()))
        if path := getattr(route, "path", ""):
            yield re.sub(r"{[^}]*}", "{}", path)


def test_the_addresses_that_are_open_are_those_that_were_reviewed() -> None:
    with gr.Blocks() as page:
        gr.HTML()
    known = set(addresses(App.create_app(page).routes))
    assert len(known) > 70
    opened = {path for path in known if OPEN_ROUTES.fullmatch(path.replace("{}", "x"))}
    assert opened == CALLED
