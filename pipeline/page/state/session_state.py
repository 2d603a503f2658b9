"""State of one browser session: plain data, kept in a ``gr.State`` and nowhere else."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pipeline.case import Study
from pipeline.reviews import Review
from pipeline.reviews.record import new_review_id


@dataclass(frozen=True)
class StoredResult:
    """An analysis once its files are written: the result card and the values of a review's row."""

    case_id: str
    probability: float | None
    threshold: float | None
    """Both None where the series was not classified."""
    segmenter: str
    classifier: str
    mask_sha256: str
    html: str
    """The result card. Sent to the browser only when ``revealed``."""
    overlays: Mapping[str, Any]
    """Return value of ``write_viewer_overlays``. Sent to the browser only when ``revealed``."""
    revealed: bool
    predicted_score: int | None = None
    predicted_dice: float | None = None
    """Quality of the mask as the segmenter's ``quality.json`` predicts it; None where there is none."""
    chosen: tuple[str, str] = ("", "")
    """Names of segmenter and classifier, as they were chosen."""
    knows_spleen: bool = False
    of_model: StoredResult | None = None
    """Of a result on a mask that the reader corrected: the result on the segmenter's mask."""

    @property
    def mask_edited(self) -> bool:
        """Whether the liver mask is the reader's correction."""
        return self.of_model is not None

    @property
    def on_models_mask(self) -> StoredResult:
        """The result on the segmenter's own mask."""
        return self.of_model or self


@dataclass(frozen=True)
class ReviewedCase:
    """A reviewed case of this visit that was left and can be opened again while its images are kept."""

    case_key: str
    study: Study
    series_key: str
    viewer: Mapping[str, Any]
    opened_at: datetime | None
    result: StoredResult


MOST_REVIEWED = 3
"""Reviewed cases whose images are kept beside the open one."""


@dataclass(frozen=True)
class SessionState:
    """State of one browser session. Immutable: handlers return a new one."""

    session: str = ""
    """Random id, made at the first upload."""
    case_key: str = ""
    study: Study | None = None
    series_key: str = ""
    viewer: Mapping[str, Any] = field(default_factory=dict)
    """The viewer's value for this series, without overlays."""
    opened_at: datetime | None = None
    """Time at which the series was displayed."""
    result: StoredResult | None = None
    form_id: str = ""
    """Id of the review that the form will save; constant until it is saved, so that two clicks make one row."""
    saved: tuple[Review, ...] = ()
    """Reviews saved in this session, the oldest first."""
    revealed_cases: frozenset[str] = frozenset()
    """Case ids whose AI result was shown in this session: they cannot be read before the AI any more."""
    reviewed: tuple[ReviewedCase, ...] = ()
    """The oldest first."""

    def set_aside(self) -> tuple[SessionState, tuple[str, ...]]:
        """Leave the open case; it is kept if it was reviewed.

        Returns:
            The state, and keys of the cases that are to be deleted.
        """
        others = tuple(case for case in self.reviewed if case.case_key != self.case_key)
        if self.study is None or self.result is None or not self._is_reviewed(self.result):
            return replace(self, case_key="", reviewed=others), (self.case_key,) if self.case_key else ()
        left = ReviewedCase(self.case_key, self.study, self.series_key, self.viewer, self.opened_at, self.result)
        kept = (*others, left)
        dropped = tuple(case.case_key for case in kept[:-MOST_REVIEWED])
        return replace(self, case_key="", reviewed=kept[-MOST_REVIEWED:]), dropped

    def _is_reviewed(self, result: StoredResult) -> bool:
        return any(review.case_id == result.case_id for review in self.saved)

    def with_reopened(self, case: ReviewedCase) -> SessionState:
        """Open a case again that was set aside; the next save of its form is a correction."""
        return replace(
            self,
            case_key=case.case_key,
            study=case.study,
            series_key=case.series_key,
            viewer=case.viewer,
            opened_at=case.opened_at,
            result=case.result,
            form_id=new_review_id(),
        )

    def without_reviewed(self, case: ReviewedCase) -> SessionState:
        """Forget a case that was set aside."""
        return replace(self, reviewed=tuple(one for one in self.reviewed if one is not case))

    def last_review(self, case_id: str) -> Review | None:
        """The latest review of a case in this session."""
        return next((review for review in reversed(self.saved) if review.case_id == case_id), None)

    def with_case(self, case_key: str, study: Study) -> SessionState:
        """Open another upload; the reviews of the session stay."""
        session = self.session or secrets.token_hex(8)
        return replace(self, session=session, case_key=case_key, study=study, series_key="", viewer={}, result=None)

    def with_series(self, series_key: str, viewer: Mapping[str, Any]) -> SessionState:
        """Show another series of the case, not analysed yet."""
        return replace(self, series_key=series_key, viewer=viewer, opened_at=datetime.now(UTC), result=None)

    def with_result(self, result: StoredResult) -> SessionState:
        """Keep an analysis and start an empty form with a new review id."""
        state = replace(self, result=result, form_id=new_review_id())
        return state.with_reveal() if result.revealed else state

    def with_correction(self, result: StoredResult) -> SessionState:
        """Show the result on another mask of the same case; the form keeps its answers and its next save is a row."""
        return replace(self, result=result, form_id=new_review_id())

    def with_reveal(self) -> SessionState:
        """Mark the AI's result as shown."""
        assert self.result is not None
        shown = replace(self.result, revealed=True)
        return replace(self, result=shown, revealed_cases=self.revealed_cases | {shown.case_id})

    def with_saved(self, review: Review) -> SessionState:
        """Add a saved review; the form's next save is another row."""
        return replace(self, saved=(*self.saved, review), form_id=new_review_id())

    def latest(self, reader: str) -> Review | None:
        """The reader's latest review in this session of the open case and the same models."""
        if self.result is None:
            return None
        open_now = (reader, self.result.case_id, self.result.segmenter, self.result.classifier)
        mine = (r for r in reversed(self.saved) if (r.reader, r.case_id, r.segmenter, r.classifier) == open_now)
        return next(mine, None)
