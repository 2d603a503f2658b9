"""Time and memory of ``analyze`` with the number of voxels of one body."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.cases import resampled
from benchmarks.one_run import run
from benchmarks.table import Table, spread

SIZES_XYZ = ((128, 128, 20), (256, 256, 36), (384, 384, 60), (512, 512, 120))
RUNS = 3


def measure() -> Table:
    """A row for each size."""
    rows, first = [], 0.0
    with tempfile.TemporaryDirectory(prefix="fibroreview-benchmark-") as folder:
        for size in SIZES_XYZ:
            one = run("analyze", resampled(size, Path(folder)), RUNS)
            median = statistics.median(one.warm_s)
            first = first or median
            stages = " + ".join(
                f"{statistics.median(each[name] for each in one.stages):.2f}"
                for name in ("segment", "classify", "explain")
            )
            memory, words = f"{one.memory_gb:.2f} GB", " x ".join(map(str, size))
            rows.append((words, spread(one.warm_s, "s"), f"{median / first:.2f}", stages, memory, f"{one.dice:.3f}"))
    columns = ("voxels", "`analyze`", "times the first", "segment + classify + explain, s", "memory", "liver Dice")
    note = "One body, resampled; warm, the series read before. Memory is the most that the process held."
    return Table("Growth with the volume", columns, rows, note)
