"""Real headers from vendors and odd ones from test suites: a volume or one sentence, never a traceback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from pipeline.case import Volume
from pipeline.errors import PipelineError
from pipeline.intake import open_upload
from tests.intake.helpers import read, save
from tests.shared import shared_path, shared_paths


def holds_files(folder: Path) -> bool:
    return folder.is_dir() and any(p.is_file() for p in folder.rglob("*"))


def attempt(path: Path, into: Path) -> tuple[Volume | None, str]:
    """The volume, or the sentence that refuses it; any other exception fails the test."""
    try:
        return read(path, into), ""
    except PipelineError as refused:
        return None, str(refused)


@pytest.mark.parametrize("path", [*shared_paths("dicom/**/*", want=holds_files), *shared_paths("dicom/**/*")])
def test_volume_or_one_sentence(path: Path, tmp_path: Path) -> None:
    volume, message = attempt(path, tmp_path / "case")
    if volume is None:
        assert message.endswith(".")
        assert "\n" not in message
        assert path.name not in message
    else:
        assert np.isfinite(volume.voxels).all()
        assert volume.warnings, "nothing here is an axial T2 of a whole liver"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gantrytilting/001", "tilted gantry"),
        ("notavolume/001", "one position"),
        ("slicecount/001", "two slices"),
        ("sliceincrement/001", "a slice is missing"),
        ("sliceincrement/002", "tilted gantry"),
        ("sliceorientation/001", "different directions"),
    ],
)
def test_failing_series_have_their_own_reasons(name: str, reason: str, tmp_path: Path) -> None:
    folder = shared_path("dicom/dicom2nifti/failing") / name
    with pytest.raises(PipelineError, match=reason) as refused:
        open_upload(folder, tmp_path / "case")
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in folder.iterdir()]
    assert ("not MR" in str(refused.value)) == (headers[0].Modality != "MR")


def test_nine_transfer_syntaxes_decode_to_the_same_voxels(tmp_path: Path) -> None:
    volumes = {}
    for file in sorted(shared_path("dicom/transfer_syntaxes").glob("*.dcm")):
        slices = []
        for z in range(3):
            dataset = pydicom.dcmread(file)  # one slice: three copies of its encoded pixels make a stack
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "M"]
            dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            dataset.ImagePositionPatient = [0, 0, 5.0 * z]
            dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID}.{z}"
            slices.append(dataset)
        volumes[file.name] = read(save(slices, tmp_path / file.stem), tmp_path / "case" / file.stem).voxels
    assert len(volumes) == 9
    first = volumes["1.dcm"]
    assert first.max() > first.min()
    assert [name for name, voxels in volumes.items() if not np.array_equal(voxels, first)] == []


@pytest.mark.parametrize("path", shared_paths("nifti/*"))
def test_every_odd_nifti_is_refused_or_flagged(path: Path, tmp_path: Path) -> None:
    volume, message = attempt(path, tmp_path / "case")
    assert volume is None or volume.warnings
    assert path.stem not in message


@pytest.mark.parametrize("truth", shared_paths("dicom/dicom2nifti/*/anatomical/*_ground_truth.nii.gz"))
def test_vendor_series_equal_an_independent_conversion(truth: Path, tmp_path: Path) -> None:
    series = truth.with_name(truth.name.removesuffix("_ground_truth.nii.gz"))
    if series.name == "001_single_slice":
        pytest.skip("one slice: refused")
    ours, theirs = read(series, tmp_path / "ours"), read(truth, tmp_path / "theirs")
    assert np.allclose(ours.voxels, theirs.voxels, rtol=1e-6)
    for name in ("GetSize", "GetOrigin", "GetSpacing", "GetDirection"):
        assert np.allclose(getattr(ours.image, name)(), getattr(theirs.image, name)(), atol=1e-4), name
