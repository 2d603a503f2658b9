"""One review: what one reader said of one analysis at one time."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime

from pipeline import __version__
from pipeline.errors import ReviewError

SCHEMA = 1
ARMS = ("open", "unaided", "aided")
VERDICTS = ("yes", "no", "not_assessable")
AGREEMENTS = ("agree", "disagree", "unsure")
CONFIDENCES = (1, 2, 3, 4, 5)
SEGMENTATION_QUALITIES = (1, 2, 3)
"""1: usable as it is; 2: small edits wished, shape and extent right; 3: a part is missing or other tissue included."""
LONGEST_TEXT = 4000


def new_review_id() -> str:
    """Random, 32 hexadecimal digits."""
    return uuid.uuid4().hex


@dataclass(frozen=True, kw_only=True)
class Review:
    """The columns of ``reviews.csv`` in their order. None and empty mean: not answered, or does not apply.

    A form makes the ``review_id`` once and keeps it until the review is saved, so that a second click finds it stored.
    """

    schema: int = SCHEMA
    review_id: str = field(default_factory=new_review_id)
    saved_at: datetime | None = None
    """Set by the store."""
    study: str = ""
    protocol_sha256: str = ""
    session: str = ""
    """The visit; random, names nobody."""
    reader: str = ""
    """A code, never a name."""
    reader_experience: str = ""
    case_id: str = ""
    arm: str = "open"
    """``open`` (the ordinary page), or ``unaided`` or ``aided`` in a study."""
    order_index: int | None = None
    seed: int | None = None
    opened_at: datetime | None = None
    """When the case was put before the reader; with its time zone."""
    active_seconds: float | None = None
    pauses: int | None = None
    suspicion: int | None = None
    """Suspicion of advanced fibrosis, 0-100."""
    advanced_fibrosis: str = ""
    """The reader's own verdict: ``yes``, ``no`` or ``not_assessable``."""
    confidence: int | None = None
    """In the own verdict, 1 lowest to 5 highest."""
    agreement: str = ""
    """With the model: ``agree``, ``disagree`` or ``unsure``."""
    segmentation_quality: int | None = None
    reason: str = ""
    comment: str = ""
    after_reveal: bool | None = None
    """Whether the AI's result had been shown when the answers were given."""
    probability: float | None = None
    threshold: float | None = None
    predicted_score: int | None = None
    predicted_dice: float | None = None
    mask_sha256: str = ""
    mask_edited: bool | None = None
    segmenter: str = ""
    classifier: str = ""
    app_version: str = __version__
    overlays_opened: tuple[str, ...] = ()
    slices_viewed: tuple[int, ...] = ()
    """Axial slices that stood on the screen, counted from 1 at the feet, as the page counts them."""
    revises: str = ""
    """``review_id`` of the row that this one corrects."""

    @property
    def saw_the_ai(self) -> bool:
        """Whether the reader could see what to agree with; without it only the own verdict is asked for."""
        return self.arm != "unaided" and self.after_reveal is not False


COLUMNS = tuple(column.name for column in fields(Review))
ANSWERS = (
    "reader",
    "case_id",
    "arm",
    "suspicion",
    "advanced_fibrosis",
    "confidence",
    "agreement",
    "segmentation_quality",
    "reason",
    "comment",
    "mask_sha256",
    "revises",
)
"""The columns that a reader fills: two rows that differ in one of them are two reviews."""

_READER = re.compile(r"(?=.*\d)[A-Za-z0-9_-]{2,12}")
_CHOICES: dict[str, tuple[object, ...]] = {
    "arm": ARMS,
    "advanced_fibrosis": (*VERDICTS, ""),
    "confidence": (*CONFIDENCES, None),
    "agreement": (*AGREEMENTS, ""),
    "segmentation_quality": (*SEGMENTATION_QUALITIES, None),
}
_RANGES = {"suspicion": (0, 100), "probability": (0, 1), "threshold": (0, 1), "active_seconds": (0, float("inf"))}


def check(review: Review) -> None:
    """Refuse a review that is incomplete or impossible.

    Required are reader, case and the own verdict, with a confidence unless it is ``not_assessable``; where the reader
    saw the AI's result, agreement and segmentation quality as well.

    Raises:
        ReviewError: says what to answer or correct.
    """
    if not _READER.fullmatch(review.reader):
        raise ReviewError(
            "Enter a reader code such as R1: 2 to 12 letters, digits, hyphens or underscores with at least one digit, "
            "never a name."
        )
    if not review.case_id:
        raise ReviewError("Analyse a case before you save a review.")
    if missing := _missing(review):
        raise ReviewError(f"Answer before you save: {', '.join(missing)}.")
    for column, choices in _CHOICES.items():
        if getattr(review, column) not in choices:
            raise ReviewError(f"Choose one of the offered answers for {column.replace('_', ' ')}.")
    for column, (low, high) in _RANGES.items():
        value = getattr(review, column)
        if value is not None and not low <= value <= high:
            raise ReviewError(f"The {column.replace('_', ' ')} must lie between {low} and {high}.")
    if not review.saw_the_ai and (review.agreement or review.segmentation_quality):
        raise ReviewError("Agreement and segmentation quality can be judged only after the AI's result was shown.")
    if len(review.comment) > LONGEST_TEXT or len(review.reason) > LONGEST_TEXT:
        raise ReviewError(f"Shorten the text to {LONGEST_TEXT} characters.")
    if review.opened_at is not None and review.opened_at.tzinfo is None:
        raise ReviewError("The time at which the case was opened needs a time zone.")


def _missing(review: Review) -> list[str]:
    """Required answers that were not given, in the words of the form."""
    asked = {"your verdict on advanced fibrosis": review.advanced_fibrosis}
    if review.advanced_fibrosis != "not_assessable":
        asked["your confidence"] = str(review.confidence or "")
    if review.saw_the_ai:
        asked["agreement with the model"] = review.agreement
        asked["segmentation quality"] = str(review.segmentation_quality or "")
    return [question for question, answer in asked.items() if not answer]


def as_row(review: Review) -> list[str]:
    """The review's cells in the order of ``COLUMNS``, safe to open in a spreadsheet."""
    return [_cell(getattr(review, column)) for column in COLUMNS]


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case tuple():
            return "|".join(_cell(item) for item in value)
        case str():
            return _harmless(value)
    return str(value)


def _harmless(text: str) -> str:
    """Text without control characters that no spreadsheet takes for a formula: an apostrophe goes before the sign.

    Line breaks inside stay, as plain newlines.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(c for c in text if c.isprintable() or c in "\n\t").strip()
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")) else text
