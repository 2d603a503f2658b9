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
    towards = towards + rng.normal(0, 0.25, 3)
    z, y, x = (np.arange(n) * s * t for n, s, t in zip(liver.shape, spacing_mm_zyx, towards, strict=True))
    along = z[:, None, None] + y[:, None] + x + 6 * smooth_field(rng, liver.shape, spacing_mm_zyx, 35)
    return liver & (along < np.quantile(along[liver], 1 - rng.uniform(0.08, 0.45)))


def leak(liver: Array, image: Array, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """Add a blob of neighbouring tissue of 15 to 45 mm radius."""
    surface = np.argwhere(liver & ~ndimage.binary_erosion(liver))
    centre = surface[rng.integers(len(surface))] * spacing_mm_zyx
    z, y, x = (np.arange(n) * s - c for n, s, c in zip(liver.shape, spacing_mm_zyx, centre, strict=True))
    away = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    blob = away + 6 * smooth_field(rng, liver.shape, spacing_mm_zyx, 20) < rng.uniform(15, 45)
    return liver | (blob & (image > 0.35 * np.median(image[liver])))


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
