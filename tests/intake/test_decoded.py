"""A series is decoded once per case; what is read again is equal, and no fault of the cache reaches the reader."""

from __future__ import annotations

import errno
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.case import Study, Volume
from pipeline.intake import decoded, dicom
from pipeline.intake.study import open_upload, preselected, read_series
from tests.phantoms import SECRET, make_volume_image, write_dicom_series


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A tilted, coronal DICOM series: every part of the geometry differs from the default, and there is a warning."""
    image = make_volume_image((24, 20, 18), orientation="LIP", tilt_degrees=7.0)
    write_dicom_series(image, tmp_path / "series")
    return open_upload(tmp_path / "series", tmp_path / "case")


def read(study: Study) -> Volume:
    return read_series(study, preselected(study).key)


def assert_equal(one: Volume, other: Volume) -> None:
    assert other.voxels.dtype == one.voxels.dtype == np.float32
    assert np.array_equal(one.voxels, other.voxels)
    for part in ("GetSpacing", "GetOrigin", "GetDirection", "GetPixelID"):
        assert getattr(one.image, part)() == getattr(other.image, part)()
    assert (one.source, one.warnings) == (other.source, other.warnings)


def test_the_second_read_decodes_nothing_and_gives_the_same_volume(study, monkeypatch):
    first = read(study)
    assert first.warnings
    monkeypatch.setattr(dicom, "read_stack", lambda frames: pytest.fail("decoded again"))
    assert_equal(first, read(study))


def test_nifti_is_decoded_once_as_well(tmp_path, monkeypatch):
    sitk.WriteImage(make_volume_image(orientation="RAS"), str(tmp_path / "upload.nii.gz"))
    study = open_upload(tmp_path / "upload.nii.gz", tmp_path / "case")
    first = read(study)
    monkeypatch.setattr("pipeline.intake.nifti.read_image", lambda file: pytest.fail("decoded again"))
    assert_equal(first, read(study))


def test_a_full_disk_does_not_stop_reading(study, monkeypatch, caplog):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(study.folder))

    with caplog.at_level(logging.WARNING), monkeypatch.context() as patched:
        patched.setattr(np, "save", full)
        first = read(study)
    assert "OSError" in caplog.text
    assert str(study.folder) not in caplog.text
    assert not [file for file in study.folder.iterdir() if "decoded" in file.name]
    assert_equal(first, read(study))


@pytest.mark.parametrize("name", ["decoded-s01.npy", "decoded-s01.json"])
@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04"], ids=["cut", "empty", "zip"])
def test_a_damaged_cache_is_decoded_again(study, name, content):
    first = read(study)
    file = study.folder / name
    file.write_bytes(file.read_bytes()[:-100] if content is None else content)
    assert_equal(first, read(study))
    assert_equal(first, read(study))


def test_a_discarded_case_does_not_come_back_to_the_disk(study):
    volume = read(study)
    shutil.rmtree(study.folder)
    decoded.store(volume, study.folder, "s01")
    assert not study.folder.exists()


def test_a_case_that_is_discarded_while_it_is_stored_leaves_nothing(study, monkeypatch):
    save = np.save

    def save_late(*arguments, **options):
        shutil.rmtree(study.folder)
        save(*arguments, **options)

    monkeypatch.setattr(np, "save", save_late)
    read(study)
    assert not study.folder.exists()


def test_the_cache_names_no_patient(study):
    read(study)
    kept = b"".join(file.read_bytes() for file in study.folder.glob("decoded-*"))
    assert SECRET.encode() not in kept
