"""Whatever JSON or bytes an event is, the check answers: nothing, or one sentence that quotes nothing of it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from pipeline.page.server.events import JOIN, MODELS, event_fault
from tests.page.server.client import EVENTS, INPUTS

ANY = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=30),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
PARTS = {"session_hash": some.just("s") | ANY, "fn_index": some.sampled_from([*INPUTS, 4]) | ANY}
EVENT = some.fixed_dictionaries({**PARTS, "data": some.lists(ANY, max_size=4) | ANY}, optional={"trigger_id": ANY})


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


SENTENCES = {
    None,
    "This request is nested too deeply.",
    "This is no request of the page.",
    "The page has no such event.",
    "No page sends such a value.",
}


def fault(path: str, body: bytes) -> str | None:
    return event_fault(path, body, EVENTS, lambda file: file.name == "mine")


@settings(max_examples=300)
@given(
    some.sampled_from([*MODELS, "/other"]), some.binary(max_size=200) | ANY.map(lambda one: json.dumps(one).encode())
)
def test_any_body_gets_an_answer(path: str, body: bytes) -> None:
    assert fault(path, body) in SENTENCES


@settings(max_examples=500)
@given(EVENT)
def test_what_is_passed_on_has_the_pages_values(event: dict[str, Any]) -> None:
    if fault(JOIN, json.dumps(event).encode()) is not None:
        return
    components = INPUTS[event["fn_index"]]
    assert len(components) == len(event["data"])
    for component, value in zip(components, event["data"], strict=True):
        assert component != "state" or value is None
        assert component != "checkbox" or value in (None, True, False)
        if component == "file" and value is not None:
            assert all(file["path"].endswith("mine") for file in (value if isinstance(value, list) else [value]))
