"""Process pools that start no process: a worker takes longer to start than a small job to compute."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import pytest


def compute_in_this_process(patch: pytest.MonkeyPatch) -> None:
    """Until ``patch`` is undone, process pools compute each job when it is submitted."""

    def submit(pool: ProcessPoolExecutor, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future:
        job: Future = Future()
        job.set_result(function(*arguments, **named))
        return job

    patch.setattr(ProcessPoolExecutor, "submit", submit)
