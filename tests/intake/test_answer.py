"""What the process that reads untrusted bytes answers is checked, and what libraries log there is not passed on."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import InputError, SeriesError
from pipeline.intake.answer import LONGEST_LINE, MOST_LINES, Answer, RecordedLog


def record(name: str, text: str) -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "file.py", 1, text, None, None)


def test_only_our_own_lines_are_recorded_and_every_one_can_be_answered() -> None:
    recorded = RecordedLog()
    for name in ("pydicom", "nibabel.global", "highdicom", "root", "pipelines.x"):
        recorded.emit(record(name, "Value of PatientName Doe^Jane is odd"))
    assert recorded.lines == []
    recorded.emit(record("pipeline.intake.dicom", "two\nlines\x00" + "x" * 2000))
    for number in range(2 * MOST_LINES):
        recorded.emit(record("pipeline.intake.worker", f"line {number}"))
    answer = Answer.model_validate_json(Answer(log=recorded.lines).model_dump_json())
    assert len(answer.log) == MOST_LINES
    assert answer.log[0][2] == ("two lines " + "x" * 2000)[:LONGEST_LINE]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        "null",
        '{"log": 5}',
        '{"log": [["pydicom", 20, "Doe"]]}',
        '{"log": [["pipeline.x", 20, "a\\nb"]]}',
        '{"fault": 1}',
        '{"x": 1}',
        "[" * 5000,
    ],
)
def test_other_answers_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Answer.model_validate_json(text)


def test_a_fault_keeps_its_class_if_it_is_one_of_ours() -> None:
    with pytest.raises(SeriesError, match="no stack"):
        Answer(fault="SeriesError", message="no stack").raise_fault()
    with pytest.raises(InputError):
        Answer(fault="SystemExit").raise_fault()
    Answer().raise_fault()


@pytest.mark.parametrize("study", [None, {}, {"kind": "nifti", "folder": "/etc", "series": [], "left_out": []}])
def test_a_study_of_other_files_is_refused(study: dict[str, object] | None, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        Answer(study=study).study_in(tmp_path)
