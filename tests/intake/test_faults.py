"""The log of a fault: class and tag or field of the error, and nothing of the patient."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.intake import open_upload, preselected, read_series
from pipeline.intake.faults import describe, reading
from tests.intake.helpers import read, save, write_nifti
from tests.phantoms import make_datasets, make_volume_image

ROWS = b"\x28\x00\x10\x00US\x02\x00"
NAME = b"DOE^JANE"


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="pipeline")


def named_in_place_of_a_number(file: Path) -> None:
    """Put a patient's name where the number of rows belongs."""
    content = file.read_bytes()
    at = content.index(ROWS)
    name = b"\x28\x00\x10\x00LO" + len(NAME).to_bytes(2, "little") + NAME
    file.write_bytes(content[:at] + name + content[at + len(ROWS) + 2 :])


def test_a_name_in_a_damaged_header_stays_out_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = sorted(save(make_datasets(make_volume_image()), tmp_path / "Doe_Jane").iterdir())
    for file in files[:2]:
        named_in_place_of_a_number(file)
    study = open_upload(tmp_path / "Doe_Jane", tmp_path / "case")
    assert [left.description for left in study.left_out] == ["2 DICOM files"]
    assert caplog.messages == ["DICOM header: ValueError at Rows (0028,0010) in 2 files"]
    assert not any(part in caplog.text.upper() for part in ("DOE", "JANE"))


def test_missing_pixels_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    datasets = make_datasets(make_volume_image())
    for dataset in datasets:
        del dataset.PixelData
    study = open_upload(save(datasets, tmp_path / "series"), tmp_path / "case")
    with pytest.raises(InputError, match="pixels"):
        read_series(study, preselected(study).key)
    assert caplog.messages == ["DICOM pixels: AttributeError at PixelData (7FE0,0010)"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:108] + b"\xff\xff\xff\x7f" + content[112:], "NIfTI header: ValueError at vox_offset"),
        (lambda content: content[: len(content) // 2], "NIfTI voxels: OSError"),
    ],
    ids=["offset", "cut"],
)
def test_nifti_faults_are_logged(change, message, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write_nifti(make_volume_image(), tmp_path / "Doe_Jane.nii")
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(InputError):
        read(file, tmp_path / "case")
    assert caplog.messages == [message]


def test_a_damaged_zip_and_a_lost_case_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    archive = tmp_path / "Doe_Jane.zip"
    archive.write_bytes(b"PK\x03\x04" + b"\0" * 40)
    with pytest.raises(InputError):
        open_upload(archive, tmp_path / "zip")
    study = open_upload(save(make_datasets(make_volume_image()), tmp_path / "series"), tmp_path / "case")
    (tmp_path / "case" / "index.json").unlink()
    with pytest.raises(InputError):
        read_series(study, preselected(study).key)
    assert caplog.messages == ["zip archive: BadZipFile", "files of the case: FileNotFoundError ENOENT"]


def test_the_innermost_field_counts() -> None:
    with pytest.raises(ValueError, match="secret") as caught, reading("PatientName"), reading("EchoTime"):
        raise ValueError("secret")
    assert describe(caught.value) == "ValueError at EchoTime (0018,0081)"


def test_other_notes_are_not_quoted() -> None:
    error = KeyError("secret")
    error.add_note("secret")
    assert describe(error) == "KeyError"
