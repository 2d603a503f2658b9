"""Paths under ``../shared/data``, which only some checkouts have beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_paths(pattern: str, *, want: Callable[[Path], bool] = Path.is_file) -> list[Any]:
    """Parameters for a test, one a path; a single skipped one where the data are absent."""
    paths = [path for path in sorted(SHARED.glob(pattern)) if want(path)] if SHARED.is_dir() else []
    if not paths:
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"no ../shared/data/{pattern} beside this checkout"))]
    return [pytest.param(path, id=str(path.relative_to(SHARED))) for path in paths]


def shared_path(name: str) -> Path:
    """One path, or a skip with a reason."""
    if not (SHARED / name).exists():
        pytest.skip(f"no ../shared/data/{name} beside this checkout")
    return SHARED / name
