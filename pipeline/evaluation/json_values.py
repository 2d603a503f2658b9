"""Figures as JSON types: a number that is not estimable becomes null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class HasJson(Protocol):
    def to_json(self) -> dict[str, Any]: ...


def to_json(value: Any) -> Any:
    """Convert nested mappings, sequences and objects with a ``to_json``; NaN and infinity become null."""
    if isinstance(value, HasJson):
        return to_json(value.to_json())
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
