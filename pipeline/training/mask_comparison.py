"""How far a mask is from the true one: overlap and surface distance, without torch."""

from __future__ import annotations

import numpy as np

from pipeline.segmentation.quality import percentile_95, surface_distances

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
    there, back = surface_distances(found, truth, spacing_mm_zyx)
    values = (
        overlap,
        overlap / (2 - overlap),
        percentile_95(there, back),
        float(np.concatenate([there, back]).mean()),
        volume_error,
    )
    return {name: float(value) for name, value in zip(MEASURES, values, strict=True)}
