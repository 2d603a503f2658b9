"""Over HTTP: before the lock no response holds probability, mask or heat map, under any address; nor ever the truth."""

from __future__ import annotations

import base64
import io
import re
from datetime import timedelta

import numpy as np
import pytest
from PIL import Image

from pipeline.reader_study.protocol import write_protocol
from pipeline.reader_study.work_list import AIDED, UNAIDED, arms_of
from tests.reading_room.clients import AIDED_ANSWERS, ANSWERS, Person, Trial
from tests.reading_room.secrets import Secrets, everything_asked


def leaks(person: Person, case_ids: set[str]) -> list[tuple[str, list[str]]]:
    """Addresses whose answers hold anything of these cases' results, and what."""
    trial = person.trial
    secrets = [Secrets(trial, case_id) for case_id in case_ids]
    asked = everything_asked(person, trial.reads(person.code))
    return [(address, found) for address, answer in asked for one in secrets if (found := one.found_in(answer))]


def test_the_search_finds_what_an_aided_read_shows(trial: Trial) -> None:
    """Else the tests below would pass by themselves."""
    person = trial.log_in("R1")
    person.read_until(4)
    read = person.next
    assert read is not None
    assert read.arm == AIDED
    secrets = Secrets(trial, read.case_id)
    page = person.client.get("/read")
    assert {text for text in secrets.found_in(page) if text.endswith("%")}
    assert "file" in secrets.found_in(person.client.get("/files/4/heat.nii.gz"))
    assert "voxels" in secrets.found_in(person.client.get("/files/4/liver.nii.gz"))


@pytest.mark.parametrize("number", [1, 3, 5])
def test_before_the_lock_nothing_of_the_result_leaves_the_server(trial: Trial, number: int) -> None:
    person = trial.log_in("R1")
    person.read_until(number)
    read = person.next
    assert read is not None
    assert read.arm == UNAIDED
    person.client.get("/read")
    unread = {one.case_id for one in trial.reads("R1") if one.number >= number}
    assert leaks(person, unread) == []


def test_the_images_are_served_and_nothing_else(trial: Trial) -> None:
    person = trial.log_in("R1")
    person.read_until(3)
    data = Person.data(person.client.get("/read"))
    assert data["value"]["overlays"] is None
    assert set(data["value"]["windows"]) == {"full"}
    assert data["value"]["start_xyz"] == [24, 20, 6]
    assert person.client.get("/files/3/volume.nii.gz").status_code == 200
    for name in ("liver.nii.gz", "outline.nii.gz", "heat.nii.gz", "analysis.json", "overlays.json"):
        assert person.client.get(f"/files/3/{name}").status_code == 404
    assert person.client.get("/files/5/volume.nii.gz").status_code == 404  # of a case that is not its turn


def test_a_drawn_slice_of_an_unaided_read_has_no_overlay(trial: Trial) -> None:
    person = trial.log_in("R1")
    person.read_until(3)

    def drawn(case: str, opacity: float) -> np.ndarray:
        wish = {"case": case, "index": 6, "window": [0, 400], "outline": opacity, "fill": opacity, "heat": opacity}
        answer = person.client.post("/slice", json=wish)
        assert answer.status_code == 200
        picture = Image.open(io.BytesIO(base64.b64decode(answer.json().split(",")[1])))
        return np.asarray(picture.convert("RGB"), int)

    assert (drawn("unaided-3", 1.0) == drawn("unaided-3", 0.0)).all()
    person.read()
    assert (drawn("aided-4", 1.0) != drawn("aided-4", 0.0)).any()


def test_the_result_comes_with_the_aided_read_and_goes_with_it(trial: Trial) -> None:
    person = trial.log_in("R1")
    person.read_until(4)
    assert person.client.get("/files/4/heat.nii.gz").status_code == 200
    case_id = trial.reads("R1")[3].case_id
    person.read()
    others = {read.case_id for read in trial.reads("R1") if read.number > 4}
    assert leaks(person, others - {case_id}) == []


