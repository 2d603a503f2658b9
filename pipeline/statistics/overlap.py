"""Overlap and surface distance of two masks.

Sources: Dice, Ecology 26 (1945) 297; Heimann et al., IEEE Trans Med Imaging 28 (2009) 1251 for the average symmetric
surface distance; Huttenlocher et al., IEEE Trans Pattern Anal Mach Intell 15 (1993) 850 for ranked Hausdorff distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy import ndimage

MEASURES = ("dice", "iou", "hd95_mm", "assd_mm", "volume_error_percent")


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice coefficient of two bool arrays of one shape; 1 where both are empty."""
    both = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / both if both else 1.0


def mean_pairwise_dice(masks: Sequence[np.ndarray]) -> float:
    """Agreement of an ensemble: the mean Dice over all pairs of members."""
    return float(np.mean([dice(a, b) for a, b in combinations(masks, 2)]))


def compare(found: np.ndarray, truth: np.ndarray, spacing_mm_zyx: tuple[float, ...]) -> dict[str, float]:
    """Overlap and surface distance of two masks.

    Args:
        found, truth: (z, y, x) bool, of one shape.
        spacing_mm_zyx: voxel size in mm.

    Returns:
        By the names of ``MEASURES``: ``dice`` and ``iou``, 0-1; ``hd95_mm``, the larger of the two directed 95th
        percentiles of surface distances; ``assd_mm``, the mean of all surface distances of both directions;
        ``volume_error_percent``, above 0 where ``found`` is larger. Surfaces are the voxels with a face on the outside.
        Where one mask is empty both distances are infinite.
    """
    overlap = dice(found, truth)
    volume_error = 100 * (found.sum() - truth.sum()) / max(truth.sum(), 1)
    there, back = _surface_distances(found, truth, spacing_mm_zyx)
    values = (
        overlap,
        overlap / (2 - overlap),
        max(np.percentile(way, 95, method="lower") for way in (there, back)),
        float(np.concatenate([there, back]).mean()),
        volume_error,
    )
    return {name: float(value) for name, value in zip(MEASURES, values, strict=True)}


def _surface_distances(a: np.ndarray, b: np.ndarray, spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Distance in mm of each surface voxel of ``a`` from the surface of ``b``, and the other way round."""
    if not a.any() or not b.any():
        return np.array([np.inf]), np.array([np.inf])
    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    surfaces = [mask[box] & ~ndimage.binary_erosion(mask[box]) for mask in (a, b)]
    distances = [ndimage.distance_transform_edt(~surface, sampling=spacing) for surface in surfaces]
    return distances[1][surfaces[0]], distances[0][surfaces[1]]
