"""What is no axial T2 of an abdomen with a liver in it is recognised; livers of all shapes are not refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from models import registry
from models.device import choose_device
from pipeline.analysis import distrust_reasons
from pipeline.anatomy import LIMITS, PLACES, Limit, measure_anatomy
from pipeline.case import LIVER, SPLEEN, CaseWarning, OrganMask, Source, Volume, run_to_end, view
from pipeline.intake import check_contrast, open_upload, read_series
from pipeline.segmentation import Segmenter, segment_steps
from pipeline.suitability import not_classified
from tests.abdomen import make_abdomen
from tests.shared import shared_path

SIZE, SPACING = (96, 80, 36), (3.3, 3.0, 6.0)


def case(**source: str) -> tuple[Volume, OrganMask]:
    image, labels = make_abdomen(SIZE, SPACING)
    return Volume(image, Source("nifti", "0", **source)), organs_of(labels)


def organs_of(labels: sitk.Image) -> OrganMask:
    ml = float(np.prod(labels.GetSpacing())) / 1000
    return OrganMask(labels, float((view(labels) == LIVER).sum()) * ml, None, 1, 1.0, False)


def with_voxels(volume: Volume, change: Callable[[np.ndarray], np.ndarray]) -> Volume:
    image = sitk.GetImageFromArray(change(volume.voxels.copy()).astype(np.float32))
    image.CopyInformation(volume.image)
    return replace(volume, image=image)


def scaled(volume: Volume, organs: OrganMask, factor: float) -> tuple[Volume, OrganMask]:
    """The same voxels, larger or smaller."""
    image, labels = volume.image * 1.0, sitk.Image(organs.labels)
    for grid in (image, labels):
        grid.SetSpacing([mm * factor for mm in grid.GetSpacing()])
    return replace(volume, image=image), organs_of(labels)


def codes(volume: Volume, organs: OrganMask, *warnings: str) -> list[str]:
    found = not_classified(volume, organs, tuple(CaseWarning(code, "Words.") for code in warnings))
    return [warning.code for warning in found]


def test_an_abdomen_is_classified() -> None:
    assert codes(*case()) == []
    assert codes(*case(), "few_slices", "thick_slices", "narrow_body", "contrast", "not_t2_contrast", "echo_time") == []


@pytest.mark.parametrize("code", ["looks_like_ct", "looks_like_labels", "noise", "constant", "not_t2"])
def test_no_t2_image_is_not(code: str) -> None:
    assert codes(*case(), code) == ["not_suitable_image"]


def test_a_noisy_scan_with_a_good_outline_is_classified() -> None:
    volume, organs = case()
    assert codes(volume, replace(organs, score=2), "noise") == []
    assert codes(volume, replace(organs, score=3), "noise") == ["not_suitable_image"]


@pytest.mark.parametrize("plane", ["coronal", "sagittal", "oblique"])
def test_other_planes_are_not(plane: str) -> None:
    assert codes(*case(plane=plane)) == ["not_suitable_plane"]


def test_an_isotropic_nifti_does_not_tell_its_plane() -> None:
    image, labels = make_abdomen((80, 72, 60), (4.0, 4.0, 4.0))
    assert codes(Volume(image, Source("nifti", "0", plane="coronal")), organs_of(labels)) == []
    assert codes(Volume(image, Source("dicom", "0", plane="coronal")), organs_of(labels)) == ["not_suitable_plane"]


@pytest.mark.parametrize("factor", [0.5, 1.8])
def test_what_has_no_size_of_an_abdomen_is_not(factor: float) -> None:
    assert codes(*scaled(*case(), factor)) == ["not_suitable_anatomy"]


@pytest.mark.parametrize("factor", [0.85, 1.2])
def test_small_and_large_patients_are_classified(factor: float) -> None:
    assert codes(*scaled(*case(), factor)) == []


def test_a_spleen_on_the_wrong_side_is_no_abdomen() -> None:
    volume, organs = case()
    turned = sitk.GetImageFromArray(view(organs.labels)[:, :, ::-1].copy())
    turned.CopyInformation(organs.labels)
    mirrored = with_voxels(volume, lambda voxels: voxels[:, :, ::-1])
    (reason,) = not_classified(mirrored, organs_of(turned), ())
    assert "spleen" in reason.message
    assert "not on the right side" in reason.message


def windowed_ct(volume: Volume, organs: OrganMask, spleen: float) -> Volume:
    """An 8-bit window: black air, saturated bone, and a spleen as bright as given beside a liver of 150."""
    labels = view(organs.labels)

    def change(voxels: np.ndarray) -> np.ndarray:
        voxels = np.where(voxels < 60, 0, 110 + 0.1 * voxels)
        voxels[labels == LIVER], voxels[labels == SPLEEN] = 150, spleen
        voxels[:, 60:66, 44:52] = 255
        return voxels.round()

    return with_voxels(volume, change)


def test_windowed_ct_is_not_classified_but_a_bright_spleen_beside_saturated_fluid_is() -> None:
    volume, organs = case()
    assert codes(windowed_ct(volume, organs, 160), organs) == ["not_suitable_image"]
    assert codes(windowed_ct(volume, organs, 240), organs) == []


def test_without_a_bright_spleen_or_fluid_it_is_no_t2() -> None:
    volume, organs = case()
    dark = with_voxels(volume, lambda voxels: np.where(view(organs.labels) == SPLEEN, 150, voxels))
    assert codes(dark, organs) == []  # iron in the spleen, say
    assert codes(dark, organs, "contrast") == ["not_suitable_image"]


def test_no_liver_at_all_is_said() -> None:
    volume, organs = case()
    assert codes(volume, organs_of(organs.labels * 0)) == ["not_suitable_anatomy"]


@pytest.mark.parametrize("limit", [*LIMITS, *PLACES], ids=lambda limit: limit.name)
def test_limits_are_far_outside_of_what_was_observed(limit: Limit) -> None:
    low, high = limit.observed
    assert limit.allowed[0] < low - 0.15 * abs(low)
    assert limit.allowed[1] > high + 0.15 * abs(high)


@pytest.mark.parametrize("number", ["01", "21", "36"])
def test_real_livers_are_within_the_observed_ranges(number: str) -> None:
    folder = shared_path("chaos_t2")
    image = sitk.DICOMOrient(sitk.ReadImage(str(folder / f"images/chaos{number}_0000.nii.gz"), sitk.sitkFloat32), "LPS")
    labels = sitk.DICOMOrient(sitk.ReadImage(str(folder / f"labels/chaos{number}.nii.gz"), sitk.sitkUInt8), "LPS")
    measured = measure_anatomy(labels, image)
    assert all(limit.observed_nearly(measured) and limit.holds(measured) for limit in LIMITS)
    assert all(place.holds(measured) for place in PLACES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *[(f"chaos_t2/images/chaos{number}_0000.nii.gz", []) for number in ("01", "03", "21", "36", "39")],
        *[(f"anatomies/btcv/btcv{number}_ct.nii.gz", ["not_suitable_image"]) for number in ("01", "09", "30")],
    ],
)
def test_real_series_with_the_shipped_segmenter(name: str, expected: list[str], tmp_path: Path) -> None:
    segmenter = Segmenter(registry.find("liver_t2", "segmenter"), choose_device("cpu"))
    study = open_upload(shared_path(name), tmp_path / "case")
    volume = read_series(study, "nifti")
    organs = run_to_end(segment_steps(volume, segmenter))
    warnings = volume.warnings + check_contrast(volume, organs)
    assert [warning.code for warning in not_classified(volume, organs, warnings)] == expected


def test_an_outline_on_images_unlike_the_training_data_gets_no_predicted_quality():
    unsuitable = (
        CaseWarning("not_suitable_image", "Not classified: this looks like CT."),
        CaseWarning("not_suitable_anatomy", "Not classified: the liver is small."),
    )
    assert distrust_reasons(unsuitable) == ("this looks like CT",)
