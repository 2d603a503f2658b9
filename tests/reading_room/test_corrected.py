"""A corrected outline is stored with the aided read that it belongs to, once, and is exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from models.files import file_sha256
from pipeline.reader_study.corrected_masks import MASK_FILE, export_masks
from tests.page.masks import sent_mask as sent
from tests.reading_room.clients import AIDED_ANSWERS, ANSWERS, Person, Trial


def aided(trial: Trial) -> tuple[Person, int, np.ndarray]:
    """A reader before an aided read, the read's number, and the model's mask (z, y, x)."""
    person = trial.log_in("R1")
    while person.next is not None and (person.next.arm != "aided" or person.next.practice):
        person.read()
    assert person.next
    model = sitk.GetArrayFromImage(sitk.ReadImage(str(trial.room.files(person.next.case_id).mask))) > 0
    return person, person.next.number, model


def corrected(model: np.ndarray) -> np.ndarray:
    liver = model.copy()
    liver[0, :3, :4] = ~liver[0, :3, :4]
    return liver


def test_a_corrected_outline_is_stored_and_exported(trial: Trial, tmp_path: Path) -> None:
    person, number, model = aided(trial)
    liver = corrected(model)
    assert person.save(number, **AIDED_ANSWERS, mask=sent(liver)).json()["status"] == "saved"
    row = person.rows()[-1]
    file = trial.folder.corrected(row["review_id"]) / MASK_FILE
    assert row["mask_edited"] == "yes"
    assert row["mask_sha256"] == file_sha256(file)
    stored = sitk.ReadImage(str(file))
    assert np.array_equal(sitk.GetArrayFromImage(stored) > 0, liver)
    volume = sitk.ReadImage(str(trial.room.files(row["case_id"]).volume))
    assert stored.GetSpacing() == pytest.approx(volume.GetSpacing())
    assert stored.GetDirection() == pytest.approx(volume.GetDirection())
    assert export_masks(trial.folder, tmp_path / "out").cases == (row["case_id"],)


def test_the_models_own_outline_is_no_correction(trial: Trial) -> None:
    person, number, model = aided(trial)
    person.save(number, **AIDED_ANSWERS, mask=sent(model))
    assert person.rows()[-1]["mask_edited"] == "no"
    assert not (trial.folder.root / "corrected").exists()


def test_an_unaided_read_takes_no_outline(trial: Trial) -> None:
    person = trial.log_in("R1")
    read = person.next
    assert read
    model = sitk.GetArrayFromImage(sitk.ReadImage(str(trial.room.files(read.case_id).mask))) > 0
    assert person.save(read.number, **ANSWERS, mask=sent(corrected(model))).json()["status"] == "saved"
    assert person.rows()[-1]["mask_edited"] in ("", "no")
    assert not (trial.folder.root / "corrected").exists()


@pytest.mark.parametrize("text", ["x", "{}", sent(np.ones((2, 3, 4), bool)), "a" * 800_000])
def test_an_outline_of_other_images_is_refused_and_the_read_stays_open(trial: Trial, text: str) -> None:
    person, number, _ = aided(trial)
    answer = person.save(number, **AIDED_ANSWERS, mask=text)
    assert answer.status_code == 422
    assert "outline" in answer.json()["error"]
    assert person.next
    assert person.next.number == number


def test_a_second_tab_changes_neither_row_nor_outline(trial: Trial) -> None:
    person, number, model = aided(trial)
    person.save(number, **AIDED_ANSWERS, mask=sent(corrected(model)))
    row = person.rows()[-1]
    again = person.save(number, **AIDED_ANSWERS, mask=sent(~model))
    assert again.json()["status"] == "already"
    file = trial.folder.corrected(row["review_id"]) / MASK_FILE
    assert person.rows()[-1] == row
    assert file_sha256(file) == row["mask_sha256"]
