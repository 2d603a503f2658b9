"""The rows of a study that count, and how many do not and why.

Primary analysis: the first stored row of each read, which was locked as it was stored. Sensitivity analysis: its latest
correction where there is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pipeline.errors import StudyError
from pipeline.reader_study.protocol import Design, Protocol
from pipeline.reader_study.reads import ARMS, Arm, ReadCase, StoredRead, parse_read, read_cases
from pipeline.reader_study.study_folder import StudyFolder
from pipeline.reviews.store import ReviewStore

Key = tuple[str, Arm, str]
"""Reader, arm, case."""
SAME_PROBABILITY = 5e-4
"""Difference that is rounding of the probability in a row."""


class Exclusion(StrEnum):
    """Why a row is in neither analysis."""

    OPEN = "rows of the ordinary page"
    OTHER_STUDY = "rows of another study"
    OTHER_PROTOCOL = "rows under another protocol"
    PRACTICE = "practice reads"
    NOT_IN_PROTOCOL = "rows of a reader or a case that is not in the protocol"
    UNREADABLE = "rows with cells that cannot be read"
    REPEATED = "further rows of a read that was already stored"
    AFTER_REVEAL = "unaided rows stored after the reader had seen the model's result"
    NO_READ = "corrections of a read that is not stored"


@dataclass(frozen=True)
class StudyReadings:
    """A study's reads with truth and the model's results; opening it opens the reference standard."""

    protocol: Protocol
    cases: tuple[ReadCase, ...]
    """Cases to be read, without practice cases, in the protocol's order."""
    first: tuple[StoredRead, ...]
    """First stored row of each read: the primary analysis."""
    latest: tuple[StoredRead, ...]
    """The same reads with their latest correction: the sensitivity analysis."""
    corrections: int
    """Rows that correct a read of ``first``."""
    left_out: Mapping[Exclusion, int] = field(default_factory=dict)
    closed: bool = True
    """Whether the study is closed; else this is an interim look."""

    @property
    def readers(self) -> tuple[str, ...]:
        return tuple(one.reader for one in self.protocol.readers)

    @property
    def practice_cases(self) -> int:
        return len(self.protocol.cases) - len(self.cases)

    @property
    def expected(self) -> int:
        """Reads that the protocol asks for, practice left out."""
        return len(self.readers) * len(ARMS) * len(self.cases)

    @property
    def complete(self) -> bool:
        return len(self.first) == self.expected

    @property
    def reading_order(self) -> dict[Key, StoredRead]:
        """The primary reads by reader, arm and case."""
        return by_key(self.first)

    def missing(self) -> dict[tuple[str, Arm], int]:
        """Reads that are not stored, by reader and arm; those that lack none are left out."""
        stored = Counter((read.reader, read.arm) for read in self.first)
        lacking = {(reader, arm): len(self.cases) - stored[reader, arm] for reader in self.readers for arm in ARMS}
        return {key: count for key, count in lacking.items() if count}

    def shown_otherwise(self) -> int:
        """Aided reads whose row names another probability than the stored result."""
        return sum(
            read.probability_shown is not None
            and read.case.probability is not None
            and abs(read.probability_shown - read.case.probability) > SAME_PROBABILITY
            for read in self.first
            if read.arm == "aided"
        )


def by_key(reads: Iterable[StoredRead]) -> dict[Key, StoredRead]:
    """Reads by reader, arm and case."""
    return {(read.reader, read.arm, read.case.case_id): read for read in reads}


def open_study(folder: StudyFolder) -> StudyReadings:
    """Read a study's folder, the reference standard included.

    Raises:
        StudyError: the protocol, the reference standard or a stored result cannot be read, or no read counts.
    """
    protocol = folder.read_protocol()
    if all(case.practice for case in protocol.cases):
        raise StudyError("The protocol has practice cases only: there is nothing to analyse.")
    rows = ReviewStore(folder.reviews).rows().to_dict("records")
    cells = [{str(column): str(cell) for column, cell in row.items()} for row in rows]
    found = select(cells, protocol, read_cases(folder, protocol), closed=is_closed(folder))
    if not found.first:
        raise StudyError("No read of this study is stored yet: there is nothing to report.")
    return found


def is_closed(folder: StudyFolder) -> bool:
    """Whether the coordinator has closed the study."""
    return (folder.root / "closed.json").is_file()


