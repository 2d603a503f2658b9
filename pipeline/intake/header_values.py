"""Values of DICOM elements as plain Python types; an error names the element for the log."""

from __future__ import annotations

import math
from typing import Any

from pydicom.dataset import Dataset

from pipeline.intake.faults import reading


def text_of(dataset: Dataset, keyword: str) -> str:
    """An element as one text, several values joined by spaces; empty where it is absent."""
    with reading(keyword):
        return " ".join(texts(dataset.get(keyword))).strip()


def value_of(dataset: Dataset, keyword: str) -> Any:
    """An element's value, decoded by pydicom on first access; None where it is absent."""
    with reading(keyword):
        return dataset.get(keyword)


def integer_of(dataset: Dataset, keyword: str, *, absent: int | None = None) -> int:
    """An element as a whole number; ``absent`` where it is missing or empty, without which that is an error."""
    with reading(keyword):
        value = dataset.get(keyword)
        return int(value if absent is None else value or absent)


def texts(value: object) -> list[str]:
    """One or several values as texts; none of what is neither text nor a list."""
    if value is None:
        return []
    return [str(value)] if isinstance(value, str) else [str(v) for v in value] if hasattr(value, "__iter__") else []


def number(value: Any) -> float | None:
    """A finite number, or None."""
    try:
        converted = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return converted if math.isfinite(converted) else None


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """``count`` finite numbers, or None."""
    if value is None or isinstance(value, str) or not hasattr(value, "__len__") or len(value) != count:
        return None
    converted = [number(v) for v in value]
    return None if None in converted else tuple(n for n in converted if n is not None)


def unit_axes(orientation: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """The direction cosines, (6,), of row and column; None unless they are unit vectors at a right angle."""
    if orientation is None:
        return None
    row, column = orientation[:3], orientation[3:]
    crooked = max(
        abs(math.hypot(*row) - 1),
        abs(math.hypot(*column) - 1),
        abs(sum(r * c for r, c in zip(row, column, strict=True))),
    )
    return orientation if crooked < 1e-2 else None
