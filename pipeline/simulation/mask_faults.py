"""Faults that segmenters make in liver masks.

Modelled on errors seen on other scanners and in cirrhosis: a missing lobe, a leak into heart, stomach, kidney or chest
wall, an edge that is too tight or too wide, missing or shifted slices. Arrays are (z, y, x); spacings (z, y, x)
in mm.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipeline.case import LIVER
from pipeline.simulation.fields import Array, smooth_field
from pipeline.thresholds import EXCELLENT_DICE_FROM

ENDS = np.array(
    [
        (0.0, -0.3, 1.0),  # left lateral segment
        (0.5, 0.0, 1.0),
        (1.0, 0.0, 0.0),  # dome
        (-1.0, 0.0, 0.0),  # tip
        (-0.6, 0.6, -0.6),
        (0.0, 0.8, -0.6),  # posterior right lobe
        (0.6, 0.7, 0.0),
        (0.0, -1.0, 0.0),
    ]
)
"""Directions (z, y, x) of the parts of a liver that segmenters miss."""


def degrade(labels: Array, image: Array, spacing_mm_zyx: Array, rng: np.random.Generator) -> tuple[Array, str]:
    """Put faults into the liver mask until its Dice is no longer excellent.

    Args:
        labels: (z, y, x) uint8; other organs stay, except where the degraded liver covers them.
        image: (z, y, x) float on the same grid; a leak follows tissue and stops at air and dark fat.

    Returns:
        Labels (z, y, x) uint8 and the names of the faults joined by +; unchanged and "" without a liver.
    """
    liver = labels == LIVER
    if not liver.any():
        return labels, ""
    spoilt = liver
    names: list[str] = []
    for name in rng.permutation(list(FAULTS)):
        changed = FAULTS[name](spoilt, image, spacing_mm_zyx, rng)
        # A mask with next to no liver is refused before a classifier receives it.
        if changed.sum() > 0.2 * liver.sum():
            spoilt, names = changed, [*names, str(name)]
        if 2 * (spoilt & liver).sum() < EXCELLENT_DICE_FROM * (spoilt.sum() + liver.sum()):
            break
    result = np.where(liver & ~spoilt, 0, labels)
    return np.where(spoilt, LIVER, result).astype(np.uint8), "+".join(names)


def missing_lobe(liver: Array, image: Array, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """Cut the left lobe, the dome, the tip or the posterior right lobe off along a wavy plane."""
    towards = np.array([(0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.8, -0.6)])[rng.integers(4)]
    return _cut(liver, towards + rng.normal(0, 0.25, 3), (0.08, 0.45), spacing_mm_zyx, rng)


def missing_part(liver: Array, image: Array, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """Cut a ball of 18 to 50 mm radius out of the liver's edge, or up to 8, 20 or 40 % of it off along a wavy plane."""
    if rng.uniform() < 0.3:
        return liver & ~_ball(liver, (18, 50), spacing_mm_zyx, rng)
    towards = ENDS[rng.integers(len(ENDS))] if rng.uniform() < 0.7 else rng.normal(0, 1, 3)
    towards = towards / np.linalg.norm(towards) + rng.normal(0, 0.2, 3)
    return _cut(liver, towards, (0.02, float(rng.choice([0.08, 0.2, 0.4]))), spacing_mm_zyx, rng)


def _cut(
    liver: Array, towards: Array, shares: tuple[float, float], spacing_mm_zyx: Array, rng: np.random.Generator
) -> Array:
    """The liver without the outermost share of it in a direction (z, y, x), along a wavy plane."""
    z, y, x = (np.arange(n) * s * t for n, s, t in zip(liver.shape, spacing_mm_zyx, towards, strict=True))
    along = z[:, None, None] + y[:, None] + x + 6 * smooth_field(rng, liver.shape, spacing_mm_zyx, 35)
    return liver & (along < np.quantile(along[liver], 1 - rng.uniform(*shares)))


def leak(liver: Array, image: Array, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """Add a blob of neighbouring tissue of 15 to 45 mm radius."""
    blob = _ball(liver, (15, 45), spacing_mm_zyx, rng)
    return liver | (blob & (image > 0.35 * np.median(image[liver])))


def included_organ(liver: Array, organ: Array, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """Add what lies of another organ (z, y, x) bool within 20 to 120 mm of one of its surface's voxels."""
    return liver | (organ & _ball(organ, (20, 120), spacing_mm_zyx, rng))


def _ball(mask: Array, radii_mm: tuple[float, float], spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """An uneven ball (z, y, x) around a voxel of the mask's surface."""
    surface = np.argwhere(mask & ~ndimage.binary_erosion(mask))
    centre = surface[rng.integers(len(surface))] * spacing_mm_zyx
    z, y, x = (np.arange(n) * s - c for n, s, c in zip(mask.shape, spacing_mm_zyx, centre, strict=True))
    away = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    return away + 6 * smooth_field(rng, mask.shape, spacing_mm_zyx, 20) < rng.uniform(*radii_mm)


def under_segmented(liver: Array, image: Array, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """Erode the surface by about 3 to 9 mm, unevenly."""
    depth = ndimage.distance_transform_edt(liver, spacing_mm_zyx)
    loss = rng.uniform(3, 9) * (1 + 0.6 * smooth_field(rng, liver.shape, spacing_mm_zyx, 40))
    return liver & (depth > np.minimum(loss, 0.6 * depth.max()))


def over_segmented(liver: Array, image: Array, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """Dilate the surface by about 3 to 9 mm, unevenly."""
    away = ndimage.distance_transform_edt(~liver, spacing_mm_zyx)
    return liver | (away <= rng.uniform(3, 9) * (1 + 0.6 * smooth_field(rng, liver.shape, spacing_mm_zyx, 40)))


def wrong_slices(liver: Array, image: Array, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """Clear a run of slices, or replace it by the mask of another level."""
    levels = np.flatnonzero(liver.any((1, 2)))
    count = max(1, round(rng.uniform(0.1, 0.4) * len(levels)))
    first = int(rng.integers(0, len(levels) - count + 1))
    run = levels[first : first + count]
    spoilt = liver.copy()
    if rng.uniform() < 0.5:
        spoilt[run] = False
    else:
        step = int(rng.choice([-4, -3, 3, 4]))
        spoilt[run] = liver[np.clip(run + step, levels[0], levels[-1])]
    return spoilt


FAULTS = {
    "missing_lobe": missing_lobe,
    "leak": leak,
    "under_segmented": under_segmented,
    "over_segmented": over_segmented,
    "wrong_slices": wrong_slices,
}