def test_a_crossover_study_shows_results_in_the_aided_sitting_only(crossover: Trial) -> None:
    protocol = crossover.prepared.protocol
    unaided_first = next(one for one in ("R1", "R2") if arms_of(protocol, one)[0] == UNAIDED)
    aided_first = next(one for one in ("R1", "R2") if one != unaided_first)
    cases = {case.case_id for case in protocol.cases if not case.practice}

    blind = crossover.log_in(unaided_first)
    blind.read_until(2)
    assert leaks(blind, cases) == []
    blind.read_until(5)
    assert leaks(blind, cases) == []  # the washout lasts
    crossover.clock.added = timedelta(days=28, minutes=1)
    aided = blind.client.get("/read")
    assert aided.status_code == 200
    assert Person.data(aided)["aided"]

    other = crossover.log_in(aided_first)
    other.read_until(5)
    assert leaks(other, cases) == []  # what was read aided is withheld while the washout lasts
    crossover.clock.added = timedelta(days=57)
    other.read()  # the practice case of the second sitting
    assert leaks(other, cases) == []


def test_no_response_to_a_reader_holds_truth_names_or_other_readers_rows(trial: Trial) -> None:
    other = trial.log_in("R2")
    other.read_until(20)
    ids = [row["review_id"] for row in other.rows()]
    assert len(ids) == 8
    person = trial.log_in("R1")
    answers = []
    while person.next is not None:
        read = person.next
        asked = everything_asked(person, ())
        answers += [answer for address, answer in asked if "feedback" not in address]
        answers.append(person.client.get("/read"))
        answers.append(person.save(read.number, **(AIDED_ANSWERS if read.arm == AIDED else ANSWERS)))
    told = (*ids, "Meyer", "truth", "reference")
    for answer in answers:
        assert not [one for one in told if one in answer.text.replace("references", "")]
        assert not re.search(r"(?<![\w.-])R2(?![\w.-])", answer.text)  # signed tokens hold any letters


def test_only_practice_cases_have_feedback_and_only_when_they_are_done(trial: Trial) -> None:
    person = trial.log_in("R1")
    assert person.client.get("/feedback?number=1").status_code == 404
    person.read()
    for number in (1, 2):
        assert person.client.get(f"/feedback?number={number}").status_code == 404
    person.read()
    feedback = person.client.get("/feedback?number=2")
    assert "Reference standard: <b>positive</b>" in feedback.text
    assert "62 %" in feedback.text
    person.read_until(5)
    for number in (1, 3, 4, 5, 6):
        assert person.client.get(f"/feedback?number={number}").status_code == 404


def test_an_overlay_that_was_sent_ends_the_correction_of_the_unaided_read(trial: Trial) -> None:
    person = trial.log_in("R1")
    person.read_until(3)
    unaided = person.read()
    assert trial.room.work("R1").next.arm == AIDED
    row = person.rows()[-1]
    assert person.client.get(f"/files/{unaided.number + 1}/liver.nii.gz").status_code == 200
    again = person.save(unaided.number, **ANSWERS, corrects=row["review_id"], correction="I looked again.")
    assert again.status_code == 404
    assert person.rows()[-1] == row


def test_files_do_not_say_when_their_case_was_analysed(trial: Trial) -> None:
    person = trial.log_in("R1")
    headers = person.client.get("/files/1/volume.nii.gz").headers
    assert not {"last-modified", "etag"} & {name.lower() for name in headers}


def test_a_study_that_was_prepared_anew_takes_no_rows_of_the_old_protocol(trial: Trial) -> None:
    person = trial.log_in("R1")
    read = person.next
    assert read
    changed = trial.folder.read_protocol().model_copy(update={"question": "Another one?"})
    write_protocol(trial.folder.protocol_file, changed)
    answer = person.save(read.number, **ANSWERS)
    assert answer.status_code == 409
    assert "coordinator" in answer.json()["error"]
    assert person.rows() == []
