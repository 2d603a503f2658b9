"""Worker processes of one thread each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import SimpleITK as sitk

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def worker_pool(workers: int) -> Iterator[Executor]:
    """``workers`` single-threaded processes; spawned, since a forked child of a threaded parent can deadlock."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    # The linear algebra libraries read these once, when a worker starts.
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        with ProcessPoolExecutor(max(1, workers), mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _one_thread() -> None:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
