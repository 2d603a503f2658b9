"""Left stays left and voxels stay what they were, however the slices were taken or stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.intake import open_upload, preselected, read_series
from tests.intake.helpers import read, save, write_nifti
from tests.phantoms import CORNERS, corner_values, make_datasets, make_volume_image, write_dicom_series, write_enhanced

ORIENTATIONS = {
    "axial": ("LPS", "axial"),
    "feet first": ("LPI", "axial"),
    "rows flipped": ("LAS", "axial"),
    "columns flipped": ("RPS", "axial"),
    "rows and columns swapped": ("PLS", "axial"),
    "coronal": ("LIP", "coronal"),
    "sagittal": ("PIL", "sagittal"),
    "sagittal from the right": ("PIR", "sagittal"),
}
orientations = pytest.mark.parametrize(("code", "plane"), ORIENTATIONS.values(), ids=ORIENTATIONS.keys())


def same_grid(a: sitk.Image, b: sitk.Image) -> bool:
    return a.GetSize() == b.GetSize() and all(
        np.allclose(x, y, atol=1e-4)
        for x, y in (
            (a.GetSpacing(), b.GetSpacing()),
            (a.GetOrigin(), b.GetOrigin()),
            (a.GetDirection(), b.GetDirection()),
        )
    )


@orientations
def test_dicom_left_stays_left(code: str, plane: str, tmp_path: Path) -> None:
    image = make_volume_image(orientation=code)
    write_dicom_series(image, tmp_path / "series")
    volume = read(tmp_path / "series", tmp_path / "case")
    assert corner_values(volume.image) == CORNERS
    assert volume.source.plane == plane
    # In LPS the first voxel lies right, anterior and inferior.
    assert volume.voxels[0, 0, 0] == CORNERS["RAI"]
    assert volume.voxels[0, 0, -1] == CORNERS["LAI"]
    assert same_grid(volume.image, make_volume_image())


@pytest.mark.parametrize("code", [code for code, _ in ORIENTATIONS.values()], ids=ORIENTATIONS.keys())
def test_nifti_left_stays_left_and_goes_back(code: str, tmp_path: Path) -> None:
    image = make_volume_image(orientation=code)
    volume = read(write_nifti(image, tmp_path / "volume.nii.gz"), tmp_path / "case")
    assert corner_values(volume.image) == CORNERS
    assert volume.source.native_orientation == code
    back = sitk.DICOMOrient(volume.image, volume.source.native_orientation)
    assert same_grid(back, image)
    assert np.array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(image))
    assert volume.source.plane == "axial"  # the slices 12 mm apart, whatever the order of the axes


@pytest.mark.parametrize("tilt", [0.0, 12.0, -20.0, 50.0])
def test_nifti_and_dicom_agree(tilt: float, tmp_path: Path) -> None:
    image = make_volume_image(tilt_degrees=tilt)
    write_dicom_series(image, tmp_path / "series")
    dicom = read(tmp_path / "series", tmp_path / "dicom")
    nifti = read(write_nifti(image, tmp_path / "volume.nii"), tmp_path / "nifti")
    assert np.array_equal(dicom.voxels, nifti.voxels)
    assert same_grid(dicom.image, nifti.image)
    assert dicom.source.plane == ("oblique" if tilt == 50.0 else "axial")


def test_enhanced_equals_classic(tmp_path: Path) -> None:
    image = make_volume_image(orientation="LAS", tilt_degrees=10)
    classic = read(write_dicom_series(image, tmp_path / "series")[0].parent, tmp_path / "classic")
    enhanced = read(write_enhanced(image, tmp_path / "enhanced"), tmp_path / "enhanced_case")
    assert np.array_equal(classic.voxels, enhanced.voxels)
    assert same_grid(classic.image, enhanced.image)
    assert enhanced.source.echo_time_ms == 80.0


def test_rescale_slope_is_applied_to_both(tmp_path: Path) -> None:
    image = make_volume_image()
    write_dicom_series(image, tmp_path / "series", RescaleSlope="0.25", RescaleIntercept="-3", RescaleType="US")
    file = write_nifti(image, tmp_path / "volume.nii")
    scaled = bytearray(file.read_bytes())
    scaled[112:120] = np.array([0.25, -3], "<f4").tobytes()  # scl_slope, scl_inter
    file.write_bytes(scaled)
    expected = sitk.GetArrayFromImage(image) * 0.25 - 3
    assert np.array_equal(read(tmp_path / "series", tmp_path / "a").voxels, expected)
    assert np.array_equal(read(file, tmp_path / "b").voxels, expected)


def test_row_and_column_spacing_are_not_swapped(tmp_path: Path) -> None:
    image = make_volume_image((48, 40, 20), (1.0, 2.0, 5.0))
    volume = read(save(make_datasets(image), tmp_path / "series"), tmp_path / "case")
    assert volume.spacing_mm_xyz == pytest.approx((1.0, 2.0, 5.0))


def test_jitter_below_five_percent_is_accepted(tmp_path: Path) -> None:
    datasets = make_datasets(make_volume_image())
    x, y, z = (float(v) for v in datasets[4].ImagePositionPatient)
    datasets[4].ImagePositionPatient = [x, y, z + 0.5]
    assert read(save(datasets, tmp_path / "series"), tmp_path / "case").image.GetSize()[2] == len(datasets)


def test_missing_frame_of_reference_is_filled(tmp_path: Path) -> None:
    datasets = make_datasets(make_volume_image(), FrameOfReferenceUID=None)
    assert read(save(datasets, tmp_path / "series"), tmp_path / "case").image.GetSize()[2] == len(datasets)


def test_series_row_gives_spacing_as_acquired(tmp_path: Path) -> None:
    write_dicom_series(make_volume_image(orientation="PIL"), tmp_path / "series")
    study = open_upload(tmp_path / "series", tmp_path / "case")
    assert preselected(study).pixel_mm == pytest.approx((6.0, 12.0))
    assert preselected(study).slice_step_mm == pytest.approx(6.5)
    assert preselected(study).slices == 48
    assert read_series(study, preselected(study).key).spacing_mm_xyz == pytest.approx((6.5, 6.0, 12.0))
