"""How far a mask is from the true one: overlap and surface distance, without torch."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

MEASURES = ("dice", "iou", "hd95_mm", "assd_mm", "volume_error_percent")


def compare(found: np.ndarray, truth: np.ndarray, spacing_mm_zyx: tuple[float, ...]) -> dict[str, float]:
    """Overlap and surface distance of two bool masks (z, y, x).

    ``hd95_mm`` is the larger of the two directed 95th percentiles of surface distances, ``assd_mm`` the average of all
    surface distances in both directions, ``volume_error_percent`` signed. Where one mask is empty the distances are
    infinite.
    """
    both = int(found.sum()) + int(truth.sum())
    overlap = 2 * int((found & truth).sum()) / both if both else 1.0
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
