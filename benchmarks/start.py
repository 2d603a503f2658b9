"""From the start of a process to its first analysis on the command line, against a warm analysis."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.cases import SIZE_XYZ, resampled
from benchmarks.machine import run_module
from benchmarks.one_run import run
from benchmarks.table import Table, spread

RUNS = 3


def measure() -> Table:
    """The command as a whole, then the parts of one process."""
    with tempfile.TemporaryDirectory(prefix="fibroreview-benchmark-") as folder:
        files, commands = resampled(SIZE_XYZ, Path(folder)), []
        for number in range(RUNS):
            start = time.perf_counter()
            run_module("pipeline", "analyze", str(files[0]), "-o", str(Path(folder) / f"result{number}"))
            commands.append(time.perf_counter() - start)
        processes = [run("analyze", files, 2) for _ in range(RUNS)]
    load, first = [one.load_s for one in processes], [one.first_s for one in processes]
    warm = [seconds for one in processes for seconds in one.warm_s]
    middle = statistics.median(warm)
    measured = (
        ("`python -m pipeline analyze FILE -o DIR`, start to exit, files written", commands),
        ("import, models and series loaded", load),
        ("first analysis", first),
        ("warm analysis", warm),
    )
    rows = [(words, spread(values, "s"), f"{statistics.median(values) / middle:.2f}") for words, values in measured]
    note = f"{RUNS} processes each; the files were in the system's cache."
    return Table("From start to the first analysis", ("", "time", "times a warm analysis"), rows, note)
