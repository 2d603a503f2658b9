"""Progress lines and times of the study's steps."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from models.files import write_text
from pipeline.paper_study.schedule import expected_seconds

INTERRUPTED = ", interrupted"


class StepClock:
    """Reports each step with the expected time of the rest, and adds up on disk how long it took over all runs.

    Args:
        file: seconds by step, JSON.
        progress: called with a line at each step.
    """

    def __init__(self, file: Path, progress: Callable[[str], None]) -> None:
        self.file, self.progress = file, progress
        self.seconds: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        self.steps: list[str] = []
        """Steps that are expected, in their order."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.progress(f"{name}; about {self.remaining_seconds(name) / 3600:.1f} hours left")
        began = time.monotonic()
        try:
            yield
        except BaseException:
            self._add(f"{name}{INTERRUPTED}", began)
            raise
        self._add(name, began, self.seconds.pop(f"{name}{INTERRUPTED}", 0.0))

    def remaining_seconds(self, name: str) -> float:
        """Expected time of a step and of those after it that no run has finished; of all expected ones if unknown."""
        ahead = self.steps[self.steps.index(name) :] if name in self.steps else self.steps
        finished = {step: taken for step, taken in self.seconds.items() if not step.endswith(INTERRUPTED)}
        return expected_seconds([step for step in ahead if step not in finished], finished)

    def _add(self, name: str, began: float, before: float = 0.0) -> None:
        self.seconds[name] = round(self.seconds.get(name, 0.0) + before + time.monotonic() - began, 1)
        write_text(self.file, json.dumps(self.seconds, indent=1) + "\n")

    def cases(self, words: str, every: int = 50) -> Callable[[int, int], None]:
        """A callback with cases done and cases in all that reports every ``every``-th case and the last."""

        def report(done: int, total: int) -> None:
            if done % every == 0 or done == total:
                self.progress(f"{done} of {total} {words}")

        return report
