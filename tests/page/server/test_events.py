"""Events are checked before Gradio sees them."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from starlette.types import Message

from pipeline.page.server import own_session
from pipeline.page.server.events import FILE_KIND
from pipeline.page.server.own_session import LARGEST_EVENT
from pipeline.page.state.open_cases import OpenCases
from tests.page.server.client import client_for, visit


def test_bodies_reach_the_page_whole_and_large_ones_do_not(cases: OpenCases) -> None:
    client = client_for(cases)
    visit(client)
    body = json.dumps({"data": ["", ""], "fn_index": 3, "session_hash": "s"}).encode()
    filled = body.replace(b'""', b'"' + b"x" * (LARGEST_EVENT - len(body)) + b'"', 1)
    assert client.post("/gradio_api/queue/join", content=filled).text.endswith(f" {LARGEST_EVENT}")
    assert client.post("/gradio_api/queue/join", content=filled + b" ").status_code == 413


GOOD = {"data": [1, 2], "fn_index": 3, "session_hash": "s", "trigger_id": 7, "event_data": None}
ODD: list[Any] = [
    *([], "x", None, {}, GOOD | {"data": [1]}, GOOD | {"data": {"0": 1, "1": 2}}, GOOD | {"fn_index": 4}),
    *(GOOD | {"fn_index": number} for number in (-1, True, "3", 3.5, 2**40, None)),
    *(GOOD | {"session_hash": session} for session in (None, 1, "", "a b", "../x", "x" * 65, ["s"])),
    *(GOOD | {"trigger_id": "x"}, GOOD | {"data": [1, float("nan")]}, GOOD | {"data": [1, "\ud83d"]}),
]


@pytest.mark.parametrize("event", ODD, ids=[str(number) for number in range(len(ODD))])
def test_an_event_that_no_page_sends_is_refused(cases: OpenCases, event: Any) -> None:
    client = client_for(cases)
    visit(client)
    assert client.post("/gradio_api/queue/join", json=GOOD).status_code == 200
    content = json.dumps(event)
    assert client.post("/gradio_api/queue/join", content=content).status_code == 422


@pytest.mark.parametrize("depth", [25, 100_000])
def test_an_event_that_is_nested_deeply_is_refused(cases: OpenCases, depth: int) -> None:
    client = client_for(cases)
    visit(client)
    content = json.dumps(GOOD).replace("[1, 2]", "[1, " + "[" * depth + "]" * depth + "]")
    assert client.post("/gradio_api/queue/join", content=content).status_code == 422


def test_only_the_viewers_function_is_called_by_name(cases: OpenCases) -> None:
    client = client_for(cases)
    visit(client)
    call = {"data": {}, "component_id": 4, "fn_name": "draw", "session_hash": "s"}
    assert client.post("/gradio_api/component_server", json=call).status_code == 200
    for name in ("__init__", "postprocess", "", None):
        assert client.post("/gradio_api/component_server", json=call | {"fn_name": name}).status_code == 422


@pytest.mark.parametrize(
    "data",
    [
        [None, [{"path": "/data/Doe_Jane.nii.gz", "meta": {"_type": "gradio.FileData"}}], True],
        [None, {"path": "/data/Doe_Jane.nii.gz"}, True],
        [None, [{"url": "http://127.0.0.1/x"}], True],
        [None, ["/data/Doe_Jane.nii.gz"], True],
        [
            None,
            [{"path": "/tmp/uploads/hash/a.nii", "meta": FILE_KIND}, {"path": "/etc/passwd", "meta": FILE_KIND}],
            True,
        ],
        [None, [{"path": "/tmp/uploads/hash/a.nii"}], True],
        [{"a": 1}, None, True],
        [None, None, "Doe"],
    ],
    ids=["path", "one", "address", "text", "among others", "no kind", "state", "checkbox"],
)
def test_a_value_that_no_component_has_is_refused(cases: OpenCases, data: list[Any]) -> None:
    client = client_for(cases)
    visit(client)
    client.post("/gradio_api/upload", files={"files": b"x"})
    event = {"fn_index": 5, "session_hash": "s"}
    own = [None, [{"path": "/tmp/uploads/hash/a.nii", "orig_name": "a.nii", "meta": FILE_KIND}], True]
    assert client.post("/gradio_api/queue/join", json={**event, "data": own}).status_code == 200
    refused = client.post("/gradio_api/queue/join", json={**event, "data": data})
    assert (refused.status_code, "Doe" in refused.text) == (422, False)


def test_a_body_that_drips_is_given_up(cases: OpenCases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_session, "EVENT_SECONDS", 0.05)

    async def drip() -> Message:
        await anyio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    with pytest.raises(own_session._Refused) as refused:
        anyio.run(own_session._body, drip)
    assert refused.value.response.status_code == 408
