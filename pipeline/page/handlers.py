"""What happens on each event: unpack, one call into the pipeline, pack. All of a visitor's data is in ``visit``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from pipeline.case import Analysis, Step, Study, Volume
from pipeline.errors import Cancelled, PipelineError
from pipeline.intake import preselected, read_series
from pipeline.page import uploads
from pipeline.page.cases import Case, Cases
from pipeline.page.engine import Choice, Engine, Line
from pipeline.page.form import Answers, reviews_html, same_answers, to_review
from pipeline.page.outcome import pack, reveal
from pipeline.page.parts import Parts
from pipeline.page.result import message_html, progress_html, waiting_html, warnings_html
from pipeline.page.updates import Show, Updates
from pipeline.page.viewer import volume_value
from pipeline.page.visit import Outcome, Visit
from pipeline.reviews import Review, ReviewStore

log = logging.getLogger(__name__)
GONE = "This case was closed after a while without use: please open it again."
FAILED = (
    "Something went wrong that we did not foresee: please try again, and if it happens again, ask the site's "
    "administrator to look at the log."
)
POLL_S = 0.25
EVERY_S = 0.15
"""Shortest time between two movements of the progress bar."""


class Handlers:
    """The page's events. One instance serves all visitors and keeps nothing of theirs."""

    def __init__(self, parts: Parts, *, public: bool, cases: Cases, engine: Engine, store: ReviewStore) -> None:
        self.parts, self.show, self.public = parts, Show(parts), public
        self.cases, self.engine, self.store = cases, engine, store
        self.line = Line()

    # ---- opening a case

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
            value = self._show_volume(volume, case)
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

    def _show_volume(self, volume: Volume, case: Case) -> dict[str, Any]:
        """``volume_value``.

        Raises:
            PipelineError: the disk is full, or the case was discarded meanwhile.
        """
        try:
            return volume_value(volume, case)
        except (OSError, RuntimeError) as error:  # SimpleITK raises RuntimeError where it cannot write
            if self.cases.find(case.key) is None:
                raise PipelineError(GONE) from error
            raise PipelineError(
                "The images could not be prepared for the viewer: free disk space and open the case again."
            ) from error

    # ---- analysing it

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
                visit = replace(visit, viewer=self._show_volume(analysis.volume, case))
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
            PipelineError: as ``read_series`` and ``analyze_steps``.
        """
        assert visit.study is not None
        with self.line.stand() as ahead:
            while (waiting := ahead()) or not self.engine.wait(POLL_S):
                if case.stop.is_set():
                    raise Cancelled("Stopped.")
                words = f"Waiting in line: {waiting} ahead of you" if waiting else "Models are loading"
                yield {self.parts.status: progress_html(words, 0.0)}
                if waiting:
                    time.sleep(POLL_S)
            yield {self.parts.status: progress_html("Reading the series", 0.0)}
            start = time.monotonic()
            volume = read_series(visit.study, visit.series_key)
            read_s = time.monotonic() - start
            shown, last = 0.0, Step("", 0.0)
            for step in self.engine.analyse(volume, case.stop.is_set, choice):
                last = step
                # Stopped: nothing more is shown, and the next step raises.
                if time.monotonic() - shown > EVERY_S and not case.stop.is_set():
                    shown = time.monotonic()
                    self.cases.find(case.key)  # a long analysis is use
                    yield {self.parts.status: progress_html(step.name, step.share)}
        if case.stop.is_set() or last.analysis is None:
            raise Cancelled("Stopped.")
        timings = last.analysis.timings_s
        total = timings.get("total", sum(timings.values())) + read_s
        return replace(last.analysis, timings_s={"read": read_s, **timings, "total": total})

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

    # ---- reviewing it

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

    # ---- leaving

    def leave(self, request: gr.Request) -> None:
        """The tab was closed or reloaded."""
        self.cases.discard_session(request.session_hash or "")
