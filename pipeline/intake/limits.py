"""Which grids of voxels are taken for an MR series: refused from the header, before any voxel is decoded."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

from pipeline.errors import ConfigError

PREFIX = "FIBROREVIEW_"


@dataclass(frozen=True)
class GridLimits:
    """Limits on a grid of voxels and on its pictures.

    Each is set by the environment variable ``FIBROREVIEW_`` and its name in capitals.

    The defaults are far beyond any abdominal MR series and every real file that was tried (0.5 to 7.7 mm, spacings up
    to 13 and extents up to 205 times each other), and bound what reading, drawing and resampling a volume costs.
    """

    max_voxels: float = 1 << 26
    """Voxels in total: 512 x 512 x 256."""
    max_side: float = 2048
    """Rows or columns of a slice, pixels."""
    max_slices: float = 1024
    """Slices: voxels along the acquired stack."""
    min_spacing_mm: float = 0.1
    max_spacing_mm: float = 50.0
    """Distance between neighbouring voxels, mm."""
    max_spacing_ratio: float = 60.0
    """Coarsest over finest spacing."""
    min_extent_mm: float = 1.5
    max_extent_mm: float = 2500.0
    """Length of a side of the volume, mm."""
    max_extent_ratio: float = 400.0
    """Longest over shortest side of the volume."""
    max_drawn_pixels: float = 1 << 22
    """Pixels of a picture that the server draws: what a screen of 2560 x 1600 shows."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> GridLimits:
        """The defaults, replaced by what the environment sets.

        Raises:
            ConfigError: a value is no positive number; names the variable.
        """
        given: dict[str, float] = {}
        for limit in fields(cls):
            given[limit.name] = number_from(environment, limit.name.upper(), getattr(cls, limit.name))
        return cls(**given)


@lru_cache(maxsize=1)
def grid_limits() -> GridLimits:
    """The limits of this process, read from its environment once.

    Raises:
        ConfigError: as ``GridLimits.from_environment``.
    """
    return GridLimits.from_environment(os.environ)


def grid_fault(
    size: Sequence[int], spacing_mm: Sequence[float], slices_along: int = 2, limits: GridLimits | None = None
) -> str | None:
    """Why no MR series of the liver has this grid, as a clause ("it is too large ..."); None where one may.

    Args:
        size, spacing_mm: of the three axes, in one order.
        slices_along: the axis along which slices were stacked; the others hold rows and columns.
    """
    limits = limits or grid_limits()
    if not all(math.isfinite(mm) and mm > 0 for mm in spacing_mm):
        return "it does not say how large its voxels are"
    extent = [n * mm for n, mm in zip(size, spacing_mm, strict=True)]
    sides = [n for axis, n in enumerate(size) if axis != slices_along]
    if (
        math.prod(map(float, size)) > limits.max_voxels
        or max(sides) > limits.max_side
        or size[slices_along] > limits.max_slices
    ):
        return f"it is too large for an MR series of the liver, with {' x '.join(map(str, size))} voxels"
    if (
        min(spacing_mm) < limits.min_spacing_mm
        or max(spacing_mm) > limits.max_spacing_mm
        or max(spacing_mm) > limits.max_spacing_ratio * min(spacing_mm)
    ):
        return f"voxels of {' x '.join(f'{mm:.3g}' for mm in spacing_mm)} mm are not those of an MR series of the liver"
    if (
        min(extent) < limits.min_extent_mm
        or max(extent) > limits.max_extent_mm
        or max(extent) > limits.max_extent_ratio * min(extent)
    ):
        return f"a volume of {' x '.join(f'{mm:.0f}' for mm in extent)} mm is no MR series of the liver"
    return None


def number_from(environment: Mapping[str, str], variable: str, default: float) -> float:
    """The environment variable ``FIBROREVIEW_VARIABLE``, or the default.

    Raises:
        ConfigError: it is no positive number; names the variable.
    """
    name = PREFIX + variable
    text = environment.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{name} must be a number above zero.")
    return value
