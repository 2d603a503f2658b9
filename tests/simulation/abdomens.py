"""Small abdomens of ellipsoids with labels, and a CT of them, for painting and warping."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pipeline.case import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN
from pipeline.simulation import label_maps as names

SIZE_ZYX, SPACING_MM_XYZ = (30, 60, 72), (4.0, 4.0, 5.0)


def ellipsoid(centre_mm_zyx: tuple[float, ...], half_mm_zyx: tuple[float, ...]) -> np.ndarray:
    """(z, y, x) bool."""
    places = [np.arange(n) * s for n, s in zip(SIZE_ZYX, SPACING_MM_XYZ[::-1], strict=True)]
    grid = np.meshgrid(*places, indexing="ij")
    return sum(((g - c) / h) ** 2 for g, c, h in zip(grid, centre_mm_zyx, half_mm_zyx, strict=True)) <= 1


def image_of(array: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING_MM_XYZ)
    return image


def labels_of(liver_half_mm_zyx: tuple[float, ...] = (45, 50, 45), *, dense: bool = False) -> np.ndarray:
    """(z, y, x) uint8: liver, kidneys, gallbladder, spleen, aorta; a dense map has muscle and spinal cord as well."""
    labels = np.zeros(SIZE_ZYX, np.uint8)
    if dense:
        labels[_body()] = names.MUSCLES
        labels[ellipsoid((75, 190, 144), (300, 8, 8))] = names.SPINAL_CORD
    labels[ellipsoid((60, 180, 95), (20, 12, 12))] = RIGHT_KIDNEY
    labels[ellipsoid((60, 180, 190), (20, 12, 12))] = LEFT_KIDNEY
    labels[ellipsoid((75, 110, 90), liver_half_mm_zyx)] = LIVER
    labels[ellipsoid((75, 70, 110), (15, 12, 12))] = names.GALLBLADDER
    labels[ellipsoid((80, 130, 215), (30, 30, 20))] = SPLEEN
    labels[ellipsoid((75, 160, 150), (300, 9, 9))] = names.AORTA
    return labels


def ct_of(labels: np.ndarray) -> np.ndarray:
    """(z, y, x) float32, grey values of an 8-bit soft-tissue window: a rim of fat around soft tissue."""
    ct = np.where(_body(), 120, np.where(_body(16), 40, 0)).astype(np.float32)
    ct[labels == LIVER] = 160
    ct[labels == SPLEEN] = 170
    return ct + np.random.default_rng(0).normal(0, 3, SIZE_ZYX).astype(np.float32) * (ct > 0)


def write_label_map(folder: Path, case: str, labels: np.ndarray, *, ct: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image_of(labels), folder / f"{case}{names.LABELS_SUFFIX}")
    if ct:
        sitk.WriteImage(image_of(ct_of(labels)), folder / f"{case}{names.CT_SUFFIX}")


def _body(rim_mm: float = 0) -> np.ndarray:
    return ellipsoid((75, 118, 142), (900, 85 + rim_mm, 115 + rim_mm))
