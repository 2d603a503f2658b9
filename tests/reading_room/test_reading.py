"""Saving, locking, correcting, leaving and coming back, over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pipeline.errors import StudyError
from pipeline.reader_study.work_list import AIDED, UNAIDED
from pipeline.reading_room.room import Room
from tests.reading_room.clients import AIDED_ANSWERS, ANSWERS, Person, Trial


def test_a_whole_sequential_study_of_one_reader(trial: Trial) -> None:
    person = trial.log_in("R1")
    while person.next is not None:
        person.read()
    rows = person.rows()
    assert [(row["case_id"], row["arm"], row["order_index"]) for row in rows] == [
        (read.case_id, read.arm, str(read.number)) for read in trial.reads("R1")
    ]
    protocol = trial.prepared.protocol
    assert {(row["study"], row["protocol_sha256"], row["seed"]) for row in rows} == {("trial", protocol.sha256, "1")}
    assert {row["reader_experience"] for row in rows} == {"10 years"}
    for row in rows:
        aided = row["arm"] == AIDED
        assert row["after_reveal"] == ("yes" if aided else "no")
        assert bool(row["probability"]) == aided
        assert bool(row["agreement"]) == aided
        assert row["opened_at"]
    assert "All reads are done" in person.client.get("/").text
    assert person.client.get("/read").status_code == 303


def test_two_tabs_make_one_row_and_the_second_is_told(trial: Trial) -> None:
    person = trial.log_in("R1")
    first = person.save(1, **ANSWERS)
    second = person.save(1, **(ANSWERS | {"suspicion": 5, "advanced_fibrosis": "no"}))
    assert (first.json()["status"], second.json()["status"]) == ("saved", "already")
    assert "another tab" in second.json()["message"]
    assert [row["suspicion"] for row in person.rows()] == ["62"]
    assert second.json()["next"] == first.json()["next"]


def test_many_saves_at_once_make_one_row(trial: Trial) -> None:
    """Also from two processes: each has an application of its own."""
    person = trial.log_in("R1")
    elsewhere = Trial.reopen(trial.folder, trial.prepared).log_in("R1")
    answers: list[Any] = []

    def save(who: Person, suspicion: int) -> None:
        answers.append(who.save(1, **(ANSWERS | {"suspicion": suspicion})))

    threads = [threading.Thread(target=save, args=((person, elsewhere)[n % 2], n)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.json()["status"] for answer in answers) == ["already"] * 7 + ["saved"]
    assert len(person.rows()) == 1


def test_another_machine_goes_on_at_the_same_place(trial: Trial) -> None:
    trial.log_in("R1").read_until(4)
    elsewhere = Trial.reopen(trial.folder, trial.prepared).log_in("R1")
    assert "Case 1 of 3, with the AI" in elsewhere.client.get("/").text
    assert Person.data(elsewhere.client.get("/read"))["number"] == 4


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"suspicion": None}, "your suspicion"),
        ({"confidence": None}, "your confidence"),
        ({"advanced_fibrosis": ""}, "advanced fibrosis"),
        ({"suspicion": None, "confidence": None}, "your suspicion, your confidence"),
        ({"suspicion": 101}, "between 0 and 100"),
        ({"confidence": 6}, "offered answers"),
        ({"reason": "x" * 4001}, "Shorten the text"),
        ({"suspicion": "62"}, "reload the page"),
        ({"truth": 1}, "reload the page"),
        ({"correction": "because", "corrects": "x"}, "not open"),
        ({"agreement": "agree"}, None),
    ],
)
def test_what_is_incomplete_or_odd_is_not_stored(trial: Trial, changes: dict[str, Any], asked: str | None) -> None:
    person = trial.log_in("R1")
    answer = person.save(1, **(ANSWERS | changes))
    if asked is None:  # what an unaided read does not ask for is dropped
        assert person.rows()[0]["agreement"] == ""
        return
    assert answer.status_code >= 400
    assert asked in answer.json()["error"]
    assert person.rows() == []


def test_an_aided_read_asks_more_and_not_assessable_less(trial: Trial) -> None:
    person = trial.log_in("R1")
    assert person.save(1, advanced_fibrosis="not_assessable").json()["status"] == "saved"
    answer = person.save(2, **ANSWERS)
    assert "agreement with the model, segmentation" in answer.json()["error"]
    assert person.save(2, **AIDED_ANSWERS).json()["status"] == "saved"


def test_reads_are_done_in_their_order(trial: Trial) -> None:
    person = trial.log_in("R1")
    for number in (0, 2, 3, 99, -1):
        assert person.save(number, **AIDED_ANSWERS).status_code in (403, 404)
    assert person.rows() == []


def test_a_correction_needs_a_reason_and_is_a_row_of_its_own(trial: Trial) -> None:
    person = trial.log_in("R1")
    person.read_until(4)
    form = Person.data(person.client.get("/read?number=3"))
    corrects = form["corrects"]
    assert form["answers"]["suspicion"] == "62"
    again = ANSWERS | {"suspicion": 10}
    assert "why you correct" in person.save(3, **again, correction=" ", corrects=corrects).json()["error"]
    again |= {"correction": "wrong key", "corrects": corrects}
    assert person.save(3, **again).json()["status"] == "saved"
    assert person.save(3, **again).json()["status"] == "already"
    assert person.save(3, **again | {"corrects": "another"}).status_code == 409
    first, correction = (row for row in person.rows() if row["order_index"] == "3")
    assert correction["revises"] == first["review_id"]
    assert (first["suspicion"], correction["suspicion"], correction["comment"]) == ("62", "10", "wrong key")
    assert trial.room.work("R1").first[3]["suspicion"] == "62"
    assert person.next is not None
    assert person.next.number == 4


def test_an_unaided_read_cannot_be_corrected_after_the_reveal(trial: Trial) -> None:
    person = trial.log_in("R1")
    person.read_until(4)
    assert "Correct" in person.client.get("/").text
    corrects = Person.data(person.client.get("/read?number=3"))["corrects"]
    person.client.get("/read")  # shows the result
    assert person.client.get("/read?number=3").status_code == 404
    assert person.save(3, **ANSWERS, correction="the model says so", corrects=corrects).status_code == 404
    elsewhere = Trial.reopen(trial.folder, trial.prepared).log_in("R1")
    assert elsewhere.client.get("/read?number=3").status_code == 404
    person.read()
    corrects = Person.data(person.client.get("/read?number=4"))["corrects"]
    answer = person.save(4, **AIDED_ANSWERS, correction="wrong key", corrects=corrects)
    assert answer.json()["status"] == "saved"


def test_the_washout_is_kept_by_the_server(crossover: Trial) -> None:
    person = crossover.log_in("R1")
    person.read_until(5)
    assert "second one opens on" in person.client.get("/").text
    arm = crossover.reads("R1")[4].arm
    answers = AIDED_ANSWERS if arm == AIDED else ANSWERS
    for days in (0, 27.99):
        crossover.clock.added = timedelta(days=days)
        assert person.client.get("/read").status_code == 303
        assert person.client.get("/read?number=5").status_code == 403
        assert person.client.get("/files/5/volume.nii.gz").status_code == 403
        assert person.save(5, **answers).status_code == 403
        assert person.client.get("/read?number=4").status_code == 404  # nor the first sitting again
    crossover.clock.added = timedelta(days=28, minutes=1)
    person = crossover.log_in("R1")
    assert person.client.get("/read").status_code == 200
    assert person.save(5, **answers).json()["status"] == "saved"
    while person.next is not None:
        person.read()
    arms = [row["arm"] for row in person.rows()]
    assert sorted(arms) == sorted([UNAIDED, AIDED] * 4)


def test_what_was_viewed_is_stored_as_far_as_it_can_be_true(trial: Trial) -> None:
    person = trial.log_in("R1")
    opened = Person.data(person.client.get("/read"))["opened"]
    trial.clock.added = timedelta(seconds=100)
    viewing = {"slices_viewed": [3, 2, 2], "overlays_opened": ["mask"], "active_seconds": 70, "pauses": 1}
    person.save(1, **ANSWERS, opened=opened, viewing=json.dumps(viewing))
    row = person.rows()[0]
    assert (row["slices_viewed"], row["active_seconds"], row["pauses"]) == ("2|3", "70.0", "1")
    assert row["overlays_opened"] == ""  # there was none
    opened = Person.data(person.client.get("/read"))["opened"]
    viewing |= {"slices_viewed": [13], "active_seconds": 7000}
    person.save(2, **AIDED_ANSWERS, opened=opened, viewing=json.dumps(viewing))
    row = person.rows()[1]
    assert (row["slices_viewed"], row["active_seconds"], row["overlays_opened"]) == ("", "", "mask")


def test_the_time_of_opening_outlives_a_restart_and_cannot_be_forged(trial: Trial) -> None:
    person = trial.log_in("R1")
    opened = Person.data(person.client.get("/read"))["opened"]
    trial.clock.added = timedelta(hours=1)
    assert Person.data(person.client.get("/read"))["opened"] != opened
    elsewhere = Trial.reopen(trial.folder, trial.prepared).log_in("R1")
    elsewhere.save(1, **ANSWERS, opened=opened)
    assert elsewhere.rows()[0]["opened_at"]
    elsewhere.save(2, **AIDED_ANSWERS, opened=opened)
    assert elsewhere.rows()[1]["opened_at"] == ""  # that of another read


def test_a_closed_study_takes_no_read(trial: Trial) -> None:
    person = trial.log_in("R1")
    person.read_until(4)
    trial.room.close("K1")
    assert "The study is closed" in person.client.get("/").text
    assert person.client.get("/read").status_code == 303
    assert person.save(4, **AIDED_ANSWERS).status_code == 403
    assert person.client.get("/files/4/volume.nii.gz").status_code == 403
    assert person.client.get("/feedback?number=2").status_code == 403


def test_a_changed_protocol_is_not_opened(trial: Trial) -> None:
    trial.log_in("R1").read()
    file = trial.folder.protocol_file
    file.write_text(file.read_text().replace("seed: 1", "seed: 2"))
    with pytest.raises(StudyError, match="changed after reads were stored"):
        Room.open(trial.folder.root)


def test_a_full_disk_loses_no_answer(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    person = trial.log_in("R1")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("pipeline.reviews.folder.OwnFile.write", full)
        answer = person.save(1, **ANSWERS)
    assert answer.status_code == 409
    assert "could not be saved" in answer.json()["error"]
    assert person.save(1, **ANSWERS).json()["status"] == "saved"


def test_both_designs_open_mid_stack_without_a_liver_window(open_trial: Callable[[str], Trial]) -> None:
    for design in ("sequential", "crossover"):
        trial = open_trial(design)
        for code in ("R1", "R2"):
            data = Person.data(trial.log_in(code).client.get("/read"))
            assert data["value"]["start_xyz"] == [24, 20, 6]
            assert ("liver" in data["value"]["windows"]) == data["aided"]
