"""Handlers of the review form: save it as a row, and reveal a withheld result after the reader's own verdict."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import gradio as gr

from pipeline.errors import PipelineError
from pipeline.page.handlers.store_result import reveal
from pipeline.page.server.review_files import ReviewFiles
from pipeline.page.state.open_cases import GONE, OpenCases
from pipeline.page.state.session_state import SessionState
from pipeline.page.view.components import Components
from pipeline.page.view.review_form import Answers, reviews_html, same_answers, to_review
from pipeline.page.view.status import message_html
from pipeline.page.view.updates import FAILED, PageUpdates, Updates
from pipeline.reviews import Review
from pipeline.reviews.record import is_reader_code

log = logging.getLogger(__name__)


class Reviewing:
    """The events of the review form. Stateless, one instance for all sessions; saved reviews are in the store."""

    def __init__(self, components: Components, cases: OpenCases, files: ReviewFiles) -> None:
        self.components, self.updates = components, PageUpdates(components)
        self.cases, self.files = cases, files
        self.store, self.shown = files.store, files.shown

    def unpushed(self) -> str:
        """How many reviews are on this server only, as HTML."""
        words = self.files.unpushed_words()
        return message_html(words, "warning") if words else ""

    def name_reader(self, state: SessionState, reader: str | None) -> None:
        """A reader code was entered: what this session was and will be shown counts for it."""
        self.shown.record_reader(state.session, reader or "")

    def save(self, state: SessionState, *answers: Any) -> Updates:
        """Save the form as a row; a saved verdict reveals a withheld result."""
        review = to_review(state, Answers(*answers))
        self.shown.record_reader(state.session, review.reader)
        latest = state.latest(review.reader)
        if latest and same_answers(latest, review):
            return {self.components.saved: message_html(f"Already saved as review {latest.review_id[:8]}.", "done")}
        if state.result is None:
            return {self.components.saved: message_html(GONE, "error")}
        if not state.result.revealed and self._has_seen(state, review):
            words = "You have seen the AI's result on this case before, so this is not a reading before AI."
            return self._reveal(state, words, "warning")
        try:
            self.store.append(review)
        except PipelineError as error:
            return {self.components.saved: message_html(str(error), "error")}
        state = state.with_saved(review)
        words = f"Saved as review {review.review_id[:8]}"
        words += f", a correction of {review.revises[:8]}." if review.revises else "."
        updates: Updates = {
            self.components.reviews: reviews_html(self._rows(state)),
            self.components.unpushed: self.unpushed(),
        }
        if state.result and not state.result.revealed:
            return {**updates, **self._reveal(state, words, "done")}
        return {
            **updates,
            self.components.state: state,
            self.components.saved: message_html(words, "done"),
            self.components.save: gr.update(value="Save correction"),
        }

    def save_failed(self) -> Updates:
        """Report a save that failed unexpectedly; saving again makes no second row."""
        log.error("Saving a review ended by an unexpected fault, which the log names.")
        return {self.components.saved: message_html(FAILED, "error")}

    def _has_seen(self, state: SessionState, review: Review) -> bool:
        """Whether this reader saw the case's result before, by what was sent and by the stored reviews.

        A reader without a valid code is first asked for one.
        """
        if not is_reader_code(review.reader):
            return False
        if self.shown.has_seen(review.reader, state.session, review.case_id):
            return True
        mine = [review.review_id, *(saved.review_id for saved in state.saved)]
        return self.store.has_seen_the_ai(review.reader, review.case_id, besides=mine)

    def _reveal(self, state: SessionState, words: str, kind: str) -> Updates:
        """Show the withheld result and ask for a judgement of it; ``words`` say why."""
        case = self.cases.find(state.case_key)
        if case is None or state.result is None:
            said = message_html(f"{words} The images were deleted meanwhile: open the case again to continue.", kind)
            return {self.components.state: state, self.components.saved: said}
        self.shown.record_shown(state.session, state.result.case_id)
        reveal(case, state.result)
        state = state.with_reveal()
        words += " The result is shown now: please judge it and save again."
        return {
            **self.updates.packed(state),
            **self.updates.judge(state),
            self.components.saved: message_html(words, kind),
            self.components.save: gr.update(value="Save review"),
        }

    def _rows(self, state: SessionState) -> list[Mapping[str, str]]:
        """The stored rows of this session."""
        return list(self.store.find(review.review_id for review in state.saved))
