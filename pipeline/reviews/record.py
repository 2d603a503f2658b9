"""One review: the answers of one reader on one analysis at one time."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field, fields
from typing import Annotated, ClassVar

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from pipeline import __version__
from pipeline.errors import ReviewError
from pipeline.reviews.viewing import Overlays, Pauses, Seconds, Slices

SCHEMA = 2
"""2: a cell's apostrophes can be taken off again, and reader codes are in capitals. 1: version 0.1.0."""
LONGEST_TEXT = 4000
LONGEST_NAME = 200
"""Characters of a column that this software fills."""
NOTHING_TO_AGREE_WITH = "not_classified"
"""Agreement with a model that gave no probability."""

_READER = re.compile(r"(?=.*[0-9])[A-Za-z0-9][A-Za-z0-9_-]{1,11}")
_READER_CODE = (
    "Enter a reader code such as R1: 2 to 12 letters, digits, hyphens or underscores with at least one digit, "
    "beginning with a letter or digit, never a name."
)


def _reader_code(value: str) -> str:
    if not is_reader_code(value):
        raise PydanticCustomError("reader_code", "not a code")
    return value


def reader_code(text: str) -> str:
    """The one spelling of a reader code, in capitals: ``r1`` and ``R1`` are one reader. Codes are not checked here."""
    return text.strip().upper()


def is_reader_code(text: str) -> bool:
    return _READER.fullmatch(text) is not None


def _within(low: float, high: float) -> AfterValidator:
    """A number from ``low`` to ``high``, both included; NaN is refused."""

    def checked(value: float) -> float:
        if not low <= value <= high:
            raise PydanticCustomError("out_of_range", "{low} to {high}", {"low": low, "high": high})
        return value

    return AfterValidator(checked)


def _one_of(*choices: object) -> AfterValidator:
    """One of the answers that the form offers; empty or None is no answer yet."""

    def checked(value: object) -> object:
        if value not in choices:
            raise PydanticCustomError("not_offered", "no such answer")
        return value

    return AfterValidator(checked)


Share = Annotated[float, _within(0, 1)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Name = Annotated[str, Field(max_length=LONGEST_NAME)]


def new_review_id() -> str:
    """Random, 32 hexadecimal digits."""
    return uuid.uuid4().hex


@dataclass(frozen=True, kw_only=True)
class Review:
    """The columns of ``reviews.csv`` in their order. None and empty mean: not answered, or does not apply.

    Any content can be held, an unfinished form too; ``check`` validates it by the annotations here and refuses what is
    incomplete. A form makes the ``review_id`` once and keeps it until the review is saved, so that a second click finds
    it stored.
    """

    __pydantic_config__: ClassVar = ConfigDict(strict=True, revalidate_instances="always")

    schema: int = SCHEMA
    review_id: Annotated[str, Field(min_length=1, max_length=64)] = field(default_factory=new_review_id)
    saved_at: AwareDatetime | None = None
    """Time of storage, UTC; set by the store."""
    study: Name = ""
    protocol_sha256: Name = ""
    session: Name = ""
    """Random id of the visit to the page."""
    reader: Annotated[str, AfterValidator(_reader_code)] = ""
    """Code of the reader, never a name."""
    reader_experience: Name = ""
    case_id: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)] = ""
    arm: Annotated[str, _one_of("open", "unaided", "aided")] = "open"
    """``open`` (the ordinary page), or ``unaided`` or ``aided`` in a study."""
    order_index: int | None = None
    seed: int | None = None
    opened_at: AwareDatetime | None = None
    """When the case was shown to the reader; with its time zone."""
    active_seconds: Seconds | None = None
    pauses: Pauses | None = None
    suspicion: Annotated[int, _within(0, 100)] | None = None
    """Suspicion of advanced fibrosis, 0-100."""
    advanced_fibrosis: Annotated[str, _one_of("yes", "no", "not_assessable", "")] = ""
    """The reader's own verdict: ``yes``, ``no`` or ``not_assessable``."""
    confidence: Annotated[int, _one_of(1, 2, 3, 4, 5)] | None = None
    """Confidence in the own verdict, 1 lowest to 5 highest."""
    agreement: Annotated[str, _one_of("agree", "disagree", "unsure", NOTHING_TO_AGREE_WITH, "")] = ""
    """Agreement with the model: ``agree``, ``disagree`` or ``unsure``; ``not_classified`` where it gave no
    probability."""
    segmentation_quality: Annotated[int, _one_of(1, 2, 3)] | None = None
    """1: usable as it is; 2: minor edits needed, shape and extent correct; 3: a part is missing or other tissue
    included."""
    reason: Text = ""
    comment: Text = ""
    after_reveal: bool | None = None
    """Whether the AI's result had been shown when the answers were given."""
    probability: Share | None = None
    threshold: Share | None = None
    predicted_score: int | None = None
    predicted_dice: float | None = None
    mask_sha256: Name = ""
    mask_edited: bool | None = None
    segmenter: Name = ""
    classifier: Name = ""
    app_version: Name = __version__
    overlays_opened: Overlays = ()
    slices_viewed: Slices = ()
    """Axial slices that were on the screen, counted from 1 at the feet, as the page counts them."""
    revises: Name = ""
    """``review_id`` of the row that this one corrects."""

    @property
    def saw_the_ai(self) -> bool:
        """Whether the reader could see the AI's result; without it only the own verdict is asked for."""
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
"""The columns that a reader determines: two rows that differ in one of them are two reviews."""

