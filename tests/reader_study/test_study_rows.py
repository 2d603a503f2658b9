"""Rows in memory are those on disk, whoever wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import StudyError
from pipeline.reader_study.study_rows import StudyRows
from pipeline.reviews.record import Review
from tests.reader_study.protocols import make_protocol


def review(number: int, **changes: object) -> Review:
    values = {"reader": "R1", "case_id": f"C{number}", "arm": "unaided", "advanced_fibrosis": "no", "confidence": 3}
    return Review(**(values | {"review_id": f"id-{number}", "reason": 'a, "b"\n- c'} | changes))


def test_rows_of_several_processes_are_taken_up_in_the_order_of_time(tmp_path: Path) -> None:
    one, other = StudyRows(tmp_path), StudyRows(tmp_path)
    assert one.all() == ()
    for number in range(6):
        (one if number % 2 else other).store.append(review(number))
        for rows in (one, other):
            assert [row["case_id"] for row in rows.all()] == [f"C{n}" for n in range(number + 1)]
    assert list(one.all()) == one.store.rows().to_dict("records")
    one.store.file.unlink()
    assert [row["case_id"] for row in other.all()] == ["C0", "C2", "C4"]


def test_rows_of_another_protocol_are_counted(tmp_path: Path) -> None:
    rows, protocol = StudyRows(tmp_path), make_protocol()
    rows.store.append(review(1, protocol_sha256=protocol.sha256))
    rows.refuse_changed(protocol)
    rows.store.append(review(2, protocol_sha256="another"))
    with pytest.raises(StudyError, match="1 of 2 rows"):
        rows.refuse_changed(protocol)
