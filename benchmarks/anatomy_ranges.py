"""Measure label maps of the liver and the organs around it: the ranges in ``pipeline.anatomy``.

``python -m benchmarks.anatomy_ranges FOLDER...``: folders of label maps (1 liver, 2 and 3 kidneys, 4 spleen); where a
folder ``images`` lies beside one, with the same names and ``_0000``, the body around the liver is measured too.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import SimpleITK as sitk

from pipeline.anatomy import LIMITS, PLACES, measure_anatomy


def main(folders: list[str]) -> None:
    """Print number, lowest and highest value of each measurement."""
    values: dict[str, list[float]] = defaultdict(list)
    for file in sorted(file for folder in folders for file in Path(folder).glob("*.nii.gz")):
        if file.name.endswith("_ct.nii.gz"):
            continue
        image = file.parent.parent / "images" / file.name.replace(".nii.gz", "_0000.nii.gz")
        measured = measure_anatomy(_read(file), _read(image) if image.exists() else None)
        for name, value in measured.items():
            values[name].append(value)
    for limit in (*LIMITS, *PLACES):
        found = values[limit.name]
        ends = f"{min(found):.2f} to {max(found):.2f}" if found else "-"
        sys.stdout.write(f"{limit.name:22} {len(found):4} {ends:20} allowed {limit.allowed[0]} to {limit.allowed[1]}\n")


def _read(file: Path) -> sitk.Image:
    return sitk.DICOMOrient(
        sitk.ReadImage(str(file), sitk.sitkFloat32 if "_0000" in file.name else sitk.sitkUInt8), "LPS"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
