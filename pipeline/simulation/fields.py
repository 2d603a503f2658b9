"""Smooth random fields, distances and boxes on a voxel grid."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

Array = np.ndarray
Box = tuple[slice, slice, slice]
"""Part of a grid, (z, y, x)."""


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...], step_mm_zyx: Array, length_mm: float) -> Array:
    """Smooth random field (z, y, x) float32 with about zero mean, unit deviation and this correlation length."""
    coarse = [max(4, int(np.ceil(n * s / length_mm)) + 3) for n, s in zip(shape, step_mm_zyx, strict=True)]
    field = rng.standard_normal(coarse).astype(np.float32)
    for axis, (n, step) in enumerate(zip(shape, step_mm_zyx, strict=True)):
        field = _stretch(field, axis, 1.0 + np.arange(n) * step / length_mm)
    return field * np.float32(3.0)  # the spline averages neighbours, which takes about two thirds of the deviation


def _stretch(field: Array, axis: int, at: Array) -> Array:
    """Cubic B-spline interpolation along one axis, as a small matrix product."""
    base = np.floor(at).astype(int)
    t = (at - base)[:, None]
    weights = np.concatenate(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    ) / np.float32(6)
    matrix = np.zeros((len(at), field.shape[axis]), np.float32)
    for k in range(4):
        np.add.at(matrix, (np.arange(len(at)), np.clip(base - 1 + k, 0, field.shape[axis] - 1)), weights[:, k])
    return np.moveaxis(np.tensordot(matrix, field, axes=(1, axis)), 0, axis)


def padded_box(mask: Array, spacing_mm_zyx: Array, margin_mm: float) -> Box:
    """Bounding box of a mask (z, y, x), which must not be empty, with a margin, clipped to the grid."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    pads = np.ceil(margin_mm / np.asarray(spacing_mm_zyx)).astype(int)
    z, y, x = (slice(max(s.start - p, 0), min(s.stop + p, n)) for s, p, n in zip(box, pads, mask.shape, strict=True))
    return (z, y, x)


def signed_distance(mask: Array, spacing_mm_zyx: Array) -> Array:
    """Distance (z, y, x) in mm from a mask's surface, positive inside and negative outside."""
    inside = ndimage.distance_transform_edt(mask, spacing_mm_zyx)
    return inside - ndimage.distance_transform_edt(~mask, spacing_mm_zyx)
