"""NIfTI headers as they come, odd and broken."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.errors import InputError
from tests.intake.helpers import read, write_nifti
from tests.phantoms import CORNERS, corner_values, make_volume_image

RAS = np.diag([-6.5, -6.0, 12.0, 1.0])


def voxels_ijk(dtype: str = "int16") -> np.ndarray:
    return sitk.GetArrayFromImage(make_volume_image()).transpose(2, 1, 0).astype(dtype)


def save(image: nib.Nifti1Image, folder: Path) -> Path:
    nib.save(image, folder / "Doe_Jane.nii.gz")
    return folder / "Doe_Jane.nii.gz"


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("dtype", ["uint8", "int16", ">i2", "uint16", "float32", "float64"])
def test_versions_and_types(kind: type, dtype: str, tmp_path: Path) -> None:
    voxels = voxels_ijk(dtype)
    volume = read(save(kind(voxels, RAS), tmp_path), tmp_path / "case")
    assert volume.voxels.dtype == np.float32
    assert np.array_equal(volume.voxels, voxels.astype(np.float32).transpose(2, 1, 0))


def test_qform_counts_where_there_is_no_sform(tmp_path: Path) -> None:
    image = nib.Nifti1Image(voxels_ijk()[::-1], None)
    image.set_sform(None, 0)
    image.set_qform(np.diag([6.5, -6.0, 12.0, 1.0]), 1)
    assert corner_values(read(save(image, tmp_path), tmp_path / "case").image) == CORNERS


def test_last_dimension_of_one_is_no_second_volume(tmp_path: Path) -> None:
    volume = read(save(nib.Nifti1Image(voxels_ijk()[..., None], RAS), tmp_path), tmp_path / "case")
    assert corner_values(volume.image) == CORNERS


def test_units_other_than_mm(tmp_path: Path) -> None:
    image = nib.Nifti1Image(voxels_ijk(), np.diag([-6.5e-3, -6.0e-3, 12.0e-3, 1.0]))
    image.header.set_xyzt_units("meter")
    assert read(save(image, tmp_path), tmp_path / "case").spacing_mm_xyz == pytest.approx((6.5, 6.0, 12.0))


def test_rounded_axes_are_repaired(tmp_path: Path) -> None:
    crooked = RAS.copy()
    crooked[0, 1] = 0.002
    volume = read(save(nib.Nifti1Image(voxels_ijk(), crooked), tmp_path), tmp_path / "case")
    direction = np.reshape(volume.image.GetDirection(), (3, 3))
    assert np.allclose(direction @ direction.T, np.eye(3), atol=1e-12)


def test_voxels_without_value_become_background_with_a_warning(tmp_path: Path) -> None:
    voxels = voxels_ijk("float32")
    voxels[3:5, 4, 5] = np.nan, np.inf
    volume = read(save(nib.Nifti1Image(voxels, RAS), tmp_path), tmp_path / "case")
    assert np.isfinite(volume.voxels).all()
    assert "non_finite" in {w.code for w in volume.warnings}


def test_unknown_orientation_is_warned_of(tmp_path: Path) -> None:
    image = nib.Nifti1Image(voxels_ijk(), None)
    image.header["pixdim"][1:4] = 6.5, 6.0, 12.0
    assert "orientation_unknown" in {w.code for w in read(save(image, tmp_path), tmp_path / "case").warnings}


def test_conflicting_orientations_are_warned_of(tmp_path: Path) -> None:
    image = nib.Nifti1Image(voxels_ijk(), RAS)
    image.set_qform(np.diag([6.5, -6.0, 12.0, 1.0]), 1)
    assert "orientation_conflict" in {w.code for w in read(save(image, tmp_path), tmp_path / "case").warnings}


def sheared() -> np.ndarray:
    affine = RAS.copy()
    affine[0, 1] = 2.0
    return affine


def colours() -> np.ndarray:
    return np.zeros((20, 20, 20), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))


@pytest.mark.parametrize(
    ("voxels", "affine", "says"),
    [
        (np.zeros((20, 20), "int16"), RAS, "no 3-D volume"),
        (np.zeros((20, 20, 2), "int16"), RAS, "no 3-D volume"),
        (np.zeros((20, 20, 20, 3), "int16"), RAS, "3 volumes"),
        (np.zeros((4, 5, 20), "int16"), RAS, "too small"),
        (np.zeros((20, 20, 20), "complex64"), RAS, "complex"),
        (colours(), RAS, "colours"),
        (voxels_ijk(), sheared(), "right angles"),
        (np.full((20, 20, 20), np.nan, "float32"), RAS, "no value"),
    ],
    ids=["2-D", "two slices", "4-D", "tiny", "complex", "colour", "sheared", "nan"],
)
def test_refusals(voxels: np.ndarray, affine: np.ndarray, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says) as refused:
        read(save(nib.Nifti1Image(voxels, affine), tmp_path), tmp_path / "case")
    assert "Doe" not in str(refused.value)


def test_huge_header_is_refused_before_its_voxels_are_made(tmp_path: Path) -> None:
    file = write_nifti(make_volume_image(), tmp_path / "a.nii")
    content = bytearray(file.read_bytes())
    content[42:48] = np.array([30_000] * 3, "<i2").tobytes()
    file.write_bytes(content)
    with pytest.raises(InputError, match="too large"):
        read(file, tmp_path / "case")


def test_far_voxel_offset_is_refused(tmp_path: Path) -> None:
    file = write_nifti(make_volume_image(), tmp_path / "a.nii")
    content = bytearray(file.read_bytes())
    content[108:112] = np.array([1e12], "<f4").tobytes()
    file.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read(file, tmp_path / "case")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_cut_file(share: float, tmp_path: Path) -> None:
    file = save(nib.Nifti1Image(voxels_ijk(), RAS), tmp_path)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="damaged"):
        read(file, tmp_path / "case")


def test_case_id_is_that_of_voxels_and_geometry(tmp_path: Path) -> None:
    def case_of(image: sitk.Image, name: str) -> str:
        return read(write_nifti(image, tmp_path / name), tmp_path / f"case_{name}").source.case_id

    first = case_of(make_volume_image(), "a.nii")
    assert first == case_of(make_volume_image(orientation="PIL"), "b.nii.gz")
    assert first != case_of(make_volume_image(seed=1), "c.nii")
    assert first != case_of(make_volume_image(tilt_degrees=5), "d.nii")


def test_a_unit_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    file = write_nifti(make_volume_image(), tmp_path / "a.nii")
    content = bytearray(file.read_bytes())
    content[123] = 5  # xyzt_units
    file.write_bytes(content)
    with pytest.raises(InputError, match="how large its voxels are"):
        read(file, tmp_path / "case")


@pytest.mark.parametrize("code", [255, 7, 4])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_any_unit_that_does_not_exist_is_refused(code: int, kind: type, tmp_path: Path) -> None:
    image = kind(voxels_ijk(), RAS)
    image.header["xyzt_units"] = code
    with pytest.raises(InputError, match="how large its voxels are"):
        read(save(image, tmp_path), tmp_path / "case")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quatern_b", 2.0),
        ("quatern_c", np.nan),
        ("quatern_d", np.inf),
        ("qoffset_x", np.nan),
        ("pixdim", [np.nan] * 8),
    ],
)
def test_a_second_orientation_that_is_damaged_is_warned_of(field: str, value: object, tmp_path: Path) -> None:
    image = nib.Nifti1Image(voxels_ijk(), RAS)
    image.header["qform_code"], image.header[field] = 1, value
    file = tmp_path / "a.nii"
    nib.save(nib.Nifti1Image(voxels_ijk(), RAS), file)
    content = bytearray(file.read_bytes())
    content[:348] = image.header.binaryblock
    content[108:112] = np.float32(352).tobytes()
    content[280:328] = RAS[:3].astype("<f4").tobytes()
    content[254:256] = np.int16(1).tobytes()  # sform_code
    file.write_bytes(content)
    volume = read(file, tmp_path / "case")
    assert volume.spacing_mm_xyz == pytest.approx((6.5, 6.0, 12.0))
    assert field == "qoffset_x" or "orientation_conflict" in {w.code for w in volume.warnings}


@pytest.mark.parametrize("value", [1e30, 1e-30])
def test_values_that_no_image_holds_are_refused(value: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no intensities"):
        read(save(nib.Nifti1Image(voxels_ijk("float32") * np.float32(value), RAS), tmp_path), tmp_path / "case")
