"""The volume that is measured: a labelled T2 case beside the checkout where there is one, else a shipped example."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from benchmarks.machine import ROOT

SHARED = ROOT.parent / "shared" / "data" / "chaos_t2"
EXAMPLES = ROOT / "assets" / "examples"
SIZE_XYZ = (256, 256, 36)
"""Voxels of the volume that most parts measure."""


def case_files() -> tuple[Path, Path]:
    """Image and label of the case."""
    images = sorted((SHARED / "images").glob("*_0000.nii.gz"))
    if images:
        return images[0], SHARED / "labels" / images[0].name.replace("_0000", "")
    return EXAMPLES / "abdomen_t2.nii.gz", EXAMPLES / "labels" / "abdomen_t2.nii.gz"


def resampled(size_xyz: tuple[int, int, int], folder: Path) -> tuple[Path, Path]:
    """Write the case and its label with another number of voxels over the same field of view."""
    files: list[Path] = []
    for file, interpolator in zip(case_files(), (sitk.sitkLinear, sitk.sitkNearestNeighbor), strict=True):
        image = sitk.DICOMOrient(sitk.ReadImage(str(file)), "LPS")
        sides = [n * mm for n, mm in zip(image.GetSize(), image.GetSpacing(), strict=True)]
        spacing = [side / n for side, n in zip(sides, size_xyz, strict=True)]
        shift = [(new - old) / 2 for new, old in zip(spacing, image.GetSpacing(), strict=True)]
        origin = image.TransformContinuousIndexToPhysicalPoint(
            [by / mm for by, mm in zip(shift, image.GetSpacing(), strict=True)]
        )
        result = sitk.Resample(
            image,
            size_xyz,
            sitk.Transform(),
            interpolator,
            origin,
            spacing,
            image.GetDirection(),
            0,
            image.GetPixelID(),
        )
        name = "x".join(map(str, size_xyz))
        target = folder / f"{name}{'_label' if files else ''}.nii.gz"
        sitk.WriteImage(result, str(target))
        files.append(target)
    return files[0], files[1]
