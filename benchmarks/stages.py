"""``analyze`` by stage, warm, with the models loaded and the series read before."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.cases import SIZE_XYZ, resampled
from benchmarks.table import Table, spread

RUNS = 5


def measure() -> Table:
    """Seconds of each stage and its share of the whole."""
    from pipeline.analysis import analyze, load_models
    from pipeline.intake import open_upload

    loaded = load_models(device="cpu")
    seconds, timings = [], []
    with tempfile.TemporaryDirectory(prefix="fibroreview-benchmark-") as folder:
        image, _ = resampled(SIZE_XYZ, Path(folder))
        study = open_upload(image, Path(folder) / "study")
        key = study.series[0].key
        analyze(study, key, loaded)
        for _ in range(RUNS):
            start = time.perf_counter()
            timings.append(analyze(study, key, loaded).timings_s)
            seconds.append(time.perf_counter() - start)
    whole = statistics.median(seconds)
    rows = [("analyze", spread(seconds, "s"), "1.00")]
    for stage in timings[0]:
        values = [run[stage] for run in timings]
        if stage != "total":
            rows.append((stage, spread(values, "s"), f"{statistics.median(values) / whole:.2f}"))
    note = f"{' x '.join(map(str, SIZE_XYZ))} voxels, {len(loaded.segmenter.states)} members, {RUNS} runs after one."
    return Table("Stages of an analysis", ("stage", "time", "share"), rows, note)
