"""From the answers of a form to a stored row: locked, once for each read."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.files import file_sha256
from pipeline.errors import ReviewError
from pipeline.page.state.edited_mask import LONGEST_TEXT as LONGEST_TEXT_OF_MASK
from pipeline.page.state.edited_mask import TOO_ROUGH
from pipeline.reader_study.work_list import Read
from pipeline.reading_room.corrected import corrected_liver, store_liver
from pipeline.reading_room.errors import Refused
from pipeline.reading_room.release import NOT_NOW, OpenRead, open_read
from pipeline.reading_room.room import Room
from pipeline.reading_room.sessions import Session, opened_at
from pipeline.reviews.record import LONGEST_TEXT, NOTHING_TO_AGREE_WITH, Review
from pipeline.reviews.viewing import ViewingLog, viewing_log

LONGEST_MASK = LONGEST_TEXT_OF_MASK + 200
"""Characters of a mask with its size."""
CHANGED = "The study was prepared anew while it was open: tell your coordinator to start the reading room again."
_ONE_AT_A_TIME = threading.Lock()
"""Held from the look for an earlier row to the end of a save, so that a row and its mask are of one tab."""
SAVED, ALREADY = "saved", "already"
WORDS = {
    "suspicion": "your suspicion",
    "advanced_fibrosis": "advanced fibrosis",
    "confidence": "your confidence",
    "agreement": "agreement with the model",
    "segmentation_quality": "segmentation",
    "correction": "why you correct this read",
}


class ReadAnswers(BaseModel):
    """What the page sends. None and empty: not answered."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    number: int
    suspicion: int | None = None
    advanced_fibrosis: Annotated[str, Field(max_length=20)] = ""
    confidence: int | None = None
    agreement: Annotated[str, Field(max_length=20)] = ""
    segmentation_quality: int | None = None
    reason: Annotated[str, Field(max_length=LONGEST_TEXT)] = ""
    correction: Annotated[str | None, Field(max_length=LONGEST_TEXT)] = None
    """Why a stored read is corrected; None for a first read."""
    corrects: Annotated[str, Field(max_length=64)] = ""
    """``review_id`` of the row to correct."""
    opened: Annotated[str, Field(max_length=2000)] = ""
    """Token of ``opened_token``."""
    viewing: Annotated[str, Field(max_length=100_000)] = ""
    """The browser's statistics, JSON."""
    mask: Annotated[str, Field(max_length=LONGEST_MASK)] = ""
    """The corrected liver mask as the viewer sends it; empty where it was not corrected."""

    @classmethod
    def from_request(cls, content: Any) -> ReadAnswers:
        """Raises:
        Refused: it is not what the page sends.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False)
            fields = {str(fault["loc"][0]) for fault in faults if fault["loc"]}
            if fields & {"reason", "correction"}:
                raise Refused(422, f"Shorten the text to {LONGEST_TEXT} characters.") from error
            if "mask" in fields:
                raise Refused(422, TOO_ROUGH) from error
            raise Refused(422, "The answers cannot be read; reload the page.") from error


@dataclass(frozen=True)
class Saved:
    """What became of a save."""

    status: str
    """``SAVED``, or ``ALREADY`` where a row of this read was stored before."""
    read: Read


def save(room: Room, session: Session, answers: ReadAnswers) -> Saved:
    """Store the answers and lock the read. A second save of one read, from any tab or machine, finds the first one's.

    Raises:
        Refused: the read is not open, or answers are missing.
        ReviewError: the row could not be stored.
        StudyError: the corrected mask could not be stored.
    """
    try:
        opened = open_read(room, session.code, answers.number)
    except Refused:
        if read := _stored(room, session.code, answers):
            return Saved(ALREADY, read)
        raise
    if (opened.corrects["review_id"] if opened.corrects else "") != answers.corrects:
        if read := _stored(room, session.code, answers):
            return Saved(ALREADY, read)
        raise Refused(409, NOT_NOW)
    review = _review(room, session, answers, opened)
    _refuse_incomplete(answers, opened, review)
    liver = corrected_liver(room, opened.read.case_id, answers.mask) if opened.shows_ai else None
    if room.folder.read_protocol().sha256 != room.protocol.sha256:
        raise Refused(409, CHANGED)
    with _ONE_AT_A_TIME:
        if _stored(room, session.code, answers):  # another tab was first
            return Saved(ALREADY, opened.read)
        if liver is not None:
            mask_sha256 = store_liver(room, opened.read.case_id, review.review_id, liver)
            review = replace(review, mask_edited=True, mask_sha256=mask_sha256)
        try:
            room.rows.store.append(review)
        except ReviewError:
            if _stored(room, session.code, answers):  # another process was first, with other answers
                return Saved(ALREADY, opened.read)
            raise
    return Saved(SAVED, opened.read)


def _stored(room: Room, reader: str, answers: ReadAnswers) -> Read | None:
    """The read, if a row for this very form is stored: of the first save, or of this correction."""
    work = room.work(reader)
    read = work.read(answers.number)
    if read is None or read.number not in work.first:
        return None
    rows = [row for row in room.rows.all() if row["reader"] == reader and row["case_id"] == read.case_id]
    return read if any(row["arm"] == read.arm and row["revises"] == answers.corrects for row in rows) else None


def _review(room: Room, session: Session, answers: ReadAnswers, opened: OpenRead) -> Review:
    read, protocol = opened.read, room.protocol
    files = room.files(read.case_id)
    began = opened_at(room, answers.opened, session.code, read.number)
    counted = _counted(room, answers, opened, began)
    corrects = opened.corrects["review_id"] if opened.corrects else ""
    return Review(
        review_id=_review_id(protocol.sha256, session.code, read.case_id, read.arm, corrects),
        study=protocol.study,
        protocol_sha256=protocol.sha256,
        session=session.id,
        reader=session.code,
        reader_experience=room.experience(session.code),
        case_id=read.case_id,
        arm=read.arm,
        order_index=read.number,
        seed=protocol.seed,
        opened_at=began,
        active_seconds=counted.active_seconds,
        pauses=counted.pauses,
        suspicion=answers.suspicion,
        advanced_fibrosis=answers.advanced_fibrosis,
        confidence=answers.confidence,
        reason=answers.reason,
        comment=answers.correction or "",
        mask_sha256=file_sha256(files.mask),
        segmenter=f"{protocol.segmenter.name}@{protocol.segmenter.sha256}",
        classifier=f"{protocol.classifier.name}@{protocol.classifier.sha256}",
        slices_viewed=counted.slices_viewed,
        revises=corrects,
        after_reveal=opened.shows_ai,
        **(_with_ai(files.analysis(), answers, counted) if opened.shows_ai else {}),
    )


def _with_ai(analysis: dict[str, Any], answers: ReadAnswers, counted: ViewingLog) -> dict[str, Any]:
    """The columns of an aided read only."""
    fibrosis, quality = analysis["fibrosis"], analysis["segmentation_quality"]
    return {
        "agreement": NOTHING_TO_AGREE_WITH if fibrosis is None else answers.agreement,
        "segmentation_quality": answers.segmentation_quality,
        "probability": None if fibrosis is None else fibrosis["probability"],
        "threshold": None if fibrosis is None else fibrosis["threshold"],
        "predicted_score": quality.get("score"),
        "predicted_dice": quality.get("predicted_dice"),
        "mask_edited": False,
        "overlays_opened": counted.overlays_opened,
    }


def _counted(room: Room, answers: ReadAnswers, opened: OpenRead, began: datetime | None) -> ViewingLog:
    """The browser's statistics, as far as they can be true."""
    slices = int(room.files(opened.read.case_id).images()["size_xyz"][2])
    open_for_s = None if began is None else (room.now() - began).total_seconds()
    return viewing_log(answers.viewing or None, slices=slices, open_for_s=open_for_s)


def _refuse_incomplete(answers: ReadAnswers, opened: OpenRead, review: Review) -> None:
    """Refuse a read that lacks an answer, naming all that are missing."""
    asked: dict[str, object] = {"advanced_fibrosis": answers.advanced_fibrosis}
    if answers.advanced_fibrosis != "not_assessable":
        asked = {"suspicion": answers.suspicion, **asked, "confidence": answers.confidence}
    if opened.shows_ai:
        asked |= {"agreement": review.agreement, "segmentation_quality": answers.segmentation_quality}
    if opened.corrects is not None:
        asked |= {"correction": (answers.correction or "").strip()}
    missing = [WORDS[name] for name, answer in asked.items() if answer in (None, "")]
    if missing:
        raise Refused(422, f"Answer before you save: {', '.join(missing)}.")


def _review_id(*parts: str) -> str:
    """The same for every save of one read, so that the store keeps one row; and for every correction of one row."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
