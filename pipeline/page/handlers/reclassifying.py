"""Handler of "Classify again": a corrected liver mask from the viewer, classified for its visitor's own case."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial

import numpy as np

from pipeline.case import Volume
from pipeline.errors import PipelineError
from pipeline.intake import read_series
from pipeline.page.handlers.analysing import Analysing
from pipeline.page.handlers.store_result import model_organs, pack_correction, without_correction
from pipeline.page.server.engine import Choice
from pipeline.page.state.edited_mask import EditedMask
from pipeline.page.state.open_cases import GONE, OpenCase
from pipeline.page.state.session_state import SessionState, StoredResult
from pipeline.page.view.status import progress_html
from pipeline.page.view.updates import Updates


class Reclassifying:
    """The event of a corrected mask. Stateless; it waits in the same line as the analyses."""

    def __init__(self, analysing: Analysing) -> None:
        self.analysing, self.cases, self.engine = analysing, analysing.cases, analysing.engine
        self.components, self.updates = analysing.components, analysing.updates

    def reclassify(self, state: SessionState, sent: str | None) -> Iterator[Updates]:
        """Classify the mask that the viewer sends, and show both results; the segmenter's own mask brings back its."""
        case, result = self.cases.find(state.case_key), state.result
        if case is None or state.study is None or result is None:
            yield self.updates.say(GONE if state.case_key else "Please open an MRI first.", "error")
            return
        if not result.revealed:
            yield self.updates.say("Save your own verdict first.", "error")
            return
        case.stop.clear()
        yield self.updates.running(True)
        try:
            liver = EditedMask.from_page(sent).voxels(state.viewer["size_xyz"])
            volume = read_series(state.study, state.series_key)
            corrected = yield from self._corrected(case, result, volume, liver)
        except PipelineError as error:
            yield from self.analysing.ended(case, error)
            return
        state = state.with_correction(corrected)
        yield {
            **self.updates.running(False),
            **self.updates.packed(state),
            **self.updates.judge(state),
            self.components.saved: "",
            **self.updates.say("Classified on the corrected outline." if corrected.mask_edited else "Done.", "done"),
        }

    def _corrected(
        self, case: OpenCase, result: StoredResult, volume: Volume, liver: np.ndarray
    ) -> Generator[Updates, None, StoredResult]:
        """The result on ``liver``, (z, y, x) bool.

        Raises:
            Cancelled: stopped or discarded.
            PipelineError: as ``reclassify_steps``, or the disk is full.
        """
        try:
            organs = model_organs(case, result.on_models_mask)
        except OSError as error:
            raise PipelineError(GONE) from error
        if np.array_equal(liver, organs.liver):
            return without_correction(result)
        run = self.engine.reclassify(volume, organs, liver, Choice(*result.chosen), case.stop.is_set)
        analysis = yield from self.analysing.steps(case, run)
        yield {self.components.status: progress_html("Writing the files", 0.99)}
        return self.analysing.packed(case, partial(pack_correction, analysis, case, result, organs))
