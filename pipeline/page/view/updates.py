"""What the page shows in each situation, as new values by component."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr

from pipeline.page.state.session_state import Visit
from pipeline.page.view.components import Parts
from pipeline.page.view.result_card import held_back_html, message_html, waiting_html
from pipeline.page.view.slice_viewer import with_overlays

Updates = dict[Any, Any]
"""New values by component; what is not named stays as it is."""
FAILED = (
    "Something went wrong that we did not foresee: please try again, and if it happens again, ask the site's "
    "administrator to look at the log."
)


class Show:
    """Turns situations into updates. Keeps nothing but the components."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def say(self, words: str, kind: str = "info") -> Updates:
        return {self.parts.status: message_html(words, kind)}

    def blank(self, visit: Visit, *, keep_series: bool = False) -> Updates:
        """The page without a case."""
        picker = {} if keep_series else {self.parts.series: gr.update(choices=[], value=None, visible=False)}
        return {
            self.parts.visit: replace(visit, viewer={}, outcome=None),
            **picker,
            self.parts.series_note: "",
            self.parts.viewer: None,
            self.parts.analyse: gr.update(interactive=False),
            self.parts.result: waiting_html(),
            **self.form(None),
        }

    def running(self, running: bool) -> Updates:
        """While an analysis runs, its series cannot be changed under it; another upload ends it."""
        idle = gr.update(interactive=not running)
        return {
            self.parts.analyse: gr.update(interactive=not running, visible=not running),
            self.parts.stop: gr.update(value="Cancel", visible=running, interactive=True),
            self.parts.series: idle,
            self.parts.blind: idle,
            self.parts.segmenter: idle,
            self.parts.classifier: idle,
        }

    def packed(self, visit: Visit) -> Updates:
        """Result and overlays, as far as this reader may see them."""
        outcome = visit.outcome
        assert outcome is not None
        viewer = with_overlays(visit.viewer, outcome.overlays) if outcome.revealed else dict(visit.viewer)
        return {
            self.parts.visit: visit,
            self.parts.viewer: viewer,
            self.parts.result: outcome.html if outcome.revealed else held_back_html(),
        }

    def form(self, visit: Visit | None) -> Updates:
        """An empty form for a new outcome, or none; the reader's code stays."""
        revealed = bool(visit and visit.outcome and visit.outcome.revealed)
        empty = gr.update(value=None)
        return {
            self.parts.form: gr.update(visible=visit is not None),
            self.parts.judge: gr.update(visible=revealed),
            self.parts.advanced: empty,
            self.parts.confidence: empty,
            self.parts.agreement: empty,
            self.parts.quality: empty,
            self.parts.comment: gr.update(value=""),
            self.parts.saved: "",
            self.parts.save: gr.update(value="Save review"),
        }