_COLUMN_RULES = TypeAdapter(Review)
_PRECEDENCE = (
    "reader_code",
    "string_too_short",
    "missing",
    "not_offered",
    "out_of_range",
    "too_early",
    "string_too_long",
    "timezone_aware",
)
"""Kinds of fault, the one to name first at the top; a value of the wrong type comes last."""


def check(review: Review) -> None:
    """Refuse a review that is incomplete or impossible.

    Required are reader, case and the own verdict, with a confidence unless it is ``not_assessable``; where the reader
    saw the AI's result, agreement and segmentation quality as well.

    Raises:
        ReviewError: says what to answer or correct.
    """
    faults = [(error["type"], _message(error)) for error in _column_errors(review)]
    if missing := _missing(review):
        faults.append(("missing", f"Answer before you save: {', '.join(missing)}."))
    if not review.saw_the_ai and (review.agreement or review.segmentation_quality):
        text = "Agreement and segmentation quality can be judged only after the AI's result was shown."
        faults.append(("too_early", text))
    if faults:
        order = {kind: place for place, kind in enumerate(_PRECEDENCE)}
        raise ReviewError(min(faults, key=lambda fault: order.get(fault[0], len(order)))[1])


def _column_errors(review: Review) -> list[ErrorDetails]:
    """What pydantic finds in single columns, in their order."""
    try:
        _COLUMN_RULES.validate_python(review)
    except ValidationError as error:
        return error.errors(include_url=False, include_input=False)
    return []


def _message(error: ErrorDetails) -> str:
    """What to do about one column. Pydantic's own text quotes the value, so it is not shown."""
    name = str(error["loc"][0]).replace("_", " ")
    match error["type"]:
        case "reader_code":
            return _READER_CODE
        case "string_too_short":
            return "Analyse a case before you save a review."
        case "out_of_range":
            return f"The {name} must lie between {error['ctx']['low']} and {error['ctx']['high']}."
        case "string_too_long" if error["ctx"]["max_length"] == LONGEST_TEXT:
            return f"Shorten the text to {LONGEST_TEXT} characters."
        case "timezone_aware":
            return "The time at which the case was opened needs a time zone."
        case "not_offered":
            return f"Choose one of the offered answers for {name}."
    return f"The {name} cannot be stored as it was given; enter it again."


def _missing(review: Review) -> list[str]:
    """Required answers that were not given, in the words of the form."""
    asked = {"your verdict on advanced fibrosis": review.advanced_fibrosis}
    if review.advanced_fibrosis != "not_assessable":
        asked["your confidence"] = str(review.confidence or "")
    if review.saw_the_ai:
        asked["agreement with the model"] = review.agreement
        asked["segmentation quality"] = str(review.segmentation_quality or "")
    return [question for question, answer in asked.items() if not answer]
