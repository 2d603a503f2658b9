"""New values of the page's components for each situation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr

from pipeline.page.state.session_state import SessionState
from pipeline.page.view.components import Components
from pipeline.page.view.result_card import held_back_html, waiting_html
from pipeline.page.view.review_form import reopen_choices
from pipeline.page.view.slice_viewer import with_overlays
from pipeline.page.view.status import message_html
from pipeline.reviews import Review

Updates = dict[Any, Any]
"""New values by component; what is not named stays as it is."""
FAILED = "Unexpected error: please try again; if it happens again, ask the site's administrator to check the log."


class PageUpdates:
    """Builds the updates of each situation."""

    def __init__(self, components: Components) -> None:
        self.components = components

    def say(self, words: str, kind: str = "info") -> Updates:
        return {self.components.status: message_html(words, kind)}

    def blank(self, state: SessionState, *, keep_series: bool = False) -> Updates:
        """The page without a case."""
        picker = {} if keep_series else {self.components.series: gr.update(choices=[], value=None, visible=False)}
        return {
            self.components.state: replace(state, viewer={}, result=None),
            **picker,
            self.components.series_note: "",
            self.components.viewer: None,
            self.components.analyse: gr.update(interactive=False),
            **self.deletable(keep_series),
            self.components.result: waiting_html(),
            **self.form(None),
        }

    def deletable(self, there: bool) -> Updates:
        """Offer to delete the case where there is one; the question whether that is meant is closed."""
        return {self.components.delete: gr.update(visible=there), self.components.sure: gr.update(visible=False)}

    def asked(self) -> Updates:
        """Ask whether the case is to be deleted."""
        return {self.components.delete: gr.update(visible=False), self.components.sure: gr.update(visible=True)}

    def running(self, running: bool) -> Updates:
        """Lock series and models while an analysis runs; another upload stops it."""
        idle = gr.update(interactive=not running)
        return {
            self.components.analyse: gr.update(interactive=not running, visible=not running),
            self.components.stop: gr.update(value="Cancel", visible=running, interactive=True),
            self.components.series: idle,
            self.components.reclassify: idle,
            self.components.blind: idle,
            self.components.segmenter: idle,
            self.components.classifier: idle,
        }

    def packed(self, state: SessionState) -> Updates:
        """Result and overlays, unless they are withheld."""
        result = state.result
        assert result is not None
        viewer = with_overlays(state.viewer, result.overlays) if result.revealed else dict(state.viewer)
        return {
            self.components.state: state,
            self.components.viewer: viewer,
            self.components.result: result.html if result.revealed else held_back_html(),
        }

    def form(self, state: SessionState | None) -> Updates:
        """An empty form for a new result, or none without a state; the reader code stays."""
        revealed = bool(state and state.result and state.result.revealed)
        empty = gr.update(value=None)
        return {
            self.components.form: gr.update(visible=state is not None),
            self.components.judge: gr.update(visible=revealed),
            self.components.advanced: empty,
            self.components.confidence: empty,
            self.components.agreement: gr.update(value=None, visible=self._asks_agreement(state)),
            self.components.quality: empty,
            self.components.comment: gr.update(value=""),
            self.components.saved: "",
            self.components.save: gr.update(value="Save review"),
        }

    def filled(self, review: Review | None) -> Updates:
        """The form with the answers of a saved review."""
        if review is None:
            return {}
        return {
            self.components.reader: review.reader,
            self.components.advanced: review.advanced_fibrosis,
            self.components.confidence: review.confidence,
            self.components.agreement: gr.update(value=review.agreement or None),
            self.components.quality: review.segmentation_quality,
            self.components.comment: review.comment,
            self.components.saved: message_html(f"Saved as review {review.review_id[:8]}.", "done"),
            self.components.save: gr.update(value="Save correction"),
        }

    def reopenable(self, state: SessionState) -> Updates:
        """List the reviewed cases that can be opened again."""
        choices = reopen_choices(state)
        return {self.components.reopen: gr.update(choices=choices, value=None, visible=bool(choices))}

    def judge(self, state: SessionState) -> Updates:
        """Show what is asked of a reader who has seen the result."""
        return {
            self.components.judge: gr.update(visible=True),
            self.components.agreement: gr.update(visible=self._asks_agreement(state)),
        }

    @staticmethod
    def _asks_agreement(state: SessionState | None) -> bool:
        """Agreement is not asked of a result without a probability; nothing tells so before the result is shown."""
        result = state.result if state else None
        return not (result and result.revealed and result.probability is None)
