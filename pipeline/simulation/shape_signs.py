"""Signs of fibrosis that change the shape of the organs: lobes, notch, spleen and nodular surface."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipeline.case import LIVER, SPLEEN
from pipeline.simulation.fibrosis_signs import FibrosisSigns
from pipeline.simulation.fields import Array, padded_box, signed_distance, smooth_field

FIXED_MM = 28.0
"""Depth below the skin from which lobes and spleen change freely; the skin itself stays."""


def displacement(
    signs: FibrosisSigns, labels: Array, skin_mm: Array, spacing_mm_zyx: Array, rng: np.random.Generator
) -> list[Array]:
    """Displacement field of the shape signs: from each voxel to the place it takes its value from.

    The right lobe shrinks, the left lobe, the caudate and the spleen grow, each about its own centre and less towards
    the skin; the right lobe is notched behind; the liver's surface is raised and lowered along its normal in bumps of
    nodule size.

    Args:
        labels: (z, y, x) organ labels before the change.
        skin_mm: (z, y, x) depth below the skin, mm.

    Returns:
        Components along z, y and x, each (z, y, x) float32 in mm.
    """
    shift = [np.zeros(labels.shape, np.float32) for _ in range(3)]
    liver = labels == LIVER
    if not liver.any():
        return shift
    places = np.argwhere(liver) * spacing_mm_zyx
    if signs.lobar:
        _change_lobes(shift, places, spacing_mm_zyx, signs.lobar)
    if signs.caudate:
        stretch = (-0.45 * signs.caudate,) * 3
        _scale_about(shift, _caudate_centre(places), spacing_mm_zyx, reach_mm=42, stretch=stretch)
    spleen = labels == SPLEEN
    if signs.spleen != 1 and spleen.any():
        centre = np.argwhere(spleen).mean(0) * spacing_mm_zyx
        size = (np.count_nonzero(spleen) * np.prod(spacing_mm_zyx) * 3 / (4 * np.pi)) ** (1 / 3)
        stretch = (signs.spleen ** (-1 / 3) - 1,) * 3
        _scale_about(shift, centre, spacing_mm_zyx, reach_mm=3 * size, stretch=stretch)
    free = np.clip(skin_mm / np.float32(FIXED_MM), 0, 1)
    for component in shift[1:]:
        component *= free
    if signs.notch_mm:
        _notch(shift, places, spacing_mm_zyx, signs.notch_mm)
    if signs.surface_mm:
        _roughen(shift, liver, signs, spacing_mm_zyx, rng)
    return shift


def _change_lobes(shift: list[Array], places: Array, spacing_mm_zyx: Array, strength: float) -> None:
    """Shrink the right lobe and grow the left one.

    Args:
        places: (n, 3) positions of the liver's voxels, mm.
    """
    x = places[:, 2]
    right = places[x <= np.quantile(x, 0.4)].mean(0)
    left = places[x >= np.quantile(x, 0.88)].mean(0)
    smaller, larger = (np.array(share) * strength for share in ((0.35, 0.3, 0.5), (-0.4, -0.45, -0.45)))
    _scale_about(shift, right, spacing_mm_zyx, reach_mm=70, stretch=tuple(smaller))
    _scale_about(shift, left, spacing_mm_zyx, reach_mm=58, stretch=tuple(larger))


def _caudate_centre(places: Array) -> Array:
    """Approximate centre (z, y, x) of the caudate lobe, mm: behind, between the lobes, just above the liver's middle.

    Args:
        places: (n, 3) positions of the liver's voxels, mm.
    """
    z, _, x = places.T
    between = (
        (x > np.quantile(x, 0.55)) & (x < np.quantile(x, 0.8)) & (z > np.quantile(z, 0.45)) & (z < np.quantile(z, 0.75))
    )
    part = places[between] if between.any() else places
    return part[part[:, 1] >= np.quantile(part[:, 1], 0.85)].mean(0)


def _notch(shift: list[Array], places: Array, spacing_mm_zyx: Array, depth_mm: float) -> None:
    """Pull the medial part of the right lobe's posterior surface forwards, at the level of the right kidney."""
    z, _, x = places.T
    level = (z < np.quantile(z, 0.55)) & (x < np.quantile(x, 0.5)) & (x > np.quantile(x, 0.2))
    part = places[level] if level.any() else places
    centre = part[part[:, 1] >= np.quantile(part[:, 1], 0.9)].mean(0)
    offsets = [
        (np.arange(n, dtype=np.float32) * np.float32(s) - np.float32(c)) / np.float32(reach)
        for n, s, c, reach in zip(shift[0].shape, spacing_mm_zyx, centre, (28, 16, 12), strict=True)
    ]
    near = np.exp(-(offsets[0][:, None, None] ** 2 + offsets[1][:, None] ** 2 + offsets[2] ** 2))
    shift[1] += np.float32(depth_mm) * near


def _scale_about(
    shift: list[Array], centre: Array, spacing_mm_zyx: Array, *, reach_mm: float, stretch: tuple[float, ...]
) -> None:
    """Scale about a point, fading out as a Gaussian; a positive stretch samples further out and so shrinks.

    Args:
        stretch: along z, y and x; within -0.9 and 2 nothing folds.
    """
    offsets = [
        (np.arange(n, dtype=np.float32) * np.float32(s) - np.float32(c)).reshape(
            [-1 if a == k else 1 for a in range(3)]
        )
        for k, (n, s, c) in enumerate(zip(shift[0].shape, spacing_mm_zyx, centre, strict=True))
    ]
    near = np.exp(-(offsets[0] ** 2 + offsets[1] ** 2 + offsets[2] ** 2) / np.float32(reach_mm**2))
    for axis in range(3):
        shift[axis] += np.float32(stretch[axis]) * near * offsets[axis]


def _roughen(
    shift: list[Array], liver: Array, signs: FibrosisSigns, spacing_mm_zyx: Array, rng: np.random.Generator
) -> None:
    """Raise and lower the liver's surface along its normal in bumps of nodule size."""
    box = padded_box(liver, spacing_mm_zyx, 14)
    inside = liver[box]
    level = signed_distance(inside, spacing_mm_zyx)
    level = ndimage.gaussian_filter(level.astype(np.float32), (0.4, 1.2, 1.2))
    bumps = smooth_field(rng, level.shape, spacing_mm_zyx, max(4.5, 0.8 * signs.nodule_mm))
    height = bumps * np.exp(-((level / 7) ** 2)) * np.float32(signs.surface_mm)
    slope = np.gradient(level, *spacing_mm_zyx)
    length = np.sqrt(sum(s * s for s in slope)) + 1e-3
    for axis in (1, 2):
        shift[axis][box] += (height * slope[axis] / length).astype(np.float32)
