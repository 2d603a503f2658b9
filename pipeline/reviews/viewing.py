"""What the browser counted while a reader looked at a case. It comes from the browser, so it may be anything."""

from __future__ import annotations

import logging
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError, from_json

OVERLAYS = ("mask", "heat")
MOST_SLICES = 4096
MOST_SECONDS = 7 * 24 * 3600.0
MOST_PAUSES = 10_000
MOST_TEXT = 1_000_000
"""Characters of the statistics that are read at all."""
CLOCK_S = 5.0
"""By how much the browser may count more than the server: rounding, and the way there and back, s."""
log = logging.getLogger(__name__)


def _of_the_case(value: int | float, info: ValidationInfo) -> int | float:
    """Not more than the case allows, which the context says by the field's name."""
    most = (info.context or {}).get(info.field_name)
    if most is not None and value > most:
        raise PydanticCustomError("not_of_the_case", "more than the case allows")
    return value


def _existing(numbers: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
    """Numbers in their order, each once, all of them slices of the case."""
    for number in numbers:
        _of_the_case(number, info)
    return tuple(sorted(set(numbers)))


def _in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in OVERLAYS if name in names)


Seconds = Annotated[float, Field(ge=0, le=MOST_SECONDS, allow_inf_nan=False), AfterValidator(_of_the_case)]
Pauses = Annotated[int, Field(ge=0, le=MOST_PAUSES)]
Overlays = Annotated[tuple[Literal["mask", "heat"], ...], Field(max_length=20), AfterValidator(_in_order)]
Slices = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MOST_SLICES)], ...], Field(max_length=MOST_SLICES), AfterValidator(_existing)
]


class ViewingLog(BaseModel):
    """Statistics of one look at a case. Empty and None: not counted, or not believed."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    active_seconds: Seconds | None = None
    """Time with the page in view, s; at most the time since the case was opened."""
    pauses: Pauses | None = None
    """How often the page went out of view."""
    overlays_opened: Overlays = ()
    slices_viewed: Slices = ()
    """Axial slices that were on the screen, counted from 1 at the feet."""


def viewing_log(text: str | None, *, slices: int | None = None, open_for_s: float | None = None) -> ViewingLog:
    """Parse the browser's statistics. Never raises: a reader's answers are not lost by them.

    A field that cannot be true is left empty, and its class is logged.

    Args:
        slices: axial slices of the case, if known.
        open_for_s: time since the case was opened, s, if known.
    """
    limits = {"slices_viewed": slices, "active_seconds": None if open_for_s is None else open_for_s + CLOCK_S}
    try:
        if len(text or "") > MOST_TEXT:
            raise ValueError("too long")
        counted = from_json(text or "{}")
    except ValueError as error:  # no JSON, or nested too deeply
        log.info("viewing statistics: %s", type(error).__name__)
        return ViewingLog()
    if not isinstance(counted, dict):
        log.info("viewing statistics: no object")
        return ViewingLog()
    return _believed(counted, limits)


def _believed(counted: dict[str, object], limits: dict[str, float | None]) -> ViewingLog:
    """The fields that are valid."""
    # JSON has no tuples; a strict field takes no list.
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in counted.items()}
    try:
        return ViewingLog.model_validate(given, context=limits)
    except ValidationError as error:
        odd = {str(fault["loc"][0]): fault["type"] for fault in error.errors(include_url=False, include_input=False)}
    for name, kind in odd.items():
        log.info("viewing statistics: %s at %s", kind, name)
    return ViewingLog.model_validate({n: v for n, v in given.items() if n not in odd}, context=limits)
