"""What one visitor has open: plain data, kept in a ``gr.State`` and nowhere else."""

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
class Outcome:
    """What is kept of an analysis once its files are written: enough for the result card and for a review's row."""

    case_id: str
    probability: float
    threshold: float
    segmenter: str
    classifier: str
    mask_sha256: str
    html: str
    """The result card. Leaves the server only when ``revealed``."""
    overlays: Mapping[str, Any]
    """What ``write_viewer_overlays`` said. Leaves the server only when ``revealed``."""
    revealed: bool
    predicted_score: int | None = None
    predicted_dice: float | None = None
    """Quality of the mask as the segmenter's ``quality.json`` predicts it; None where there is none."""


@dataclass(frozen=True)
class Visit:
    """One visitor's page. Never changed in place: every handler returns a new one."""

    session: str = ""
    """Random, made at the first upload; names nobody."""
    case_key: str = ""
    study: Study | None = None
    series_key: str = ""
    viewer: Mapping[str, Any] = field(default_factory=dict)
    """The viewer's value for this series, without overlays."""
    opened_at: datetime | None = None
    """When the series was put before the reader."""
    outcome: Outcome | None = None
    form_id: str = ""
    """Id of the review that the form will save; the same until it is saved, so that two clicks make one row."""
    saved: tuple[Review, ...] = ()
    """The reviews of this visit, the oldest first."""
    revealed_cases: frozenset[str] = frozenset()
    """Cases whose AI result this visitor has seen: they cannot be read before the AI any more."""

    def with_case(self, case_key: str, study: Study) -> Visit:
        """Another upload; the reviews of the visit stay."""
        session = self.session or secrets.token_hex(8)
        return replace(self, session=session, case_key=case_key, study=study, series_key="", viewer={}, outcome=None)

    def with_series(self, series_key: str, viewer: Mapping[str, Any]) -> Visit:
        """Another series of the case stands before the reader now, not analysed yet; ``viewer`` shows it."""
        return replace(self, series_key=series_key, viewer=viewer, opened_at=datetime.now(UTC), outcome=None)

    def with_outcome(self, outcome: Outcome) -> Visit:
        """After an analysis: an empty form with an id of its own."""
        visit = replace(self, outcome=outcome, form_id=new_review_id())
        return visit.with_reveal() if outcome.revealed else visit

    def with_reveal(self) -> Visit:
        """The reader has seen the AI's result."""
        assert self.outcome is not None
        shown = replace(self.outcome, revealed=True)
        return replace(self, outcome=shown, revealed_cases=self.revealed_cases | {shown.case_id})

    def with_saved(self, review: Review) -> Visit:
        """After a save; the form's next save is another row."""
        return replace(self, saved=(*self.saved, review), form_id=new_review_id())

    def latest(self, reader: str) -> Review | None:
        """That reader's latest review in this visit of the open case by the same models."""
        if self.outcome is None:
            return None
        open_now = (reader, self.outcome.case_id, self.outcome.segmenter, self.outcome.classifier)
        mine = (r for r in reversed(self.saved) if (r.reader, r.case_id, r.segmenter, r.classifier) == open_now)
        return next(mine, None)
