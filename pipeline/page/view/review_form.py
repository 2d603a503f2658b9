"""The review form: from its answers to a ``Review``, and the table of this session's reviews."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.page.state.session_state import SessionState, StoredResult
from pipeline.page.view.rendering import render
from pipeline.reviews import COLUMNS, Review
from pipeline.reviews.cells import row_of
from pipeline.reviews.record import NOTHING_TO_AGREE_WITH, reader_code
from pipeline.reviews.viewing import viewing_log

VERDICTS = [("Yes", "yes"), ("No", "no"), ("Not assessable", "not_assessable")]
CONFIDENCES = [("1 low", 1), ("2", 2), ("3", 3), ("4", 4), ("5 high", 5)]
AGREEMENTS = [("Agree", "agree"), ("Disagree", "disagree"), ("Unsure", "unsure")]
QUALITIES = [("1 excellent", 1), ("2 acceptable", 2), ("3 poor", 3)]
QUALITY_INFO = (
    "1: usable as is. 2: minor edits needed; shape and extent correct. "
    "3: part of the liver missing or other tissue included."
)
SHOWN = {
    "saved_at": "Saved (UTC)",
    "reader": "Reader",
    "case_id": "Case",
    "advanced_fibrosis": "Verdict",
    "confidence": "Confidence",
    "agreement": "Agreement",
    "segmentation_quality": "Segmentation",
    "after_reveal": "After AI",
    "review_id": "Review",
    "revises": "Corrects",
}
"""Columns of the session's table and their headings."""


@dataclass(frozen=True)
class Answers:
    """Content of the form when Save is pressed. None: not answered."""

    reader: str | None
    advanced_fibrosis: str | None
    confidence: int | None
    agreement: str | None
    segmentation_quality: int | None
    comment: str | None
    viewing_log: str | None = None
    """The viewer's statistics as JSON; counted in the browser, so no proof of what was viewed."""


def to_review(state: SessionState, answers: Answers) -> Review:
    """The row to save for the open case. An unfinished form makes an unfinished review, which the store refuses."""
    result, reader = state.result, reader_code(answers.reader or "")
    if result is None:
        return Review(review_id=state.form_id, reader=reader)
    latest = state.latest(reader)
    # A verdict with the AI corrects none without it: both are kept and count as two readings.
    corrected = latest if latest and latest.after_reveal == result.revealed else None
    counted = viewing_log(answers.viewing_log, slices=_slices(state), open_for_s=_open_for_s(state))
    return Review(
        review_id=state.form_id,
        session=state.session,
        reader=reader,
        case_id=result.case_id,
        arm="open",
        opened_at=state.opened_at,
        active_seconds=counted.active_seconds,
        pauses=counted.pauses,
        advanced_fibrosis=answers.advanced_fibrosis or "",
        confidence=answers.confidence,
        # Held back, the form does not show these two; what a reader left in them belongs to an earlier case.
        agreement=_agreement(result, answers),
        segmentation_quality=answers.segmentation_quality if result.revealed else None,
        comment=answers.comment or "",
        after_reveal=result.revealed,
        # What the reader has not been shown is not part of what the reader judged.
        probability=result.probability if result.revealed else None,
        threshold=result.threshold if result.revealed else None,
        predicted_score=result.predicted_score if result.revealed else None,
        predicted_dice=result.predicted_dice if result.revealed else None,
        mask_sha256=result.mask_sha256,
        mask_edited=result.mask_edited if result.revealed else None,
        segmenter=result.segmenter,
        classifier=result.classifier,
        overlays_opened=counted.overlays_opened,
        slices_viewed=counted.slices_viewed,
        revises=corrected.review_id if corrected else "",
    )


def _slices(state: SessionState) -> int | None:
    """Axial slices of the open series, None without one."""
    size_xyz = state.viewer.get("size_xyz")
    return int(size_xyz[2]) if size_xyz else None


def _open_for_s(state: SessionState) -> float | None:
    """Time since the open series was shown, s; None without one."""
    return (datetime.now(UTC) - state.opened_at).total_seconds() if state.opened_at else None


def _agreement(result: StoredResult, answers: Answers) -> str:
    if not result.revealed:
        return ""
    return NOTHING_TO_AGREE_WITH if result.probability is None else answers.agreement or ""


def same_answers(one: Review, other: Review) -> bool:
    """Whether two reviews of one case say the same."""
    asked = (
        "reader",
        "case_id",
        "advanced_fibrosis",
        "confidence",
        "agreement",
        "segmentation_quality",
        "comment",
        "after_reveal",
        "mask_sha256",
    )
    return all(getattr(one, column) == getattr(other, column) for column in asked)


def reopen_choices(state: SessionState) -> list[tuple[str, int]]:
    """Reviewed cases that can be opened again, the newest first: label, and place in ``state.reviewed``."""
    choices = []
    for place, case in enumerate(state.reviewed):
        review = state.last_review(case.result.case_id)
        verdict = "" if review is None else f" · {review.reader}: {review.advanced_fibrosis.replace('_', ' ')}"
        choices.append((f"{case.result.case_id[:8]}{verdict}", place))
    return choices[::-1]


def reviews_html(rows: Sequence[Mapping[str, str]]) -> str:
    """The table of this session's stored rows, the newest first, with their download.

    The file is part of the page, so no other session can fetch it.
    """
    shown = [_shown(row) for row in reversed(rows)]
    return render("reviews", columns=SHOWN, rows=shown, csv_address=_csv_address(rows))


def _shown(row: Mapping[str, str]) -> dict[str, str]:
    """A stored row's cells as the table shows them."""
    return {
        **row,
        "saved_at": row["saved_at"][:19].replace("T", " "),
        "advanced_fibrosis": row["advanced_fibrosis"].replace("_", " "),
        "review_id": row["review_id"][:8],
        "case_id": row["case_id"][:8],
        "revises": row["revises"][:8],
    }


def _csv_address(rows: Sequence[Mapping[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(map(row_of, rows))
    return "data:text/csv;base64," + base64.b64encode(text.getvalue().encode()).decode()
