"""Builders that several intake tests share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset

from pipeline.case import Volume
from pipeline.intake import open_upload, preselected, read_series


def read(path: Path, into: Path) -> Volume:
    """Open an upload and read the series it offers first."""
    study = open_upload(path, into)
    return read_series(study, preselected(study).key)


def save(datasets: Sequence[Dataset], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, dataset in enumerate(datasets):
        dataset.save_as(folder / f"slice{number}", enforce_file_format=True)
    return folder


def write_nifti(image: sitk.Image, file: Path, **header: object) -> Path:
    """Write by nibabel, so that reading by intake is not checked against its own arithmetic alone."""
    axes = np.reshape(image.GetDirection(), (3, 3)) @ np.diag(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, image.GetOrigin()
    affine = np.diag([-1, -1, 1, 1]) @ affine
    nifti = nib.Nifti1Image(sitk.GetArrayFromImage(image).transpose(2, 1, 0), affine)
    for key, value in header.items():
        nifti.header[key] = value
    nib.save(nifti, file)
    return file
