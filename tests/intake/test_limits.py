"""Grids that no MR series of the liver has are refused from the header, NIfTI and DICOM alike."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.errors import ConfigError, InputError
from pipeline.intake import open_upload
from pipeline.intake.limits import GridLimits, grid_fault
from pipeline.intake.nifti import stacking_axis
from tests.phantoms import write_dicom_series

LIMITS = GridLimits()


@pytest.mark.parametrize(
    ("size", "spacing"),
    [
        ((512, 512, 256), (0.7, 0.7, 1.5)),
        ((256, 256, 4), (1.0, 1.0, 1.0)),
        ((64, 28, 4), (6.4, 4.0, 0.5)),
        ((2048, 2048, 3), (0.2, 0.2, 12.0)),
        ((64, 64, 1024), (5.0, 5.0, 1.0)),
    ],
)
def test_what_scanners_give_passes(size: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    assert grid_fault(size, spacing, limits=LIMITS) is None


@pytest.mark.parametrize(
    ("size", "spacing", "says"),
    [
        ((512, 512, 257), (0.7, 0.7, 1.5), "too large"),
        ((2049, 64, 20), (1.0, 1.0, 5.0), "too large"),
        ((64, 64, 1025), (5.0, 5.0, 1.0), "too large"),
        ((64, 64, 64), (5.0, 5.0, 0.02), "voxels of 5 x 5 x 0.02 mm"),
        ((64, 64, 64), (5.0, 5.0, 0.0999), "voxels of"),
        ((64, 64, 64), (5.0, 5.0, 50.1), "voxels of"),
        ((64, 64, 64), (0.2, 0.2, 12.1), "voxels of"),
        ((16, 16, 3), (0.4, 0.4, 0.4), "a volume of"),
        ((100, 100, 20), (26.0, 20.0, 20.0), "a volume of"),
        ((900, 16, 3), (1.0, 1.0, 0.7), "a volume of"),
        ((64, 64, 64), (5.0, 5.0, float("nan")), "how large its voxels are"),
        ((64, 64, 64), (5.0, 5.0, -1.0), "how large its voxels are"),
        ((64, 64, 64), (5.0, 5.0, float("inf")), "how large its voxels are"),
    ],
)
def test_beyond_a_limit(size: tuple[int, ...], spacing: tuple[float, ...], says: str) -> None:
    assert says in str(grid_fault(size, spacing, limits=LIMITS))


@pytest.mark.parametrize("limit", [limit.name for limit in fields(GridLimits)])
def test_each_limit_is_a_variable(limit: str) -> None:
    name = f"FIBROREVIEW_{limit.upper()}"
    assert getattr(GridLimits.from_environment({name: "7.5"}), limit) == 7.5
    for wrong in ("-1", "0", "nan", "inf", "many"):
        with pytest.raises(ConfigError, match=name):
            GridLimits.from_environment({name: wrong})


@pytest.mark.parametrize("thin", [0, 1, 2])
@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_thin_voxels_are_refused_from_the_header(
    kind: str, thin: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spacing = [5.0, 5.0, 5.0]
    spacing[thin] = 0.02
    if kind == "dicom":
        image = sitk.GetImageFromArray(np.zeros((20, 32, 24), "uint16"))
        image.SetSpacing(spacing)
        upload = tmp_path / "series"
        write_dicom_series(image, upload)
    else:
        upload = tmp_path / "a.nii.gz"
        nib.save(nib.Nifti1Image(np.zeros((24, 32, 20), "int16"), np.diag([*spacing, 1.0])), upload)
    monkeypatch.setattr("pydicom.dataset.Dataset.convert_pixel_data", lambda *_: pytest.fail("decoded"))
    with pytest.raises(InputError, match=r"0\.02.* mm are not those of an MR series"):
        open_upload(upload, tmp_path / "case")


@pytest.mark.parametrize(
    ("size", "spacing", "axis"),
    [
        ((320, 320, 30), (1.2, 1.2, 6.0), 2),
        ((320, 30, 320), (1.2, 6.0, 1.2), 1),
        ((256, 128, 256), (1.5, 1.5, 1.5), 1),
        ((256, 4, 250), (1.0, 1.0, 1.0), 1),
        ((8, 256, 256), (1.2, 1.0, 1.0), 0),
        ((64, 28, 4), (6.4, 4.0, 0.5), 2),
        ((91, 109, 91), (2.0, 2.0, 2.0), 1),
        ((64, 64, 64), (2.0, 2.0, 2.0), 2),
        ((320, 260, 240), (1.0, 1.0, 1.0), 2),
    ],
)
def test_the_stacking_axis_comes_from_the_grid(size: tuple[int, ...], spacing: tuple[float, ...], axis: int) -> None:
    assert stacking_axis(size, spacing) == axis
