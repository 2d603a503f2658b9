"""What the viewer shows of a mask in each plane: outlines, hatches, and slices. Arrays are (z, y, x)."""

from __future__ import annotations

import math

import numpy as np

PLANE_BITS = {"axial": 1, "coronal": 2, "sagittal": 4}
"""Bits of a volume that is drawn differently in each plane."""
PLANE_AXES = {"axial": 0, "coronal": 1, "sagittal": 2}
"""Array axis (z, y, x) that each plane steps through."""
HATCH_MM, HATCH_VOXELS, HATCH_SHARE = 10.0, 3, 0.3
"""Distance of the hatch's lines along a row: mm, and at least so many of the larger voxel side; and the share drawn."""


def outline_bits(mask: np.ndarray) -> np.ndarray:
    """(z, y, x) uint8: the bits of ``PLANE_BITS`` where a voxel of ``mask`` touches the outside within that plane.

    Voxels that touch it at a corner count, so that oblique outlines stay connected when they are drawn smooth.
    """
    bits = np.zeros(mask.shape, np.uint8)
    for plane, axis in PLANE_AXES.items():
        across, down = (other for other in PLANE_AXES.values() if other != axis)
        bits[mask & ~_eroded(_eroded(mask, across), down)] |= PLANE_BITS[plane]
    return bits


def hatch_bits(mask: np.ndarray, spacing_mm_zyx: tuple[float, float, float]) -> np.ndarray:
    """(z, y, x) uint8: the bits of ``PLANE_BITS`` where an oblique line, at 45 degrees in mm, crosses ``mask``."""
    bits = np.zeros(mask.shape, np.uint8)
    places = np.nonzero(mask)
    for plane, axis in PLANE_AXES.items():
        sides = [other for other in PLANE_AXES.values() if other != axis]
        finer, larger = sorted(spacing_mm_zyx[side] for side in sides)
        # In steps of the finer side, so that all lines are equally wide.
        apart = math.ceil(max(HATCH_MM, HATCH_VOXELS * larger) / finer)
        along = np.rint(sum(places[side] * (spacing_mm_zyx[side] / finer) for side in sides)).astype(int)
        drawn = along % apart < max(2, round(HATCH_SHARE * apart))
        bits[tuple(place[drawn] for place in places)] |= PLANE_BITS[plane]
    return bits


def largest_area_xyz(mask: np.ndarray) -> list[int]:
    """Voxel (x, y, z) whose sagittal, coronal and axial slices hold most of a bool mask; the centre of an empty one."""
    if not mask.any():
        return [n // 2 for n in mask.shape[::-1]]
    return [int(mask.sum(axis=other).argmax()) for other in ((0, 1), (0, 2), (1, 2))]


def slice_runs(mask: np.ndarray, plane: str) -> list[list[int]]:
    """First and last index of each run of slices of ``plane`` that hold a voxel of the mask."""
    held = mask.any(axis=tuple(axis for axis in PLANE_AXES.values() if axis != PLANE_AXES[plane]))
    edges = np.flatnonzero(np.diff(held, prepend=False, append=False))
    return [[int(first), int(after) - 1] for first, after in edges.reshape(-1, 2)]


def _eroded(mask: np.ndarray, axis: int) -> np.ndarray:
    """``mask`` where both neighbours along ``axis`` are in it; beyond the volume nothing is."""
    lines = np.moveaxis(mask, axis, 0)
    eroded = np.zeros_like(lines)
    eroded[1:-1] = lines[:-2] & lines[1:-1] & lines[2:]
    return np.moveaxis(eroded, 0, axis)
