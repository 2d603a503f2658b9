"""Order of the reads, and a reader's state from the stored rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.errors import StudyError
from pipeline.reader_study.work_list import AIDED, UNAIDED, arms_of, reads_of, work_list
from tests.reader_study.protocols import make_protocol, stored_row

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_sequential_reads_are_pairs_with_practice_first() -> None:
    reads = reads_of(make_protocol(cases=5, practice=2), "R1")
    assert [read.number for read in reads] == list(range(1, 15))
    assert [read.arm for read in reads] == [UNAIDED, AIDED] * 7
    assert [read.case_id for read in reads[:4]] == ["P1", "P1", "P2", "P2"]
    assert all(one.case_id == other.case_id for one, other in zip(reads[::2], reads[1::2], strict=True))
    assert {read.case_id for read in reads[4:]} == {"C1", "C2", "C3", "C4", "C5"}
    assert reads[0].words == "Practice case 1 of 2"
    assert reads[-1].words == "Case 5 of 5"


def test_orders_differ_by_reader_and_by_seed_and_come_back() -> None:
    def order(seed: int, reader: str) -> list[str]:
        return [read.case_id for read in reads_of(make_protocol(cases=20, seed=seed), reader)]

    assert order(1, "R1") == order(1, "R1")
    assert len({tuple(order(seed, reader)) for seed in (1, 2) for reader in ("R1", "R2")}) == 4


def test_an_order_never_changes_between_versions() -> None:
    """A study in progress would go on in another order."""
    reads = reads_of(make_protocol(cases=6, practice=0, design="crossover", seed=7), "R2")
    assert [read.case_id for read in reads] == ORDER_OF_SEED_7
    assert arms_of(make_protocol(design="crossover", seed=7), "R2") == ARMS_OF_SEED_7


ORDER_OF_SEED_7 = ["C3", "C6", "C5", "C1", "C2", "C4", "C1", "C4", "C6", "C5", "C2", "C3"]
ARMS_OF_SEED_7 = (AIDED, UNAIDED)


def test_crossover_has_two_sittings_whose_first_arm_alternates() -> None:
    readers = ("R1", "R2", "R3", "R4")
    protocol = make_protocol(cases=20, practice=1, design="crossover", readers=readers)
    firsts = [arms_of(protocol, reader)[0] for reader in readers]
    assert firsts in ([UNAIDED, AIDED] * 2, [AIDED, UNAIDED] * 2)
    reads = reads_of(protocol, "R1")
    one, two = ([read for read in reads if read.sitting == sitting] for sitting in (1, 2))
    assert ({read.arm for read in one}, {read.arm for read in two}) == ({firsts[0]}, {arms_of(protocol, "R1")[1]})
    assert (one[0].practice, two[0].practice) == (True, True)
    assert {read.case_id for read in one} == {read.case_id for read in two}
    assert [read.case_id for read in one] != [read.case_id for read in two]


def test_who_takes_no_part_has_no_reads() -> None:
    with pytest.raises(StudyError, match="no part"):
        reads_of(make_protocol(), "R9")


def test_the_next_read_follows_from_the_rows_alone() -> None:
    protocol = make_protocol()
    reads = reads_of(protocol, "R1")
    rows = [stored_row(read) for read in reads[:3]]
    others = [
        stored_row(reads[3], reader="R2"),
        stored_row(reads[3], study="another"),
        stored_row(reads[3], arm="open"),
    ]
    found = work_list(protocol, "R1", [*others, *reversed(rows)])
    assert found.next == reads[3]
    assert set(found.first) == {1, 2, 3}
    assert found.washout_ends is None
    done = work_list(protocol, "R1", [stored_row(read) for read in reads])
    assert done.next is None


def test_the_first_row_is_the_locked_one_and_the_last_correction_the_latest() -> None:
    protocol = make_protocol()
    read = reads_of(protocol, "R1")[2]
    row = stored_row(read)
    correction = stored_row(read, review_id="later", revises=row["review_id"], saved_at="2025-01-01T10:00:00.000Z")
    found = work_list(protocol, "R1", [correction, row])
    assert found.first[3] == row
    assert found.latest[3] == correction


def test_the_washout_begins_with_the_last_row_of_the_first_sitting() -> None:
    protocol = make_protocol(design="crossover", washout_days=28)
    reads = reads_of(protocol, "R1")
    first = [read for read in reads if read.sitting == 1]
    rows = [stored_row(read, saved_at="2026-01-01T10:00:00.000Z") for read in first[:-1]]
    assert work_list(protocol, "R1", rows).washout_ends is None
    rows.append(stored_row(first[-1], saved_at="2026-01-01T12:00:00.000Z"))
    found = work_list(protocol, "R1", rows)
    assert found.washout_ends == NOON + timedelta(days=28)
    assert found.waits_until(NOON + timedelta(days=28, seconds=-1)) == NOON + timedelta(days=28)
    assert found.waits_until(NOON + timedelta(days=28)) is None
    corrected = stored_row(first[1], review_id="x", revises="R1-2", saved_at="2026-01-02T12:00:00.000Z")
    assert work_list(protocol, "R1", [*rows, corrected]).washout_ends == NOON + timedelta(days=29)


def test_an_unaided_read_is_correctable_until_the_result_was_shown() -> None:
    protocol = make_protocol()
    reads = reads_of(protocol, "R1")
    found = work_list(protocol, "R1", [stored_row(read) for read in reads[:4]])
    practice, unaided, aided, later = reads[0], reads[2], reads[3], reads[4]
    assert found.correctable(unaided, revealed=False)
    assert not found.correctable(unaided, revealed=True)
    assert found.correctable(aided, revealed=True)
    assert not found.correctable(practice, revealed=False)
    assert not found.correctable(later, revealed=False)


def test_a_sitting_cannot_be_corrected_once_its_last_read_is_stored() -> None:
    protocol = make_protocol(design="crossover")
    reads = reads_of(protocol, "R1")
    first = [read for read in reads if read.sitting == 1]
    rows = [stored_row(read) for read in first]
    assert work_list(protocol, "R1", rows[:-1]).correctable(first[1], revealed=True)
    assert not work_list(protocol, "R1", rows).correctable(first[-1], revealed=True)
    done = work_list(protocol, "R1", [stored_row(read) for read in reads])
    assert done.correctable(reads[-1], revealed=True)
    assert not done.correctable(first[-1], revealed=True)
