"""Events that a browser may send, checked before Gradio, which answers odd ones with errors of the server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

FILE_KIND = {"_type": "gradio.FileData"}
"""What Gradio's page says of each file."""
DEEPEST = 20
"""Levels of lists and objects in an event."""
JOIN, DRAW, CANCEL, RESET = (f"/gradio_api/{name}" for name in ("queue/join", "component_server", "cancel", "reset"))

Session = Annotated[str, Field(pattern=r"^[0-9a-zA-Z_-]{1,64}$")]
Number = Annotated[int, Field(ge=0, lt=1 << 31)]
Owns = Callable[[Path], bool]
"""Whether the sender has uploaded this file."""


@dataclass(frozen=True)
class Events:
    """What the page's browser may send."""

    inputs: Mapping[int, Sequence[str]]
    """Gradio's names of the components that an event's values are of, by event: ``file``, ``radio`` and so on."""
    viewer: int
    """Number of the component that draws slices."""


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


def event_fault(path: str, body: bytes, events: Events, owns: Owns) -> str | None:
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
    if isinstance(checked, _Call) and checked.component_id != events.viewer:
        return "The page has no such event."
    if not isinstance(checked, _Event):
        return None
    components = events.inputs.get(checked.fn_index)
    if components is None or len(components) != len(checked.data):
        return "The page has no such event."
    fits = (_fits(name, value, owns) for name, value in zip(components, checked.data, strict=True))
    return None if all(fits) else "No page sends such a value."


def _fits(component: str, value: object, owns: Owns) -> bool:
    """Whether a component of the page can have this value. Gradio quotes odd ones in tracebacks."""
    match component:
        case "file":
            files = value if isinstance(value, list) else [] if value is None else [value]
            return all(_is_upload(file, owns) for file in files)
        case "checkbox":
            return value is None or isinstance(value, bool)
        case "textbox" | "radio" | "dropdown":
            return value is None or isinstance(value, str | int | float)
        case "state":
            return value is None
    return True


def _is_upload(file: object, owns: Owns) -> bool:
    path = file.get("path") if isinstance(file, dict) and file.get("meta") == FILE_KIND else None
    return isinstance(path, str) and "\0" not in path and owns(Path(path))


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
