"""The reads of a reader in their order, and how far the reader is. Pure functions of protocol and stored rows."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipeline.errors import StudyError
from pipeline.reader_study.protocol import Design, Protocol, StudyCase

UNAIDED, AIDED = "unaided", "aided"
Row = Mapping[str, str]
"""A stored review as ``ReviewStore.rows`` gives it: text by column."""


@dataclass(frozen=True)
class Read:
    """One read of one case by one reader."""

    number: int
    """Position among all reads of the reader, from 1: ``order_index`` of its row."""
    case_id: str
    arm: str
    practice: bool
    sitting: int
    """1, or 2 for the second sitting of a crossover study."""
    position: int
    """Number of the case among the practice cases, or the other cases, of its sitting, from 1."""
    of: int
    """How many of them there are."""

    @property
    def words(self) -> str:
        """``Case 7 of 40``."""
        return f"{'Practice case' if self.practice else 'Case'} {self.position} of {self.of}"


def reads_of(protocol: Protocol, reader: str) -> tuple[Read, ...]:
    """All reads of a reader in their order, equal at every call.

    Sequential: the unaided and then the aided read of each case. Crossover: a sitting for each arm; which comes first
    alternates over the readers, and the second sitting has an order of cases of its own.

    Raises:
        StudyError: no reader of this study.
    """
    if reader not in [one.reader for one in protocol.readers]:
        raise StudyError("This reader takes no part in the study.")
    plan: list[tuple[StudyCase, str, int, int, int]] = []
    if protocol.design is Design.SEQUENTIAL:
        for case, position, of in _ordered(protocol, reader, 1):
            plan += [(case, arm, 1, position, of) for arm in (UNAIDED, AIDED)]
    else:
        for sitting, arm in enumerate(arms_of(protocol, reader), start=1):
            plan += [(case, arm, sitting, position, of) for case, position, of in _ordered(protocol, reader, sitting)]
    return tuple(
        Read(number, case.case_id, arm, case.practice, sitting, position, of)
        for number, (case, arm, sitting, position, of) in enumerate(plan, start=1)
    )


def arms_of(protocol: Protocol, reader: str) -> tuple[str, str]:
    """Arms in the order in which the reader meets them."""
    if protocol.design is Design.SEQUENTIAL:
        return UNAIDED, AIDED
    place = [one.reader for one in protocol.readers].index(reader)
    begins_aided = (place + random.Random(f"{protocol.seed}:arms").randrange(2)) % 2
    return (AIDED, UNAIDED) if begins_aided else (UNAIDED, AIDED)


def _ordered(protocol: Protocol, reader: str, sitting: int) -> Iterator[tuple[StudyCase, int, int]]:
    """Cases of one sitting, each with its position and the number of its kind."""
    practice = [case for case in protocol.cases if case.practice]
    others = [case for case in protocol.cases if not case.practice]
    random.Random(f"{protocol.seed}:{reader}:{sitting}").shuffle(others)
    for cases in (practice, others):
        yield from ((case, position, len(cases)) for position, case in enumerate(cases, start=1))


@dataclass(frozen=True)
class WorkList:
    """A reader's reads and what is stored of them."""

    design: Design
    reads: tuple[Read, ...]
    first: Mapping[int, Row]
    """First stored row by number of the read: the locked one, which the primary analysis takes."""
    latest: Mapping[int, Row]
    """Last correction by number of the read, or the first row where there is none."""
    washout: timedelta = field(default=timedelta(0))

    @property
    def next(self) -> Read | None:
        """The read to do now; None when all are stored."""
        return next((read for read in self.reads if read.number not in self.first), None)

    @property
    def sitting(self) -> int:
        """The present sitting: that of the next read, or the last one when all are stored.

        The first sitting ends with its last read: from then on nobody sees its cases again before the washout is over.
        """
        return self.next.sitting if self.next else self.reads[-1].sitting

    @property
    def washout_ends(self) -> datetime | None:
        """When the second sitting opens: the washout after the last row of the first one, corrections included.

        None in a sequential study, and while the first sitting is not complete.
        """
        sitting = [read.number for read in self.reads if read.sitting == 1]
        if self.design is Design.SEQUENTIAL or any(number not in self.first for number in sitting):
            return None
        return max(datetime.fromisoformat(self.latest[number]["saved_at"]) for number in sitting) + self.washout

    def waits_until(self, now: datetime) -> datetime | None:
        """End of the washout if the next read has to wait for it, else None."""
        ends = self.washout_ends
        waits = self.next is not None and self.next.sitting == 2 and ends is not None and now < ends
        return ends if waits else None

    def read(self, number: int) -> Read | None:
        """The read of that number; None if there is none."""
        return self.reads[number - 1] if 1 <= number <= len(self.reads) else None

    def unaided_of(self, read: Read) -> Row | None:
        """The reader's own first unaided row on the case of an aided read of a sequential study."""
        before = self.read(read.number - 1)
        paired = self.design is Design.SEQUENTIAL and read.arm == AIDED and before is not None
        return self.first.get(read.number - 1) if paired else None

    def correctable(self, read: Read, *, revealed: bool) -> bool:
        """Whether a stored read may still be corrected.

        While its sitting lasts, and an unaided read of a sequential study only until the AI's result was shown.

        Args:
            revealed: whether this reader was shown the AI's result of this case.
        """
        if read.practice or read.number not in self.first or read.sitting != self.sitting:
            return False
        return read.arm == AIDED or self.design is Design.CROSSOVER or not revealed


def work_list(protocol: Protocol, reader: str, rows: Iterable[Row]) -> WorkList:
    """The state of a reader.

    Args:
        rows: stored rows in any order; those of other readers, studies and arms are ignored.

    Raises:
        StudyError: as ``reads_of``.
    """
    reads = reads_of(protocol, reader)
    numbers = {(read.case_id, read.arm): read.number for read in reads}
    first: dict[int, Row] = {}
    latest: dict[int, Row] = {}
    for row in sorted(own_rows(protocol, reader, rows), key=_in_time):
        number = numbers.get((row["case_id"], row["arm"]))
        if number is not None:
            first.setdefault(number, row)
            latest[number] = row
    return WorkList(protocol.design, reads, first, latest, timedelta(days=protocol.washout_days))


def _in_time(row: Row) -> tuple[bool, str]:
    """First rows before corrections, whatever the clocks said."""
    return bool(row["revises"]), row["saved_at"]


def own_rows(protocol: Protocol, reader: str, rows: Iterable[Row]) -> Sequence[Row]:
    """The rows of this reader in this study."""
    return [
        row
        for row in rows
        if row["study"] == protocol.study and row["reader"] == reader and row["arm"] in (UNAIDED, AIDED)
    ]
