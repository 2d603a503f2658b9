"""Which rows of a study count, and what is said of the others."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.errors import StudyError
from pipeline.reader_study.protocol import Design
from pipeline.reader_study.readings import Exclusion, StudyReadings, open_study, select
from pipeline.reader_study.study_folder import StudyFolder, reference_sha256
from tests.reader_study.studies import (
    Planted,
    cases,
    changed,
    later,
    protocol,
    replace_result,
    rows,
    texts,
    write_study,
)

SMALL = Planted(readers=2, positives=3, negatives=3)
ONE = "R1-unaided-C2"


def selected(found, planted=SMALL) -> StudyReadings:
    ordered = sorted(found, key=lambda review: review.saved_at)
    return select(texts(ordered), protocol(planted), cases(planted))


def row(review_id: str):
    return next(one for one in rows(SMALL) if one.review_id == review_id)


def of(readings: StudyReadings, review_id: str):
    return next(read for read in readings.first if read.review_id == review_id)


def test_a_complete_study_has_every_read_once():
    found = selected(rows(SMALL))
    assert (found.expected, len(found.first), found.complete) == (24, 24, True)
    assert found.missing() == {}
    assert found.left_out == {}
    assert found.practice_cases == 2
    read = of(found, ONE)
    assert (read.case.case_id, read.case.positive, read.arm) == ("C2", True, "unaided")
    assert read.suspicion == row(ONE).suspicion
    assert read.right == (read.verdict == "yes")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"arm": "open"}, Exclusion.OPEN),
        ({"study": "other"}, Exclusion.OTHER_STUDY),
        ({"study": ""}, Exclusion.OTHER_STUDY),
        ({"protocol_sha256": "d" * 64}, Exclusion.OTHER_PROTOCOL),
        ({"case_id": "P1"}, Exclusion.PRACTICE),
        ({"case_id": "elsewhere"}, Exclusion.NOT_IN_PROTOCOL),
        ({"reader": "R9"}, Exclusion.NOT_IN_PROTOCOL),
        ({"suspicion": 101}, Exclusion.UNREADABLE),
        ({"advanced_fibrosis": "maybe"}, Exclusion.UNREADABLE),
    ],
)
def test_a_row_that_does_not_count_is_counted_by_its_reason(changes, reason):
    found = selected(changed(rows(SMALL), ONE, **changes))
    assert found.left_out == {reason: 1}
    assert found.missing() == {("R1", "unaided"): 1}
    assert not found.complete


def test_the_first_stored_row_of_a_read_counts():
    other = "no" if row(ONE).advanced_fibrosis == "yes" else "yes"
    found = selected([*rows(SMALL), later(SMALL, ONE, advanced_fibrosis=other)])
    assert of(found, ONE).verdict == row(ONE).advanced_fibrosis
    assert found.left_out == {Exclusion.REPEATED: 1}


def test_the_latest_correction_counts_in_the_sensitivity_analysis_only():
    aided = "R1-aided-C2"
    first = later(SMALL, aided, revises=aided, suspicion=11, saved_at=row(aided).saved_at + timedelta(days=1))
    second = later(SMALL, aided, review_id="newer", revises="new", suspicion=22)
    second = replace(second, saved_at=first.saved_at + timedelta(days=1))
    found = selected([*rows(SMALL), second, first])
    assert of(found, aided).suspicion == row(aided).suspicion
    (corrected,) = [
        read for read in found.latest if read.case.case_id == "C2" and (read.reader, read.arm) == ("R1", "aided")
    ]
    assert corrected.suspicion == 22
    assert found.corrections == 2
    assert found.left_out == {}


def test_an_unaided_read_cannot_be_corrected_after_the_reveal():
    before = later(SMALL, ONE, revises=ONE, suspicion=11, saved_at=row(ONE).saved_at + timedelta(seconds=1))
    after = later(SMALL, ONE, review_id="after", revises=ONE, suspicion=22)
    admitted = replace(before, review_id="admitted", suspicion=33, after_reveal=True)
    found = selected([*rows(SMALL), before, after, admitted])
    (read,) = [read for read in found.latest if read.review_id in ("new", "after", "admitted")]
    assert read.suspicion == 11
    assert found.left_out == {Exclusion.AFTER_REVEAL: 2}


def test_an_unaided_read_after_the_aided_one_counts_in_a_crossover_only():
    late = row("R1-aided-C2").saved_at + timedelta(hours=1)
    sequential = selected(changed(rows(SMALL), ONE, saved_at=late))
    assert sequential.left_out == {Exclusion.AFTER_REVEAL: 1}
    assert sequential.missing() == {("R1", "unaided"): 1}
    planted = replace(SMALL, design=Design.CROSSOVER)
    found = changed(rows(planted), ONE, saved_at=late)
    correction = replace(
        next(one for one in found if one.review_id == ONE),
        review_id="new",
        revises=ONE,
        suspicion=7,
        saved_at=late + timedelta(minutes=1),
    )
    crossover = selected([*found, correction], planted)
    assert crossover.complete
    assert crossover.left_out == {}
    assert crossover.corrections == 1


def test_a_correction_of_a_read_that_is_not_stored_is_no_read():
    found = [one for one in rows(SMALL) if one.review_id != ONE]
    selection = selected([*found, later(SMALL, ONE, revises="gone")])
    assert selection.left_out == {Exclusion.NO_READ: 1}
    assert selection.missing() == {("R1", "unaided"): 1}


def test_not_assessable_is_wrong_and_called_wrong():
    for case_id in ("C1", "C6"):
        review_id = f"R1-unaided-{case_id}"
        read = of(selected(changed(rows(SMALL), review_id, advanced_fibrosis="not_assessable")), review_id)
        assert not read.right
        assert not read.assessable
        assert read.called != read.case.positive


def test_a_result_that_was_not_the_stored_one_is_noticed():
    assert selected(rows(SMALL)).shown_otherwise() == 0
    assert selected(changed(rows(SMALL), "R2-aided-C1", probability=0.0123)).shown_otherwise() == 1


def test_a_folder_is_read_with_truth_and_results(tmp_path):
    found = open_study(StudyFolder(write_study(tmp_path / "study", SMALL)))
    assert found.complete
    assert found.closed
    assert found.cases == cases(SMALL)


def test_an_empty_study_is_refused(tmp_path):
    root = write_study(tmp_path / "study", SMALL, [])
    with pytest.raises(StudyError, match="No read of this study is stored yet"):
        open_study(StudyFolder(root))


def test_a_case_without_truth_is_refused(tmp_path):
    folder = StudyFolder(write_study(tmp_path / "study", SMALL))
    folder.reference_file.write_text("case_id,truth\nC1,1\n")
    with pytest.raises(StudyError, match="no truth for 5 of 6 cases"):
        open_study(folder)


@pytest.mark.parametrize("content", ["", "[]", json.dumps({"fibrosis": None})])
def test_a_damaged_result_is_refused_without_its_case(tmp_path, content):
    folder = StudyFolder(write_study(tmp_path / "study", SMALL))
    replace_result(folder, "C3", content)
    with pytest.raises(StudyError, match=r"analysis\.json") as refused:
        open_study(folder)
    assert "C3" not in str(refused.value)


def test_a_case_that_the_model_did_not_classify_has_no_verdict(tmp_path):
    folder = StudyFolder(write_study(tmp_path / "study", SMALL))
    replace_result(folder, "C3", json.dumps({"fibrosis": None, "segmentation_quality": {}}))
    case = next(case for case in open_study(folder).cases if case.case_id == "C3")
    assert (case.model_positive, case.model_right, case.score) == (None, None, None)


def test_a_result_that_was_changed_afterwards_is_refused(tmp_path):
    folder = StudyFolder(write_study(tmp_path / "study", SMALL))
    file = folder.case("C3") / "analysis.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(StudyError, match="changed since the study was prepared"):
        open_study(folder)


def test_a_reference_standard_that_was_changed_afterwards_is_refused(tmp_path):
    folder = StudyFolder(write_study(tmp_path / "study", SMALL))
    fixed = folder.read_protocol()
    sealed = fixed.model_copy(update={"reference_sha256": reference_sha256(folder.read_reference())})
    assert folder.reference_of(sealed) == folder.read_reference()
    text = folder.reference_file.read_text()
    folder.reference_file.write_text(text.replace("C1,1", "C1,0"))
    with pytest.raises(StudyError, match="put the old file back"):
        folder.reference_of(sealed)
