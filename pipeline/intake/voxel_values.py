"""What decoded voxels must be, whatever the file's format: finite numbers of a size that can be computed with."""

from __future__ import annotations

import numpy as np

from pipeline.case import CaseWarning
from pipeline.errors import InputError

EMPTY_LIMIT = 0.5
"""Share of voxels without a value from which on the volume is refused."""
LARGEST = 1e12
"""Largest magnitude of a voxel; above it sums and squares in float32 overflow. Scanners give at most 65535."""
SMALLEST = 1e-12
"""Smallest magnitude of the brightest voxel of a volume that is not all zero."""


def finite(voxels: np.ndarray) -> tuple[np.ndarray, tuple[CaseWarning, ...]]:
    """Float voxels of any shape as float32, those without a value (NaN, infinite) replaced by the lowest, with a
    warning.

    Raises:
        InputError: most voxels have no value, or values are out of any range.
    """
    bad = ~np.isfinite(voxels)
    share = float(bad.mean())
    if share > EMPTY_LIMIT:
        raise InputError("Most voxels have no value; convert or export the series again.")
    kept = voxels[~bad] if share else voxels
    low, high = float(kept.min()), float(kept.max())
    brightest = max(abs(low), abs(high))
    if brightest > LARGEST or 0 < brightest < SMALLEST:
        raise InputError("The voxels' values are no intensities of an MR image; convert or export the series again.")
    if not share:
        return voxels.astype(np.float32, copy=False), ()
    text = f"{max(share, 1e-4):.2%} of the voxels have no value (NaN or infinite) and count as background."
    filled = np.where(bad, np.float32(low), voxels).astype(np.float32)
    return filled, (CaseWarning("non_finite", text),)