def select(
    rows: Sequence[Mapping[str, str]], protocol: Protocol, cases: tuple[ReadCase, ...], *, closed: bool = True
) -> StudyReadings:
    """Sort rows into first reads, corrections and those that are left out.

    Args:
        rows: of the review store by column, the oldest first.
        cases: those to be read, in the protocol's order.
    """
    choice = _Choice(protocol, {case.case_id: case for case in cases})
    for row in rows:
        choice.add(row)
    first, latest = choice.finished()
    place = {case.case_id: number for number, case in enumerate(cases)}
    order = {one.reader: number for number, one in enumerate(protocol.readers)}

    def sorted_reads(reads: Mapping[Key, StoredRead]) -> tuple[StoredRead, ...]:
        return tuple(sorted(reads.values(), key=lambda r: (order[r.reader], ARMS.index(r.arm), place[r.case.case_id])))

    return StudyReadings(
        protocol,
        cases,
        sorted_reads(first),
        sorted_reads(latest),
        choice.corrections_used,
        {reason: choice.left_out[reason] for reason in Exclusion if choice.left_out[reason]},
        closed,
    )


class _Choice:
    """Rows as they are sorted, in the order of time."""

    def __init__(self, protocol: Protocol, cases: Mapping[str, ReadCase]) -> None:
        self.protocol, self.cases = protocol, cases
        self.sha256 = protocol.sha256
        self.readers = {one.reader for one in protocol.readers}
        self.practice = {case.case_id for case in protocol.cases if case.practice}
        self.first: dict[Key, StoredRead] = {}
        self.corrections: list[StoredRead] = []
        self.left_out: Counter[Exclusion] = Counter()
        self.corrections_used = 0

    def add(self, row: Mapping[str, str]) -> None:
        if reason := self._foreign(row):
            self.left_out[reason] += 1
            return
        try:
            read = parse_read(row, self.cases[row["case_id"]])
        except ValueError:
            self.left_out[Exclusion.UNREADABLE] += 1
            return
        key = (read.reader, read.arm, read.case.case_id)
        if row["revises"]:
            self.corrections.append(read)
        elif key in self.first:
            self.left_out[Exclusion.REPEATED] += 1
        else:
            self.first[key] = read

    def finished(self) -> tuple[dict[Key, StoredRead], dict[Key, StoredRead]]:
        """First reads, and the same with their latest corrections."""
        revealed = self._reveals()
        first = dict(self.first)
        if self.protocol.design is Design.SEQUENTIAL:
            for key in [key for key, read in first.items() if _is_after(read, revealed)]:
                del first[key]
                self.left_out[Exclusion.AFTER_REVEAL] += 1
        latest = dict(first)
        for read in self.corrections:
            key = (read.reader, read.arm, read.case.case_id)
            if key not in first:
                self.left_out[Exclusion.NO_READ] += 1
            elif read.after_reveal or (_is_after(read, revealed) and not _is_after(first[key], revealed)):
                self.left_out[Exclusion.AFTER_REVEAL] += 1
            else:
                latest[key] = read
                self.corrections_used += 1
        return first, latest

    def _foreign(self, row: Mapping[str, str]) -> Exclusion | None:
        if row["arm"] == "open":
            return Exclusion.OPEN
        if row["study"] != self.protocol.study:
            return Exclusion.OTHER_STUDY
        if row["protocol_sha256"] != self.sha256:
            return Exclusion.OTHER_PROTOCOL
        if row["case_id"] in self.practice:
            return Exclusion.PRACTICE
        if row["reader"] not in self.readers or row["case_id"] not in self.cases:
            return Exclusion.NOT_IN_PROTOCOL
        return None

    def _reveals(self) -> dict[tuple[str, str], datetime]:
        """When each reader's first aided row on a case was stored; the page itself keeps the order before that."""
        found: dict[tuple[str, str], datetime] = {}
        for read in self.first.values():
            if read.arm == "aided":
                found[read.reader, read.case.case_id] = read.saved_at
        return found


def _is_after(read: StoredRead, revealed: Mapping[tuple[str, str], datetime]) -> bool:
    """Whether an unaided row was stored after the reader's aided row on the case."""
    shown = revealed.get((read.reader, read.case.case_id))
    return read.arm == "unaided" and shown is not None and read.saved_at > shown
