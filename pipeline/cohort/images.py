"""Images of a cohort and their organ labels, read in LPS; labels on another grid than the image are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pipeline.case import Source, Volume, view
from pipeline.errors import ManifestError

LARGEST_SHIFT_MM = 1.0
"""Largest distance of corresponding corners of image and mask, mm; headers are rounded."""


def read_volume(image_file: Path) -> Volume:
    """Read an image of a cohort, in LPS, float32.

    Raises:
        ManifestError: the file is not a 3-D image.
    """
    return Volume(_read_lps(image_file, sitk.sitkFloat32), Source("nifti", "training"))


def read_labels(mask_file: Path, volume: Volume) -> sitk.Image:
    """Read the organ labels of ``volume``, uint8, in LPS and on its grid.

    Raises:
        ManifestError: the file is not a 3-D image, or lies on another grid.
    """
    labels = _read_lps(mask_file, sitk.sitkUInt8)
    if volume.image.GetSize() != labels.GetSize():
        raise ManifestError("image and mask have different sizes.")
    if not same_grid(volume.image, labels):
        raise ManifestError("image and mask lie at different places, by the spacing, origin or direction they give.")
    return labels


def read_labelled(case: str, image_file: Path, label_file: Path) -> tuple[Volume, sitk.Image]:
    """Read image and labels of one case of a data folder or manifest.

    Raises:
        ManifestError: as ``read_volume`` and ``read_labels``; the message begins with the case.
    """
    try:
        volume = read_volume(image_file)
        return volume, read_labels(label_file, volume)
    except ManifestError as error:
        raise ManifestError(f"{case}: {error}") from error


def read_label_map(case: str, label_file: Path, image_file: Path | None) -> tuple[sitk.Image, sitk.Image | None]:
    """Read labels (uint8) in LPS, and the image (float32) that they were drawn on, where there is one.

    Raises:
        ManifestError: a file is not a 3-D image, or the two lie on different grids; the message begins with the case.
    """
    try:
        labels = _read_lps(label_file, sitk.sitkUInt8)
        image = None if image_file is None else _read_lps(image_file, sitk.sitkFloat32)
        if image is not None and not same_grid(image, labels):
            raise ManifestError("image and labels lie on different grids.")
        return labels, image
    except ManifestError as error:
        raise ManifestError(f"{case}: {error}") from error


def label_values(case: str, label_file: Path) -> set[int]:
    """Distinct values in the label file of a case.

    Raises:
        ManifestError: the file is not a 3-D image; the message begins with the case.
    """
    try:
        return {int(value) for value in np.unique(view(_read_lps(label_file, sitk.sitkUInt8)))}
    except ManifestError as error:
        raise ManifestError(f"{case}: {error}") from error


def same_grid(a: sitk.Image, b: sitk.Image) -> bool:
    """Whether two 3-D images have the same size and their corners lie within ``LARGEST_SHIFT_MM`` of each other."""
    if a.GetSize() != b.GetSize():
        return False
    size = np.array(a.GetSize()) - 1
    corners = [(size * corner).tolist() for corner in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1))]
    apart = [
        np.subtract(*(image.TransformIndexToPhysicalPoint(corner) for image in (a, b)))  # type: ignore[call-overload]
        for corner in corners
    ]
    return float(np.linalg.norm(apart, axis=1).max()) < LARGEST_SHIFT_MM


def _read_lps(file: Path, kind: int) -> sitk.Image:
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # it prints paths
    try:
        return sitk.DICOMOrient(sitk.ReadImage(str(file), kind), "LPS")
    except RuntimeError as error:
        raise ManifestError("the image or mask cannot be read as a 3-D image.") from error
