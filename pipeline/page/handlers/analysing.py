"""Analysing the open series: progress, the result, and what is said when there is none."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator
from dataclasses import replace

import gradio as gr

from pipeline.case import Analysis, Step
from pipeline.errors import Cancelled, PipelineError
from pipeline.page.handlers.store_result import pack, reveal
from pipeline.page.server.engine import Choice, Engine, WaitingLine
from pipeline.page.state.open_cases import GONE, Case, Cases
from pipeline.page.state.session_state import Outcome, Visit
from pipeline.page.view.components import Parts
from pipeline.page.view.result_card import progress_html, waiting_html
from pipeline.page.view.slice_viewer import volume_value
from pipeline.page.view.updates import FAILED, Show, Updates

log = logging.getLogger(__name__)
POLL_S = 0.25
EVERY_S = 0.15
"""Shortest time between two movements of the progress bar."""


class Analysing:
    """The events of an analysis. One instance serves all visitors and keeps nothing of theirs but their line."""

    def __init__(self, parts: Parts, cases: Cases, engine: Engine) -> None:
        self.parts, self.show = parts, Show(parts)
        self.cases, self.engine, self.line = cases, engine, WaitingLine()

    def analyse(self, visit: Visit, blind: bool, segmenter: str, classifier: str) -> Iterator[Updates]:
        """Run the named models on the open series, one step at a time. Ends at its next step once it is stopped."""
        case = self.cases.find(visit.case_key)
        if case is None or visit.study is None or not visit.series_key:
            yield self.show.say(GONE if visit.case_key else "Please open an MRI first.", "error")
            return
        case.stop.clear()
        yield {**self.show.running(True), **self.show.form(None), self.parts.result: waiting_html()}
        try:
            analysis = yield from self._steps(visit, case, Choice(segmenter, classifier))
            yield {self.parts.status: progress_html("Writing the files", 0.99)}
            if visit.outcome:  # the viewer keeps what it has loaded of a served folder
                case = self.cases.serve_anew(case)
                visit = replace(visit, viewer=volume_value(analysis.volume, case, self.cases))
            outcome = self._pack(analysis, case)
            blind = blind and outcome.case_id not in visit.revealed_cases
            if not blind:
                reveal(case, outcome)
        except Cancelled:
            if self.cases.find(case.key):
                yield {**self.show.running(False), **self.show.say("Stopped. Nothing was kept.")}
            return
        except PipelineError as error:
            if self.cases.find(case.key):
                yield {**self.show.running(False), **self.show.say(str(error), "error")}
            return
        visit = visit.with_outcome(replace(outcome, revealed=not blind))
        yield {
            **self.show.running(False),
            **self.show.packed(visit),
            **self.show.form(visit),
            **self.show.say("Done.", "done"),
        }

    def _steps(self, visit: Visit, case: Case, choice: Choice) -> Generator[Updates, None, Analysis]:
        """Progress while waiting in line, for the models, and through the analysis, which is returned.

        Raises:
            Cancelled: stopped or discarded.
            PipelineError: as ``analyze_steps``.
        """
        assert visit.study is not None
        with self.line.join() as ahead:
            while (waiting := ahead()) or not self.engine.wait(POLL_S):
                if case.stop.is_set():
                    raise Cancelled("Stopped.")
                words = f"Waiting in line: {waiting} ahead of you" if waiting else "Models are loading"
                yield {self.parts.status: progress_html(words, 0.0)}
                if waiting:
                    time.sleep(POLL_S)
            shown, last = 0.0, Step("", 0.0)
            for step in self.engine.analyse(visit.study, visit.series_key, choice, case.stop.is_set):
                last = step
                # Stopped: nothing more is shown, and the next step raises.
                if time.monotonic() - shown > EVERY_S and not case.stop.is_set():
                    shown = time.monotonic()
                    self.cases.find(case.key)  # a long analysis is use
                    yield {self.parts.status: progress_html(step.name, step.share)}
        if case.stop.is_set() or last.analysis is None:
            raise Cancelled("Stopped.")
        return last.analysis

    def _pack(self, analysis: Analysis, case: Case) -> Outcome:
        """``pack``, unless the case was discarded meanwhile: then nothing of it may come back to the disk.

        Raises:
            Cancelled: discarded.
            PipelineError: the disk is full.
        """
        try:
            outcome = pack(analysis, case)
        except (OSError, RuntimeError) as error:  # SimpleITK raises RuntimeError where it cannot write
            if self.cases.find(case.key):
                raise PipelineError("The result could not be written: free disk space and analyse again.") from error
        if self.cases.find(case.key) is None:
            self.cases.delete(case)
            raise Cancelled("Discarded.")
        return outcome

    def stop(self, visit: Visit) -> Updates:
        """Ask the running analysis to end; it says so itself when it has."""
        if case := self.cases.find(visit.case_key):
            case.stop.set()
        return {self.parts.stop: gr.update(value="Cancelling …", interactive=False)}

    def failed(self, visit: Visit) -> Updates:
        """After an event that ended by a fault of ours, of a library or of the machine; Gradio prints its traceback."""
        log.error("An event of the page ended by an unexpected fault; its traceback is on standard error.")
        again = bool(visit.series_key and self.cases.find(visit.case_key))
        return {
            **self.show.running(False),
            self.parts.analyse: gr.update(interactive=again, visible=True),
            **self.show.say(FAILED, "error"),
        }
