"""Parts of a run: their steps on one progress bar, their seconds, and one run at a time on a device."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

from pipeline.case import Answer, Step
from pipeline.errors import Cancelled

_locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
"""One lock per device: neither nnU-Net's predictor nor Grad-CAM's hooks are re-entrant."""


def part_steps(
    steps: Generator[Step, None, Answer], start: float, end: float, cancelled: Callable[[], bool]
) -> Generator[Step, None, Answer]:
    """A stage's steps, their shares mapped to ``start`` to ``end`` of the whole."""
    try:
        while True:
            try:
                step = next(steps)
            except StopIteration as finished:
                return finished.value
            if cancelled():
                raise Cancelled("The analysis was stopped.")
            yield Step(step.name, start + (end - start) * step.share)
    finally:
        steps.close()


@contextmanager
def device_turn(device: str, cancelled: Callable[[], bool]) -> Iterator[None]:
    """Wait for the device and hold it. Raises Cancelled once ``cancelled()`` is true."""
    lock = _locks[device]
    while not lock.acquire(timeout=0.2):
        if cancelled():
            raise Cancelled("The analysis was stopped.")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def timed(timings: dict[str, float], name: str) -> Iterator[None]:
    """Write the seconds of the block to ``timings``."""
    start = time.perf_counter()
    try:
        yield
    finally:
        timings[name] = time.perf_counter() - start
