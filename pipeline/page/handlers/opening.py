"""Opening a case: an upload or an example comes in, one of its series is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr

from pipeline.case import Study
from pipeline.errors import PipelineError
from pipeline.intake import preselected, read_series
from pipeline.page.handlers import uploads
from pipeline.page.state.open_cases import GONE, Case, Cases
from pipeline.page.state.session_state import Visit
from pipeline.page.view.components import Parts
from pipeline.page.view.result_card import warnings_html
from pipeline.page.view.slice_viewer import volume_value
from pipeline.page.view.updates import Show, Updates


class Opening:
    """The events of the input column. One instance serves all visitors and keeps nothing of theirs."""

    def __init__(self, parts: Parts, cases: Cases, *, public: bool) -> None:
        self.parts, self.show = parts, Show(parts)
        self.cases, self.public = cases, public

    def upload(self, visit: Visit, path: str | None, confirmed: bool, request: gr.Request) -> Iterator[Updates]:
        """A file arrived."""
        if path is None:
            return
        if self.public and not confirmed:
            uploads.discard_upload(Path(path))
            yield self.show.say(
                "Please confirm first that the images are de-identified, then upload them again.", "error"
            )
            return
        yield from self._open(visit, lambda case: uploads.import_upload(Path(path), case), request)

    def example(self, visit: Visit, path: Path, request: gr.Request) -> Iterator[Updates]:
        """One of the examples was clicked."""
        yield from self._open(visit, lambda case: uploads.import_example(path, case), request)

    def _open(self, visit: Visit, bring: Callable[[Case], Study], request: gr.Request) -> Iterator[Updates]:
        """Replace the visitor's case by the study that ``bring`` puts into the new case's folder."""
        self.cases.discard(visit.case_key)
        empty = replace(visit, case_key="", study=None, series_key="", viewer={}, outcome=None)
        blank = {
            **self.show.blank(empty),
            **self.show.running(False),
            self.parts.analyse: gr.update(interactive=False, visible=True),
        }
        yield {**blank, self.parts.upload: None, **self.show.say("Reading the upload …")}
        case = self.cases.open(request.session_hash or "")
        try:
            study = bring(case)
            key = preselected(study).key
        except PipelineError as error:
            self.cases.discard(case.key)
            yield self.show.say(str(error), "error")
            return
        choices = [(uploads.series_label(series), series.key) for series in study.series]
        picker = gr.update(choices=choices, value=key, visible=True)
        yield {self.parts.series: picker, **self._read(empty.with_case(case.key, study), case, key)}

    def choose_series(self, visit: Visit, key: str | None) -> Iterator[Updates]:
        """Another row of the picker."""
        case = self.cases.find(visit.case_key)
        if case is None or visit.study is None or not key:
            yield self.show.say(GONE, "error")
            return
        yield {**self.show.blank(visit, keep_series=True), **self.show.say("Reading the series …")}
        yield self._read(visit, self.cases.serve_anew(case), key)

    def _read(self, visit: Visit, case: Case, key: str) -> Updates:
        """Read one series and put it into the viewer."""
        assert visit.study is not None
        note = {self.parts.series_note: uploads.series_note(visit.study, key)}
        try:
            volume = read_series(visit.study, key)
            value = volume_value(volume, case, self.cases)
        except PipelineError as error:
            return {self.parts.visit: visit.with_series("", {}), **note, **self.show.say(str(error), "error")}
        warned = warnings_html([warning.message for warning in volume.warnings])
        return {
            **note,
            self.parts.visit: visit.with_series(key, value),
            self.parts.viewer: value,
            self.parts.analyse: gr.update(interactive=True),
            **({self.parts.status: warned} if warned else self.show.say("Ready to analyse.")),
        }

    def leave(self, request: gr.Request) -> None:
        """The tab was closed or reloaded."""
        self.cases.discard_session(request.session_hash or "")
