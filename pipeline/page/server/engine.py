"""The models behind the page: loaded in the background, one analysis at a time, the others in a waiting line."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from pipeline.case import OrganMask, Step, Study, Volume
from pipeline.errors import ModelError, PipelineError
from pipeline.page.server.gpu import Analyse, BoundModels, Choice, bind

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunLimits:
    """What analyses may take."""

    waiting: int = 16
    """Analyses that wait for the running one."""
    seconds: float = 900.0
    """Time of one analysis, checked between its steps, s."""


RUN_LIMITS = RunLimits()


def load_chosen(choice: Choice, *, any_input: bool = False) -> BoundModels:
    """Load these models. Takes seconds: torch and nnU-Net are imported here and not before.

    What reads a DICOM series and writes the report is loaded too, so that the first analysis does not wait for it.
    ``any_input`` is that of ``analyze_steps``.
    """
    import highdicom  # noqa: F401

    import pipeline.exports.report  # noqa: F401

    return bind(choice, any_input=any_input)


class Engine:
    """Models loaded while the page is already up: the default ones, and the last that a reader chose instead."""

    def __init__(self, load: Callable[[Choice], Analyse], default: Choice) -> None:
        self._load, self.default = load, default
        self._other: tuple[Choice, Analyse] | None = None
        self._ready = threading.Event()
        self._analyse: Analyse | None = None
        self._fault: PipelineError | None = None

    def start(self) -> None:
        """Start loading in a thread and return at once."""
        threading.Thread(target=self._load_all, name="load-models", daemon=True).start()

    def _load_all(self) -> None:
        try:
            self._analyse = self._load(self.default)
        except PipelineError as error:
            self._fault = error
        finally:
            if self._analyse is None and self._fault is None:
                self._fault = ModelError(
                    "The models could not be loaded: ask the site's administrator to look at the log."
                )
            self._ready.set()

    @property
    def status(self) -> str:
        """State of the default models: loading, ok or failed."""
        return "loading" if not self._ready.is_set() else "failed" if self._analyse is None else "ok"

    def wait(self, seconds: float) -> bool:
        """Whether loading has ended, with or without an error, within ``seconds``."""
        return self._ready.wait(seconds)

    def analyse(self, study: Study, key: str, choice: Choice, cancelled: Callable[[], bool]) -> Iterator[Step]:
        """The steps of one analysis. Not re-entrant: only the first of the waiting line calls it.

        Raises:
            ModelError: the models could not be loaded.
            PipelineError: as ``analyze_steps``.
        """
        self._ready.wait()
        if choice != self.default:
            yield Step("Loading the chosen models", 0.0)
        yield from self._loaded(choice)(study, key, cancelled)

    def reclassify(
        self, volume: Volume, organs: OrganMask, liver: np.ndarray, choice: Choice, cancelled: Callable[[], bool]
    ) -> Iterator[Step]:
        """The steps of classifying again in a corrected liver mask, (z, y, x) bool. As ``analyse``.

        Raises:
            ModelError: the models could not be loaded.
            PipelineError: as ``reclassify_steps``.
        """
        self._ready.wait()
        if choice != self.default:
            yield Step("Loading the chosen models", 0.0)
        models = self._loaded(choice)
        if not isinstance(models, BoundModels):
            raise ModelError("These models cannot classify a corrected outline.")
        yield from models.reclassify(volume, organs, liver, cancelled)

    def _loaded(self, choice: Choice) -> Analyse:
        if choice == self.default:
            if self._analyse is None:
                raise self._fault or ModelError("The models are not loaded: reload the page and try again.")
            return self._analyse
        if self._other is None or self._other[0] != choice:
            self._other = None  # frees their memory before the next are loaded
            self._other = (choice, self._load(choice))
        return self._other[1]


class WaitingLine:
    """Queue of analyses waiting for the models, first come first served."""

    def __init__(self, most: int = RUN_LIMITS.waiting) -> None:
        self._most, self._lock = most, threading.Lock()
        self._tickets: list[object] = []

    def __len__(self) -> int:
        """Number of analyses, the running one included."""
        return len(self._tickets)

    @contextmanager
    def join(self) -> Iterator[Callable[[], int]]:
        """Join the queue; the value counts those still ahead. Leaving the block leaves the queue.

        Raises:
            PipelineError: too many are waiting.
        """
        ticket = object()
        with self._lock:
            if len(self._tickets) > self._most:
                raise PipelineError(f"Busy, with {self._most} analyses waiting: try again in a few minutes.")
            self._tickets.append(ticket)
        try:
            yield lambda: self._tickets.index(ticket)
        finally:
            with self._lock:
                self._tickets.remove(ticket)
