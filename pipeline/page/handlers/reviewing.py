"""Reviewing an analysis: the form becomes a stored row, and a reader's own verdict reveals what was held back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import gradio as gr

from pipeline.errors import PipelineError
from pipeline.page.handlers.store_result import reveal
from pipeline.page.state.open_cases import GONE, Cases
from pipeline.page.state.session_state import Visit
from pipeline.page.view.components import Parts
from pipeline.page.view.result_card import message_html
from pipeline.page.view.review_form import Answers, reviews_html, same_answers, to_review
from pipeline.page.view.updates import FAILED, Show, Updates
from pipeline.reviews import Review, ReviewStore

log = logging.getLogger(__name__)


class Reviewing:
    """The events of the review form. One instance serves all visitors; what they saved is in the store."""

    def __init__(self, parts: Parts, cases: Cases, store: ReviewStore) -> None:
        self.parts, self.show = parts, Show(parts)
        self.cases, self.store = cases, store

    def save(self, visit: Visit, *answers: Any) -> Updates:
        """Save the form as a row; the reader's own verdict, once saved, reveals what was held back."""
        review = to_review(visit, Answers(*answers))
        latest = visit.latest(review.reader)
        if latest and same_answers(latest, review):
            return {self.parts.saved: message_html(f"Already saved as review {latest.review_id[:8]}.", "done")}
        if visit.outcome is None:
            return {self.parts.saved: message_html(GONE, "error")}
        if not visit.outcome.revealed and self._has_seen(visit, review):
            words = "You have reviewed this case before, so this reading would not be one before the AI."
            return self._reveal(visit, words, "warning")
        try:
            self.store.append(review)
        except PipelineError as error:
            return {self.parts.saved: message_html(str(error), "error")}
        visit = visit.with_saved(review)
        words = f"Saved as review {review.review_id[:8]}"
        words += f", a correction of {review.revises[:8]}." if review.revises else "."
        updates: Updates = {self.parts.reviews: reviews_html(self._rows(visit))}
        if visit.outcome and not visit.outcome.revealed:
            return {**updates, **self._reveal(visit, words, "done")}
        return {
            **updates,
            self.parts.visit: visit,
            self.parts.saved: message_html(words, "done"),
            self.parts.save: gr.update(value="Save correction"),
        }

    def save_failed(self) -> Updates:
        """After a save that ended by an unexpected fault: saving once more makes no second row."""
        log.error("Saving a review ended by an unexpected fault; its traceback is on standard error.")
        return {self.parts.saved: message_html(FAILED, "error")}

    def _has_seen(self, visit: Visit, review: Review) -> bool:
        """Whether this reader saw the case's result in an earlier visit: a reload forgets, the store does not."""
        mine = [review.review_id, *(saved.review_id for saved in visit.saved)]
        return self.store.has_seen_the_ai(review.reader, review.case_id, besides=mine)

    def _reveal(self, visit: Visit, words: str, kind: str) -> Updates:
        """Show what was held back and ask for the judgement of it; ``words`` say why."""
        case = self.cases.find(visit.case_key)
        if case is None or visit.outcome is None:
            said = message_html(f"{words} The images were deleted meanwhile: open the case again to go on.", kind)
            return {self.parts.visit: visit, self.parts.saved: said}
        reveal(case, visit.outcome)
        visit = visit.with_reveal()
        words += " The models' result is shown now: please judge it and save again."
        return {
            **self.show.packed(visit),
            self.parts.judge: gr.update(visible=True),
            self.parts.saved: message_html(words, kind),
            self.parts.save: gr.update(value="Save review"),
        }

    def _rows(self, visit: Visit) -> list[Mapping[str, str]]:
        """This visit's rows as they are stored."""
        table = self.store.rows()
        mine = table[table["review_id"].isin([review.review_id for review in visit.saved])]
        return [{str(column): str(cell) for column, cell in row.items()} for row in mine.to_dict("records")]
