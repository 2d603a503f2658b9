"""A cohort of six boxes for livers, 24 x 24 x 6 voxels, that costs nothing to make.

Boxes, because the tests compute overlaps from their edges.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from pipeline.case import view
from tests.abdomen import make_abdomen


def write_image(file: Path, array: np.ndarray, orientation: str = "LPS") -> None:
    """``array`` (z, y, x) lies in LPS; the file's axes in ``orientation``."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((4.0, 4.0, 8.0))
    sitk.WriteImage(sitk.DICOMOrient(image, orientation), file)


def write_cohort(folder: Path, orientation: str = "LPS") -> Path:
    """Six test cases of three anatomies, every other one F4, said to be simulated; returns the manifest."""
    rows = []
    for number in range(6):
        liver = (slice(1, 5), slice(6, 18), slice(5, 16 + number // 2))
        case = make_abdomen((24, 24, 6), liver=liver, brightness=(50, 100), noise=5, seed=number)
        for name, image in zip(("image", "mask"), case, strict=True):
            write_image(folder / f"{name}{number}.nii.gz", view(image), orientation)
        rows.append(
            {
                "patient_id": f"case{number}",
                "image": f"image{number}.nii.gz",
                "mask": f"mask{number}.nii.gz",
                "site": "AB"[number // 3],
                "sex": "",
                "metavir": f"F{4 * (number % 2)}",
                "label_source": "histology",
                "split": "test",
                "segmentation_score": 1 + (number == 5),
                "source_anatomy": f"anatomy{number // 2}",
            }
        )
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    (folder / "cohort.json").write_text(json.dumps({"simulated": True, "description": "Boxes."}))
    return folder / "manifest.csv"
