"""Handlers of the input column: open an upload or an example and show one of its series."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr

from pipeline.case import Study
from pipeline.errors import PipelineError
from pipeline.intake import preselected, read_series
from pipeline.page.handlers import uploads
from pipeline.page.server.visitors import Visitors
from pipeline.page.state.open_cases import GONE, OpenCase, OpenCases
from pipeline.page.state.session_state import SessionState
from pipeline.page.view.components import Components
from pipeline.page.view.series_picker import series_label, series_note
from pipeline.page.view.slice_viewer import volume_value
from pipeline.page.view.status import warnings_html
from pipeline.page.view.updates import PageUpdates, Updates

log = logging.getLogger(__name__)


class Opening:
    """Events of the input column. Stateless, one instance for all sessions."""

    def __init__(self, components: Components, cases: OpenCases, visitors: Visitors, *, public: bool) -> None:
        self.components, self.updates = components, PageUpdates(components)
        self.cases, self.visitors, self.public = cases, visitors, public

    def upload(
        self, state: SessionState, paths: list[str] | None, confirmed: bool, request: gr.Request
    ) -> Iterator[Updates]:
        """Files arrived: one, or those of a folder."""
        if not paths:
            return
        try:
            taken = uploads.take_upload(paths, self.visitors.visitor_of(request), self.cases.uploads, self.visitors)
        except PipelineError as error:
            yield self.updates.say(str(error), "error")
            return
        if self.public and not confirmed:
            uploads.discard_upload(taken)
            yield self.updates.say(
                "Please confirm first that the images are de-identified, then upload them again.", "error"
            )
            return
        yield from self._open(
            state, lambda case: uploads.import_upload(taken, case), request, lambda: uploads.discard_upload(taken)
        )

    def example(self, state: SessionState, path: Path, request: gr.Request) -> Iterator[Updates]:
        """One of the examples was clicked."""
        yield from self._open(state, lambda case: uploads.import_example(path, case), request)

    def _open(
        self,
        state: SessionState,
        bring: Callable[[OpenCase], Study],
        request: gr.Request,
        refused: Callable[[], None] = lambda: None,
    ) -> Iterator[Updates]:
        """Replace the session's case by the study that ``bring`` writes into the new case's folder.

        Args:
            refused: called where no case can be opened, instead of ``bring``.
        """
        state = self._left(state)
        empty = replace(state, study=None, series_key="", viewer={}, result=None)
        blank = {
            **self.updates.running(False),
            **self.updates.blank(empty),
            **self.updates.reopenable(empty),
            self.components.analyse: gr.update(interactive=False, visible=True),
        }
        yield {**blank, self.components.upload: None, **self.updates.say("Reading the upload …")}
        try:
            case = self.cases.open(request.session_hash or "", self.visitors.visitor_of(request))
        except PipelineError as error:
            refused()
            yield self.updates.say(str(error), "error")
            return
        self.cases.keep_only(case.session, {case.key, *(one.case_key for one in state.reviewed)})
        began = time.monotonic()
        try:
            study = bring(case)
            key = preselected(study).key
        except PipelineError as error:
            log.info("An upload was refused (%s).", type(error).__name__, extra=case.log_id)
            self.cases.discard(case.key)
            yield self.updates.say(str(error), "error")
            return
        log.info("A case was opened.", extra={**case.log_id, "kind": study.kind, "seconds": _seconds_since(began)})
        choices = [(series_label(series), series.key) for series in study.series]
        picker = gr.update(choices=choices, value=key, visible=True)
        yield {
            self.components.series: picker,
            **self.updates.deletable(True),
            **self._read(empty.with_case(case.key, study), case, key),
        }

    def _left(self, state: SessionState) -> SessionState:
        """Leave the open case: a reviewed one is kept to be opened again, others are deleted."""
        if case := self.cases.find(state.case_key):
            case.stop.set()
        state, dropped = state.set_aside()
        for key in dropped:
            self.cases.discard(key)
        return state

    def reopen(self, state: SessionState, place: int | None) -> Updates:
        """A reviewed case of this visit was chosen to be looked at again."""
        if place is None or not 0 <= place < len(state.reviewed):
            return {}
        again = state.reviewed[place]
        case = self.cases.find(again.case_key)
        if case is None:
            state = state.without_reviewed(again)
            return {
                self.components.state: state,
                **self.updates.reopenable(state),
                **self.updates.say(GONE, "error"),
            }
        case.stop.clear()
        state = self._left(state.without_reviewed(again)).with_reopened(again)
        choices = [(series_label(series), series.key) for series in again.study.series]
        return {
            **self.updates.running(False),
            **self.updates.packed(state),
            **self.updates.form(state),
            **self.updates.filled(state.last_review(again.result.case_id)),
            **self.updates.reopenable(state),
            **self.updates.deletable(True),
            self.components.series: gr.update(choices=choices, value=again.series_key, visible=True),
            self.components.series_note: series_note(again.study, again.series_key),
            self.components.analyse: gr.update(interactive=True, visible=True),
            **self.updates.say("Opened again."),
        }

    def choose_series(self, state: SessionState, key: str | None) -> Iterator[Updates]:
        """Another row of the picker."""
        case = self.cases.find(state.case_key)
        if case is None or state.study is None or not key:
            yield self.updates.say(GONE, "error")
            return
        yield {**self.updates.blank(state, keep_series=True), **self.updates.say("Reading the series …")}
        try:
            case = self.cases.serve_anew(case)
        except PipelineError as error:
            yield self.updates.say(str(error), "error")
            return
        yield self._read(state, case, key)

    def _read(self, state: SessionState, case: OpenCase, key: str) -> Updates:
        """Read one series and put it into the viewer."""
        assert state.study is not None
        note = {self.components.series_note: series_note(state.study, key)}
        try:
            volume = read_series(state.study, key)
            value = volume_value(volume, case, self.cases)
        except PipelineError as error:
            return {self.components.state: state.with_series("", {}), **note, **self.updates.say(str(error), "error")}
        if self.cases.find(case.key) is None:  # discarded meanwhile: nothing of it stays on the disk
            self.cases.delete(case)
            return {**note, **self.updates.say(GONE, "error")}
        warned = warnings_html([warning.message for warning in volume.warnings])
        return {
            **note,
            self.components.state: state.with_series(key, value),
            self.components.viewer: value,
            self.components.analyse: gr.update(interactive=True),
            **self.updates.deletable(True),
            **({self.components.status: warned} if warned else self.updates.say("Ready to analyse.")),
        }

    def delete(self, state: SessionState) -> Updates:
        """Delete the open case's images and results at once; saved reviews stay."""
        self.cases.discard(state.case_key)
        empty = replace(state, case_key="", study=None, series_key="")
        return {
            **self.updates.running(False),
            **self.updates.blank(empty),
            self.components.analyse: gr.update(interactive=False, visible=True),
            **self.updates.say("Deleted. Saved reviews stay.", "done"),
        }

    def leave(self, request: gr.Request) -> None:
        """The tab was closed or reloaded."""
        self.cases.discard_session(request.session_hash or "")


def _seconds_since(began: float) -> float:
    return round(time.monotonic() - began, 2)
