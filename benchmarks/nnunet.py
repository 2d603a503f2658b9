"""``analyze`` and its segmentation against nnU-Net's own predictor with the same weights on the same volume."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.cases import SIZE_XYZ, resampled
from benchmarks.one_run import run
from benchmarks.table import Table, spread

ROWS = (
    ("`analyze`, all stages", "analyze", 5),
    ("segmentation, as `analyze` does it", "segment", 5),
    ("segmentation with `--exact`", "exact", 1),
    ("nnUNetPredictor without mirroring", "nnunet", 1),
    ("nnUNetPredictor as it ships, mirrored", "nnunet_mirrored", 0),
)
"""Words, way and warm runs."""


def measure() -> Table:
    """Time, ratio to ``analyze``, memory and Dice of each way."""
    with tempfile.TemporaryDirectory(prefix="fibroreview-benchmark-") as folder:
        files = resampled(SIZE_XYZ, Path(folder))
        measured = {words: run(way, files, warm) for words, way, warm in ROWS}
    whole = statistics.median(measured[ROWS[0][0]].warm_s)
    rows = []
    for words, one in measured.items():
        seconds = one.warm_s or [one.first_s]
        ratio = f"{statistics.median(seconds) / whole:.2f}"
        rows.append((words, spread(seconds, "s"), ratio, f"{one.memory_gb:.2f} GB", f"{one.dice:.3f}"))
    note = (
        f"{' x '.join(map(str, SIZE_XYZ))} voxels, three members, warm but for the mirrored one. Memory is the most "
        "that the process held. nnU-Net computes in float32 on a CPU, and its liver is not cleaned. Members have seen "
        "the case: the Dice compares the ways, and is no measure of the model. They were trained without mirroring, "
        "since right and left differ: nnU-Net's default is there for its time alone."
    )
    return Table("Against nnU-Net", ("", "time", "times `analyze`", "memory", "liver Dice"), rows, note)
