"""Handlers of an analysis: progress, result, cancelling and errors."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import gradio as gr

from pipeline.case import Analysis, Step
from pipeline.errors import Cancelled, PipelineError
from pipeline.page.handlers.store_result import pack, reveal
from pipeline.page.server.engine import RUN_LIMITS, Choice, Engine, RunLimits, WaitingLine
from pipeline.page.server.memory import give_back
from pipeline.page.state.open_cases import GONE, OpenCase, OpenCases
from pipeline.page.state.session_state import SessionState, StoredResult
from pipeline.page.view.components import Components
from pipeline.page.view.result_card import waiting_html
from pipeline.page.view.slice_viewer import volume_value
from pipeline.page.view.status import progress_html
from pipeline.page.view.updates import FAILED, PageUpdates, Updates
from pipeline.reviews.shown import ShownLedger

log = logging.getLogger(__name__)
POLL_S = 0.25
"""Interval between two looks at the waiting line, s."""
EVERY_S = 0.5
"""Minimum interval between two updates of the progress bar within a stage, s: the browser draws each of them on a
processor that the analysis needs."""


class Progress:
    """The progress bar of one analysis: no update changes nothing, and within a stage they keep their distance."""

    def __init__(self, components: Components) -> None:
        self.components = components
        self._html, self._stage, self._shown = "", "", 0.0

    def show(self, name: str, share: float) -> Iterator[Updates]:
        """The update, or nothing. ``name`` is a stage, or a stage and ``: ``, and how far it is."""
        html, stage, now = progress_html(name, share), name.partition(":")[0], time.monotonic()
        if html == self._html or (stage == self._stage and now - self._shown < EVERY_S):
            return
        self._html, self._stage, self._shown = html, stage, now
        yield {self.components.status: html}


class Analysing:
    """Events of an analysis. One instance for all sessions; its only state is the waiting line."""

    def __init__(
        self,
        components: Components,
        cases: OpenCases,
        engine: Engine,
        shown: ShownLedger,
        limits: RunLimits = RUN_LIMITS,
    ) -> None:
        self.components, self.updates = components, PageUpdates(components)
        self.cases, self.engine, self.shown = cases, engine, shown
        self.line, self.longest_s = WaitingLine(limits.waiting), limits.seconds

    def analyse(
        self, state: SessionState, blind: bool | None, segmenter: str | None, classifier: str | None
    ) -> Iterator[Updates]:
        """Run the named models (or the default ones) on the open series; cancelling takes effect at the next step."""
        case = self.cases.find(state.case_key)
        if case is None or state.study is None or not state.series_key:
            yield self.updates.say(GONE if state.case_key else "Please open an MRI first.", "error")
            return
        case.stop.clear()
        began = time.monotonic()
        yield {**self.updates.running(True), **self.updates.form(None), self.components.result: waiting_html()}
        try:
            choice = self._choice(segmenter, classifier)
            run = self.engine.analyse(state.study, state.series_key, choice, case.stop.is_set)
            analysis = yield from self.steps(case, run)
            yield {self.components.status: progress_html("Writing the files", 0.99)}
            if state.result:  # the viewer keeps what it has loaded of a served folder
                case = self.cases.serve_anew(case)
                state = replace(state, viewer=volume_value(analysis.volume, case, self.cases))
            result = self.packed(case, partial(pack, analysis, case, choice))
            blind = bool(blind) and result.case_id not in state.revealed_cases
            if not blind:
                self.shown.record_shown(state.session, result.case_id)
                reveal(case, result)
        except PipelineError as error:
            log.info("An analysis ended without a result (%s).", type(error).__name__, extra=case.log_id)
            yield from self.ended(case, error)
            return
        log.info("A case was analysed.", extra={**case.log_id, "seconds": round(time.monotonic() - began, 2)})
        state = state.with_result(replace(result, revealed=not blind))
        yield {
            **self.updates.running(False),
            **self.updates.packed(state),
            **self.updates.form(state),
            **self.updates.say("Done.", "done"),
        }

    def ended(self, case: OpenCase, error: PipelineError) -> Iterator[Updates]:
        """Say why a run has no result; nothing where its case was discarded meanwhile."""
        if self.cases.find(case.key) is None:
            self.cases.delete(case)  # what was written after it was discarded
        elif isinstance(error, Cancelled):
            yield {**self.updates.running(False), **self.updates.say("Cancelled. Nothing was saved.")}
        else:
            yield {**self.updates.running(False), **self.updates.say(str(error), "error")}

    def _choice(self, segmenter: str | None, classifier: str | None) -> Choice:
        default = self.engine.default
        return Choice(segmenter or default.segmenter, classifier or default.classifier)

    def steps(self, case: OpenCase, run: Iterator[Step]) -> Generator[Updates, None, Analysis]:
        """Progress while waiting for others and for the models, and through the run; its analysis is the return value.

        Raises:
            Cancelled: stopped or discarded.
            PipelineError: as the run, or it took too long.
        """
        progress = Progress(self.components)
        with self._alone(case), self.line.join() as ahead:
            while (waiting := ahead()) or not self.engine.wait(POLL_S):
                if case.stop.is_set():
                    raise Cancelled("Stopped.")
                words = f"Waiting: {waiting} ahead of you" if waiting else "Loading the models"
                yield from progress.show(words, 0.0)
                if waiting:
                    time.sleep(POLL_S)
            last, began = Step("", 0.0), time.monotonic()
            for step in run:
                last = step
                if step.analysis is None and time.monotonic() - began > self.longest_s:
                    raise PipelineError(f"Stopped: it took longer than {self.longest_s:.0f} seconds.")
                # Stopped: nothing more is shown, and the next step raises.
                if not case.stop.is_set():
                    self.cases.find(case.key)  # a long analysis is use
                    yield from progress.show(step.name, step.share)
            give_back()
        if case.stop.is_set() or last.analysis is None:
            raise Cancelled("Stopped.")
        return last.analysis

    @contextmanager
    def _alone(self, case: OpenCase) -> Iterator[None]:
        if not case.busy.acquire(blocking=False):
            raise PipelineError("This case is being analysed already.")
        try:
            yield
        finally:
            case.busy.release()

    def packed(self, case: OpenCase, write: Callable[[], StoredResult]) -> StoredResult:
        """What ``write`` wrote, unless the case was discarded meanwhile: then its files are deleted again.

        Raises:
            Cancelled: discarded.
            PipelineError: the disk is full.
        """
        try:
            result = write()
        except (OSError, RuntimeError) as error:  # SimpleITK raises RuntimeError where it cannot write
            if self.cases.find(case.key):
                raise PipelineError("The result could not be written: free disk space and analyse again.") from error
        if self.cases.find(case.key) is None:
            self.cases.delete(case)
            raise Cancelled("Discarded.")
        return result

    def stop(self, state: SessionState) -> Updates:
        """Ask the running analysis to stop; it reports so itself."""
        if case := self.cases.find(state.case_key):
            case.stop.set()
        return {self.components.stop: gr.update(value="Cancelling …", interactive=False)}

    def failed(self, state: SessionState) -> Updates:
        """Report an event that failed unexpectedly; Gradio prints the traceback."""
        log.error("An event of the page ended by an unexpected fault, which the log names.")
        again = bool(state.series_key and self.cases.find(state.case_key))
        return {
            **self.updates.running(False),
            self.components.analyse: gr.update(interactive=again, visible=True),
            **self.updates.say(FAILED, "error"),
        }
