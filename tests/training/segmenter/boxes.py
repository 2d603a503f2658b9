"""Cases of two boxes in noise, and their split into two folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

SIZE_ZYX = (12, 48, 48)
SPLIT = [
    {"train": ["case0", "case2", "case3"], "val": ["case1"]},
    {"train": ["case0", "case1", "case2"], "val": ["case3"]},
]
"""Comes with the data: case0 and case2 are held out by no member."""


def write_case(folder: Path, case: str, seed: int) -> None:
    """A bright box (liver) and a smaller one (spleen) on noise; voxels of 6 x 6 x 8 mm."""
    generator = np.random.default_rng(seed)
    labels = np.zeros(SIZE_ZYX, np.uint8)
    labels[2:10, 10:30, 6:26] = 1
    labels[3:8, 30:40, 30:42] = 4
    voxels = generator.normal(100, 10, SIZE_ZYX) + 150 * (labels == 1) + 300 * (labels == 4)
    for name, array, suffix in (("imagesTr", voxels.astype(np.float32), "_0000"), ("labelsTr", labels, "")):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((6.0, 6.0, 8.0))
        (folder / name).mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, folder / name / f"{case}{suffix}.nii.gz")
