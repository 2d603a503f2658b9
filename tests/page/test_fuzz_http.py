"""Odd requests to every event and route of a running page: none is an error of the server, and visits go on."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.page_client import PageClient
from tests.intake.helpers import write_nifti
from tests.page.served import Served, served
from tests.phantoms import make_volume_image
from tests.servers import ROOT

COUNTS = [pytest.param(300, id="short"), pytest.param(10_000, id="long", marks=pytest.mark.slow)]
DEEP: Any = []
for _ in range(500):
    DEEP = [DEEP]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**300, 0.5, -0.0, 1e308, "", "R1", "-H1", "=1+1", "x" * 5000),
    *(
        "\0",
        "\ud83d",
        "../../etc/passwd",
        "/etc/passwd",
        "yes",
        "s01",
        "agree",
        [],
        {},
        [None],
        [[1, 2]],
        {"a": []},
        DEEP,
    ),
    {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
    {"path": "/tmp", "orig_name": "Doe_Jane.nii", "meta": {"_type": "gradio.FileData"}},
    {"url": "http://127.0.0.1:1/x", "meta": {"_type": "gradio.FileData"}},
    {"__type__": "update", "visible": True, "value": 3},
    '{"slices_viewed": [1, 2], "active_seconds": 1e999, "pauses": -1}',
    "[" * 3000,
]
PATHS = [
    *("/", "/config", "/theme.css", "/manifest.json", "/healthz", "/privacy", "/robots.txt", "/favicon.ico"),
    *("/assets/../../../etc/passwd", "/static/..%2f..%2fetc/passwd", "/viewer/viewer.js", "/viewer/x", "/svelte/x"),
    *("/gradio_api/info", "/gradio_api/app_id", "/gradio_api/startup-events", "/gradio_api/upload_progress"),
    *(
        "/gradio_api/upload_progress?upload_id=x",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=",
        "/gradio_api/file=%00",
    ),
    *("/gradio_api/file=http://127.0.0.1/", "/gradio_api/deep_link?session_hash=x", "/gradio_api/stream/a/b/c/d.ts"),
    *(
        "/gradio_api/call/x/y",
        "/monitoring",
        "/login_check",
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "//",
        "/x" * 2000,
    ),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as page:
        yield page


def odd(draw: random.Random) -> Any:
    return draw.choice(VALUES)


def ask(client: PageClient, draw: random.Random) -> httpx.Response:
    """One odd request of a visitor."""
    events = len(client.config["dependencies"])
    kind = draw.choice(["event", "event", "event", "component", "get", "upload", "body"])
    if kind == "event":
        event = draw.choice(client.config["dependencies"])
        data = [odd(draw) for _ in range(draw.choice([len(event["inputs"])] * 5 + [0, 1, 40]))]
        body = {
            "data": data,
            "fn_index": draw.choice([event["id"]] * 8 + [-1, events + 5, None, "x"]),
            "trigger_id": draw.choice([event["targets"][0][0] if event["targets"] else None, odd(draw)]),
            "session_hash": draw.choice([client.session] * 8 + [odd(draw)]),
            "event_data": odd(draw),
        }
        return post(client, "/gradio_api/queue/join", body)
    if kind == "component":
        names = ["draw", "draw", "__init__", "postprocess", "x", odd(draw)]
        body = {"data": odd(draw), "fn_name": draw.choice(names), "session_hash": client.session}
        body["component_id"] = draw.choice([part["id"] for part in client.config["components"]] + [None, -1, "x"])
        return post(client, "/gradio_api/component_server", body)
    if kind == "upload":
        name = draw.choice(["Doe_Jane.nii", "../../x", "", "a" * 500, "x\0y"])
        files = {draw.choice(["files", "x"]): (name, draw.randbytes(draw.choice([0, 1, 5000])))}
        return client.http.post("/gradio_api/upload", files=files, params={"upload_id": draw.choice(["", "x"])})
    if kind == "body":
        content = draw.choice([b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 50_000, draw.randbytes(2000)])
        path = draw.choice(["queue/join", "component_server", "cancel", "reset", "upload"])
        headers = {"content-type": draw.choice(["application/json", "multipart/form-data", "text/plain"])}
        return client.http.post(f"/gradio_api/{path}", content=content, headers=headers)
    return client.http.get(httpx.URL(client.http.base_url, raw_path=draw.choice(PATHS).encode()))


def post(client: PageClient, path: str, body: Any) -> httpx.Response:
    return client.http.post(path, content=json.dumps(body), headers={"content-type": "application/json"})


@pytest.mark.parametrize("count", COUNTS)
def test_no_odd_request_is_an_error_of_the_server(page: Served, count: int, tmp_path: Path) -> None:
    client = PageClient(page.address)
    client.http.timeout = 20.0
    statuses: dict[int, int] = {}
    for number in range(count):
        draw = random.Random(number)
        if number % 100 == 99:
            client.http.close()
            client = PageClient(page.address)
        # Heartbeats and event streams stay open by design; nothing here asks for one.
        answer = ask(client, draw)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, f"request {number}: {answer.request.method} {answer.request.url}"
        assert str(ROOT) not in answer.text, f"request {number}"
    assert statuses[200] > count / 20
    assert sum(n for status, n in statuses.items() if status >= 400) > count / 20
    log = page.log.read_text(errors="replace")
    assert "Traceback" not in log
    assert "Doe" not in log
    ours = [line for line in log.splitlines() if re.search(r"(?:pipeline|handlers|state|view|intake)/\w+\.py:", line)]
    assert not ours
    visit(page, tmp_path)


def visit(page: Served, folder: Path) -> None:
    """A normal visit: an upload whose name tells the patient's, damaged ones, an analysis."""
    client = PageClient(page.address)
    file = write_nifti(make_volume_image((40, 40, 12)), folder / "a.nii.gz")
    whole = file.read_bytes()
    for content in (whole, whole[:200], b"Doe^Jane", gzip.compress(b"\0" * 400)):
        client.upload("Doe_Jane_19610405.nii.gz", content)
    assert "Ready to analyse" in client.press(label="NIfTI example")
    assert "Done." in client.press(elem_id="fr-analyse")
    assert not re.search("Doe|1961", page.log.read_text(errors="replace"))
