"""One read of a study: a reader's answers on one case in one arm, with the truth and the model's stored result."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from models.files import file_sha256
from pipeline.errors import StudyError
from pipeline.reader_study.protocol import Protocol, StudyCase
from pipeline.reader_study.study_folder import StudyFolder

Arm = Literal["unaided", "aided"]
ARMS: tuple[Arm, ...] = ("unaided", "aided")
Verdict = Literal["yes", "no", "not_assessable"]
VERDICTS: tuple[Verdict, ...] = ("yes", "no", "not_assessable")


@dataclass(frozen=True)
class ReadCase:
    """A case with its reference standard and the model's stored result."""

    case_id: str
    positive: bool
    """Truth by the reference standard."""
    probability: float | None = None
    """Of the positive class, 0-1; None where the model did not classify the case."""
    threshold: float | None = None
    """Operating point that ``probability`` is compared with."""
    score: int | None = None
    """Segmentation score that the model predicted, 1 to 3."""
    trained_on: str = ""
    """What the classifier was trained on, in the words of its card; empty if not stored."""

    @property
    def model_positive(self) -> bool | None:
        """The model's verdict; None where there is none."""
        if self.probability is None or self.threshold is None:
            return None
        return self.probability >= self.threshold

    @property
    def model_right(self) -> bool | None:
        """Whether the model's verdict is the truth; None where there is none."""
        return None if self.model_positive is None else self.model_positive == self.positive


@dataclass(frozen=True)
class StoredRead:
    """One stored row that counts."""

    review_id: str
    reader: str
    arm: Arm
    case: ReadCase
    verdict: Verdict
    suspicion: int | None
    """0-100; None where it was not given."""
    confidence: int | None
    """1 to 5."""
    agreement: str
    segmentation_quality: int | None
    """Score of the outline by the reader, 1 to 3; aided reads only."""
    active_seconds: float | None
    overlays_opened: tuple[str, ...]
    probability_shown: float | None
    after_reveal: bool
    """An unaided row that was answered after the model's result had been shown."""
    saved_at: datetime

    @property
    def assessable(self) -> bool:
        return self.verdict != "not_assessable"

    @property
    def right(self) -> bool:
        """Whether the verdict is the truth; ``not_assessable`` is not."""
        return self.verdict == ("yes" if self.case.positive else "no")

    @property
    def called(self) -> bool:
        """The verdict as a call of positive; ``not_assessable`` is called wrong, whatever the truth."""
        return self.verdict == "yes" if self.assessable else not self.case.positive


def parse_read(row: Mapping[str, str], case: ReadCase) -> StoredRead:
    """A row of the review store as a read of ``case``.

    Raises:
        ValueError: a cell is none of its column's values.
    """
    arm, verdict = row["arm"], row["advanced_fibrosis"]
    if arm not in ARMS or verdict not in VERDICTS:
        raise ValueError("arm or verdict")
    seconds = float(row["active_seconds"]) if row["active_seconds"] else None
    if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError("active seconds")
    return StoredRead(
        review_id=row["review_id"],
        reader=row["reader"],
        arm=arm,  # type: ignore[arg-type]
        case=case,
        verdict=verdict,  # type: ignore[arg-type]
        suspicion=_whole(row["suspicion"], 0, 100),
        confidence=_whole(row["confidence"], 1, 5),
        agreement=row["agreement"],
        segmentation_quality=_whole(row["segmentation_quality"], 1, 3),
        active_seconds=seconds,
        overlays_opened=tuple(name for name in row["overlays_opened"].split("|") if name),
        probability_shown=float(row["probability"]) if row["probability"] else None,
        after_reveal=arm == "unaided" and row["after_reveal"] == "yes",
        saved_at=datetime.fromisoformat(row["saved_at"]),
    )


def _whole(cell: str, low: int, high: int) -> int | None:
    if not cell:
        return None
    number = int(cell)
    if not low <= number <= high:
        raise ValueError("out of range")
    return number


def read_cases(folder: StudyFolder, protocol: Protocol) -> tuple[ReadCase, ...]:
    """Truth and the model's stored result of each case that counts, in the protocol's order.

    Raises:
        StudyError: the reference standard or a stored result is missing, damaged, or another than in the protocol.
    """
    truth, cases = folder.reference_of(protocol), [case for case in protocol.cases if not case.practice]
    case_ids = [case.case_id for case in cases]
    if missing := [case_id for case_id in case_ids if case_id not in truth]:
        raise StudyError(f"reference.csv has no truth for {len(missing)} of {len(case_ids)} cases; complete it.")
    return tuple(_read_case(folder, case, truth[case.case_id]) for case in cases)


def _read_case(folder: StudyFolder, case: StudyCase, positive: bool) -> ReadCase:
    file = folder.case(case.case_id) / "analysis.json"
    if file.is_file() and file_sha256(file) != case.analysis_sha256:
        raise StudyError(
            "The stored result of a case (analysis.json) was changed since the study was prepared: run `study check`."
        )
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        fibrosis = stored["fibrosis"] or {}
        score = stored["segmentation_quality"].get("score")
        probability, threshold = fibrosis.get("probability"), fibrosis.get("threshold")
        return ReadCase(
            case.case_id,
            positive,
            None if probability is None else float(probability),
            None if threshold is None else float(threshold),
            None if score is None else int(score),
            str(stored.get("models", {}).get("classifier", {}).get("trained_on", "")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(
            "The stored result of a case (analysis.json) is missing or damaged; run `study check` on the folder."
        ) from error
