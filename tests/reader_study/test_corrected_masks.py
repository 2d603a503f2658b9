"""Corrected masks as training data."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from models.files import file_sha256
from pipeline.case import view
from pipeline.cohort.images import read_labelled
from pipeline.cohort.labelled_cases import find_cases
from pipeline.errors import ManifestError, StudyError
from pipeline.reader_study.corrected_masks import export_masks
from pipeline.reader_study.study_folder import StudyFolder
from tests.reader_study.studies import Planted, rows, write_rows, write_study

SMALL = Planted(readers=2, positives=2, negatives=2)
SIZE = (6, 5, 4)


def image(values: np.ndarray) -> sitk.Image:
    """(z, y, x) values on the grid of all these tests, which is not LPS."""
    found = sitk.GetImageFromArray(values)
    found.SetSpacing((1.5, 1.5, 5.0))
    found.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, 1))
    return found


def liver(*slices: int) -> np.ndarray:
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[list(slices), 1:4, 1:5] = 1
    return mask


def write_mask(folder: StudyFolder, review_id: str, mask: np.ndarray) -> str:
    """Store a corrected mask; returns its hash."""
    file = folder.corrected(review_id) / "liver_mask.nii.gz"
    file.parent.mkdir(parents=True)
    sitk.WriteImage(image(mask), str(file))
    return file_sha256(file)


@pytest.fixture
def folder(tmp_path) -> StudyFolder:
    """Two corrections of C1 and one of C3 in aided reads, and the images of all cases."""
    folder = StudyFolder(write_study(tmp_path / "study", SMALL, [], closed=False))
    random = np.random.default_rng(0)
    for case in ("P1", "P2", "C1", "C2", "C3", "C4"):
        voxels = random.integers(0, 500, SIZE[::-1]).astype(np.int16)
        sitk.WriteImage(image(voxels), str(folder.case(case) / "volume.nii.gz"))
    edits = {"R1-aided-C1": liver(0), "R2-aided-C1": liver(1, 2), "R1-aided-C3": liver(3)}
    hashes = {review_id: write_mask(folder, review_id, mask) for review_id, mask in edits.items()}
    write_rows(
        folder,
        [
            replace(one, mask_edited=one.review_id in hashes, mask_sha256=hashes.get(one.review_id, "0"))
            for one in rows(SMALL)
        ],
    )
    return folder


def labels(out: Path, case: str) -> np.ndarray:
    cases = find_cases(out)
    return view(read_labelled(case, *cases[case])[1])


def test_the_latest_correction_of_each_case_is_training_data(folder, tmp_path):
    out = tmp_path / "out"
    found = export_masks(folder, out)
    assert (found.cases, found.earlier, found.left_out, found.other_organs) == (("C1", "C3"), 1, {}, False)
    assert list(find_cases(out)) == list(find_cases(out / "manifest.csv")) == ["C1", "C3"]
    as_read = view(
        read_labelled("C1", folder.case("C1") / "volume.nii.gz", folder.corrected("R2-aided-C1") / "liver_mask.nii.gz")[
            1
        ]
    )
    assert np.array_equal(labels(out, "C1"), as_read)
    assert labels(out, "C1").sum() == 24
    stored = sitk.ReadImage(str(out / "labelsTr" / "C1.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(stored), liver(1, 2)), "on the image's own grid, not turned"
    assert stored.GetDirection() == sitk.ReadImage(str(out / "imagesTr" / "C1_0000.nii.gz")).GetDirection()
    dataset = json.loads((out / "dataset.json").read_text())
    assert dataset["numTraining"] == 2
    assert dataset["labels"] == {"background": 0, "liver": 1, "right_kidney": 2, "left_kidney": 3, "spleen": 4}
    with (out / "manifest.csv").open(newline="") as stream:
        assert [row["mask"] for row in csv.DictReader(stream)] == ["labelsTr/C1.nii.gz", "labelsTr/C3.nii.gz"]


def test_other_organs_of_the_model_stay_where_no_liver_was_drawn(folder, tmp_path):
    organs = np.zeros(SIZE[::-1], np.uint8)
    organs[0] = 1  # the model's liver, which the reader took away
    organs[1] = 4
    organs[3] = 2
    sitk.WriteImage(image(organs), str(folder.case("C1") / "organs.nii.gz"))
    assert export_masks(folder, tmp_path / "out").other_organs
    expected = np.where(liver(1, 2) == 1, 1, np.where(organs == 1, 0, organs))
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "labelsTr" / "C1.nii.gz")))
    assert np.array_equal(stored, expected)


def test_masks_that_are_not_those_of_the_rows_are_left_out_and_counted(folder, tmp_path):
    (folder.corrected("R1-aided-C3") / "liver_mask.nii.gz").unlink()
    sitk.WriteImage(image(liver(0, 1)), str(folder.corrected("R2-aided-C1") / "liver_mask.nii.gz"))
    found = export_masks(folder, tmp_path / "out")
    assert found.cases == ("C1",)
    assert found.earlier == 0
    assert found.left_out == {"masks that are missing": 1, "masks that were changed after they had been saved": 1}
    assert labels(tmp_path / "out", "C1").sum() == 12, "the earlier correction, which is as it was saved"


def test_nothing_is_written_over_or_from_nothing(folder, tmp_path):
    with pytest.raises(StudyError, match="empty one"):
        export_masks(folder, folder.root)
    (folder.reviews / "reviews-planted.csv").unlink()
    with pytest.raises(StudyError, match="No corrected mask"):
        export_masks(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rows_of_other_studies_and_odd_ids_are_no_source(folder, tmp_path):
    edited = [replace(one, mask_edited=True, mask_sha256="0") for one in rows(SMALL) if one.reader == "R2"]
    odd = [
        replace(edited[0], study="other", review_id="other", saved_at=edited[0].saved_at + timedelta(days=9)),
        replace(edited[0], review_id="../C1", saved_at=edited[0].saved_at + timedelta(days=9)),
        replace(edited[0], case_id="../C1", review_id="path", saved_at=edited[0].saved_at + timedelta(days=9)),
    ]
    write_rows(folder, odd)
    with pytest.raises(StudyError, match="No corrected mask"):
        export_masks(folder, tmp_path / "out")


@pytest.mark.parametrize(("size", "words"), [((4, 5, 7), "different sizes"), ((4, 5, 6), "empty")])
def test_a_mask_that_does_not_fit_is_refused(folder, tmp_path, size, words):
    file = folder.corrected("R1-aided-C3") / "liver_mask.nii.gz"
    sitk.WriteImage(image(np.zeros(size, np.uint8)), str(file))
    edited = [
        replace(one, mask_edited=True, mask_sha256=file_sha256(file))
        for one in rows(SMALL)
        if one.review_id == "R1-aided-C3"
    ]
    write_rows(folder, edited)
    with pytest.raises(ManifestError, match=f"C3: .*{words}"):
        export_masks(folder, tmp_path / "out")
