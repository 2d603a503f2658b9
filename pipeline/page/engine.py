"""The models behind the page: loaded in the background, one analysis at a time, the others in line."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.case import Step, Volume
from pipeline.errors import ModelError, PipelineError

Analyse = Callable[[Volume, Callable[[], bool]], Iterator[Step]]
"""``analyze_steps`` with its models bound: (volume, cancelled) -> steps, the last with the analysis."""
log = logging.getLogger(__name__)


def load_shipped() -> Analyse:
    """Load the shipped models. Seconds: torch and nnU-Net are imported here and not before."""
    from pipeline.analysis import analyze_steps, load_models

    models = load_models()
    return lambda volume, cancelled: analyze_steps(volume, models, cancelled)


class Engine:
    """Models that arrive while the page is already up."""

    def __init__(self, load: Callable[[], Analyse]) -> None:
        self._load = load
        self._ready = threading.Event()
        self._analyse: Analyse | None = None
        self._fault: PipelineError | None = None

    def start(self) -> None:
        """Begin loading, in a thread of its own, and return at once."""
        threading.Thread(target=self._load_all, name="load-models", daemon=True).start()

    def _load_all(self) -> None:
        try:
            self._analyse = self._load()
        except PipelineError as error:
            self._fault = error
        finally:
            if self._analyse is None and self._fault is None:
                self._fault = ModelError(
                    "The models could not be loaded: ask the site's administrator to look at the log."
                )
            self._ready.set()

    def wait(self, seconds: float) -> bool:
        """Whether loading has ended, well or badly, within ``seconds``."""
        return self._ready.wait(seconds)

    def analyse(self, volume: Volume, cancelled: Callable[[], bool]) -> Iterator[Step]:
        """The steps of one analysis.

        Raises:
            ModelError: the models could not be loaded.
            PipelineError: as ``analyze_steps``.
        """
        self._ready.wait()
        if self._analyse is None:
            raise self._fault or ModelError("The models are not loaded: reload the page and try again.")
        return self._analyse(volume, cancelled)


class Line:
    """Who waits for the models, in order of arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets: list[object] = []

    @contextmanager
    def stand(self) -> Iterator[Callable[[], int]]:
        """Join the line; the value says how many are still ahead. Leaving the block leaves the line."""
        ticket = object()
        with self._lock:
            self._tickets.append(ticket)
        try:
            yield lambda: self._tickets.index(ticket)
        finally:
            with self._lock:
                self._tickets.remove(ticket)
