"""Events that a browser may send, checked before Gradio, which answers odd ones with errors of the server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

DEEPEST = 20
"""Levels of lists and objects in an event."""
JOIN, DRAW, CANCEL, RESET = (f"/gradio_api/{name}" for name in ("queue/join", "component_server", "cancel", "reset"))

Session = Annotated[str, Field(pattern=r"^[0-9a-zA-Z_-]{1,64}$")]
Number = Annotated[int, Field(ge=0, lt=1 << 31)]
Inputs = Callable[[], Mapping[int, int]]
"""Number of inputs by event."""


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    session_hash: Session


class _Event(_Request):
    fn_index: Number
    data: list[Any]
    trigger_id: Number | None = None


class _Call(_Request):
    component_id: Number
    fn_name: Literal["draw"]
    data: dict[str, Any] | list[Any] | str


class _Cancel(_Request):
    fn_index: Number
    event_id: Annotated[str, Field(max_length=64)]


class _Reset(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    event_id: Annotated[str, Field(max_length=64)]


MODELS: dict[str, type[BaseModel]] = {JOIN: _Event, DRAW: _Call, CANCEL: _Cancel, RESET: _Reset}


def event_fault(path: str, body: bytes, inputs: Inputs) -> str | None:
    """Why no page sends this body to this address, as a sentence; None where one may."""
    model = MODELS.get(path.rstrip("/"))
    if model is None:
        return None
    try:
        event = json.loads(body)
        json.dumps(event, ensure_ascii=False, allow_nan=False).encode()  # no NaN, no half of a surrogate pair
        if _depth(event) > DEEPEST:
            return "This request is nested too deeply."
        checked = model.model_validate(event)
    except (ValidationError, ValueError, RecursionError):
        return "This is no request of the page."
    if isinstance(checked, _Event) and inputs().get(checked.fn_index) != len(checked.data):
        return "The page has no such event."
    return None


def _depth(value: object) -> int:
    deepest, level = 0, [value]
    while level and deepest <= DEEPEST:
        deepest += 1
        level = [
            item
            for one in level
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
        ]
    return deepest
