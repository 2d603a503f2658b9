"""Warnings: none on an ordinary axial T2, and one code for each deviation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from pipeline.case import LIVER, SPLEEN, OrganMask, Source, Volume
from pipeline.intake.checks import check_contrast, check_image
from tests.intake.helpers import read
from tests.phantoms import make_volume_image, write_dicom_series
from tests.shared import shared_paths


def abdomen() -> np.ndarray:
    """A smooth body of about 100 with bright fluid, (z, y, x), for 5 x 5 x 8 mm."""
    z, y, x = np.ogrid[0:30, -1:1:44j, -1:1:64j]
    voxels = np.where(x**2 / 0.9 + y**2 / 0.8 + 0 * z < 1, 100.0, 0.0)
    voxels[:, 20:24, 20:26] = 400.0
    smooth: np.ndarray = gaussian_filter(voxels, 0.7)
    return smooth


def image_of(voxels: np.ndarray, spacing: tuple[float, float, float] = (5.0, 5.0, 8.0)) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels.astype(np.float32))
    image.SetSpacing(spacing)
    return image


def codes(image: sitk.Image) -> set[str]:
    return {warning.code for warning in check_image(image)}


def test_ordinary_abdomen_is_silent() -> None:
    assert codes(image_of(abdomen())) == set()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda v: 0 * v, "constant"),
        (lambda v: (v > 50) + 1.0 * (v > 200), "looks_like_labels"),
        (lambda v: v * 10 - 1000, "looks_like_ct"),
        (lambda v: v - 20, "negative_values"),
        (lambda v: np.where(np.arange(30)[:, None, None] > 25, v, 0), "mostly_empty"),
        (lambda v: np.random.default_rng(0).random(v.shape) * 100, "noise"),
        (lambda v: np.minimum(v, 110), "contrast"),
        (lambda v: np.where(np.arange(64) < 40, np.maximum(v, 100), v), "cut_right"),
        (lambda v: np.where(np.abs(np.arange(64) - 32) < 18, v, 0), "narrow_body"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_intensities(change: Callable[[np.ndarray], np.ndarray], code: str) -> None:
    assert code in codes(image_of(change(abdomen())))


def test_extent() -> None:
    assert codes(image_of(abdomen(), (5.0, 5.0, 3.0))) == {"short_coverage"}
    assert "small_field" in codes(image_of(abdomen(), (3.0, 3.0, 8.0)))


@pytest.mark.parametrize(
    ("image", "tags", "code"),
    [
        (make_volume_image(), {"SeriesDescription": "T1 vibe"}, "not_t2"),
        (make_volume_image(), {"EchoTime": 2.0}, "not_t2"),
        (make_volume_image(), {"EchoTime": 40.0}, "echo_time"),
        (make_volume_image(orientation="LIP"), {}, "not_axial"),
        (make_volume_image((48, 40, 8)), {}, "few_slices"),
        (make_volume_image(), {}, "thick_slices"),
        (make_volume_image(), {}, "coarse_pixels"),
        (make_volume_image(), {"BodyPartExamined": "KNEE"}, "body_part"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_header(image: sitk.Image, tags: dict[str, Any], code: str, tmp_path: Path) -> None:
    write_dicom_series(image, tmp_path / "series", **tags)
    assert code in {w.code for w in read(tmp_path / "series", tmp_path / "case").warnings}


@pytest.mark.parametrize(("spleen", "expected"), [(150, []), (60, ["not_t2_contrast"])])
def test_spleen_darker_than_liver(spleen: float, expected: list[str]) -> None:
    labels, voxels = np.zeros((8, 20, 20), np.uint8), np.full((8, 20, 20), 20.0)
    labels[:, :10, :10], labels[:, :10, 10:] = LIVER, SPLEEN
    voxels[labels == LIVER], voxels[labels == SPLEEN] = 100, spleen
    volume = Volume(image_of(voxels), Source("nifti", "0"))
    organs = OrganMask(sitk.GetImageFromArray(labels), 1500.0, 200.0, 1, 1.0, False)
    assert [w.code for w in check_contrast(volume, organs)] == expected


@pytest.mark.parametrize("path", shared_paths("chaos_t2/images/*1_0000.nii.gz"))
def test_real_axial_t2_is_silent(path: Path, tmp_path: Path) -> None:
    assert read(path, tmp_path / "case").warnings == ()
