"""Progress lines and times of the study's steps."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from models.files import write_text


class StepClock:
    """Reports each step and adds up on disk how long it has taken over all runs.

    Args:
        file: seconds by step, JSON.
        progress: called with a line at each step.
    """

    def __init__(self, file: Path, progress: Callable[[str], None]) -> None:
        self.file, self.progress = file, progress
        self.seconds: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.progress(name)
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - began, 1)
            write_text(self.file, json.dumps(self.seconds, indent=1) + "\n")

    def cases(self, words: str, every: int = 50) -> Callable[[int, int], None]:
        """A callback with cases done and cases in all that reports every ``every``-th case and the last."""

        def report(done: int, total: int) -> None:
            if done % every == 0 or done == total:
                self.progress(f"{done} of {total} {words}")

        return report
