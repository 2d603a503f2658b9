"""Blinding: the one place that decides what a reader may open, and whether the AI's result goes with it."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.reader_study.protocol import Design
from pipeline.reader_study.work_list import AIDED, Read, Row, WorkList
from pipeline.reading_room.errors import Refused
from pipeline.reading_room.room import Room

CLOSED = "The study is closed: no read is taken any more."
NOT_NOW = "This read is not open. Go on from the work list."


@dataclass(frozen=True)
class OpenRead:
    """A read that this reader may do or correct now. Only ``open_read`` makes one."""

    read: Read
    work: WorkList
    corrects: Row | None
    """The row to correct; None for a first read."""

    @property
    def shows_ai(self) -> bool:
        """Whether probability, mask and heat map may leave the server for this read.

        An aided read is open only in its turn: in a sequential study after the unaided read of the case was stored, in
        a crossover study in the aided sitting.
        """
        return self.read.arm == AIDED


def open_read(room: Room, reader: str, number: int) -> OpenRead:
    """The read of that number, if it is the reader's turn or a correction that is still allowed.

    Raises:
        Refused: the study is closed, the washout lasts, or the read is not open.
        StudyError: no reader of this study.
    """
    if room.closed is not None:
        raise Refused(403, CLOSED)
    work = room.work(reader)
    read = work.read(number)
    if read is None:
        raise Refused(404, NOT_NOW)
    if work.next == read:
        if work.waits_until(room.now()) is not None:
            raise Refused(403, "The second sitting is not open yet.")
        if room.protocol.design is Design.SEQUENTIAL and read.arm == AIDED and work.unaided_of(read) is None:
            raise Refused(403, NOT_NOW)
        return OpenRead(read, work, None)
    if not work.correctable(read, revealed=room.revealed(reader, read.case_id)):
        raise Refused(404, NOT_NOW)
    return OpenRead(read, work, work.latest[number])


def feedback_read(room: Room, reader: str, number: int) -> Read:
    """The practice read of that number, once all that it asks is stored: then truth and result may be shown.

    Raises:
        Refused: it is no practice read, or not stored yet.
    """
    work = room.work(reader)
    read = work.read(number)
    asked = read is not None and read.practice and read.number in work.first
    if read is None or not asked or (room.protocol.design is Design.SEQUENTIAL and read.arm != AIDED):
        raise Refused(404, NOT_NOW)
    return read
