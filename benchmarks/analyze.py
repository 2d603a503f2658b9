"""How long the page's work takes: ``python -m benchmarks.analyze``. Prints medians and their share of each budget.

Measured are ``analyze`` of one phantom case with the models loaded and the series decoded before, the peak memory of
the process, and the time from ``python app.py`` to a page that answers. Let nothing else run meanwhile.
"""

from __future__ import annotations

import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.case import Study

ROOT = Path(__file__).resolve().parents[1]
SIZE_XYZ = (256, 256, 36)
BUDGET = {"analyze": (30.0, "s"), "memory": (4.0, "GB"), "page up": (15.0, "s")}
STARTS = 3
GIVE_UP_S = 120.0


def main(
    runs: Annotated[int, typer.Option(help="Analyses after one that warms up.")] = 5,
    threads: Annotated[int, typer.Option(help="CPU threads for torch.")] = 2,
    page: Annotated[bool, typer.Option(help="Also start the page.")] = True,
    models: Annotated[bool, typer.Option(help="Also analyse.")] = True,
) -> None:
    """Measure and print."""
    if page:
        starts = [seconds_until_page_up() for _ in range(STARTS)]
        tell("page up", starts)
    if models:
        seconds, stages = seconds_of_analyze(runs, threads)
        tell("analyze", seconds)
        print("  by stage: " + ", ".join(f"{name} {median:.2f} s" for name, median in stages.items()))
        tell("memory", [resident_gb()])


def tell(what: str, values: list[float]) -> None:
    """One line: median, spread, and the ratio to the budget."""
    budget, unit = BUDGET[what]
    median = statistics.median(values)
    spread = "" if len(values) == 1 else f" (median of {len(values)}, {min(values):.2f} to {max(values):.2f})"
    print(f"{what}: {median:.2f} {unit}{spread}, {median / budget:.2f} of the budget of {budget:g} {unit}", flush=True)


def seconds_of_analyze(runs: int, threads: int) -> tuple[list[float], dict[str, float]]:
    """Seconds of each warm run, and the median of each stage."""
    import torch

    torch.set_num_threads(threads)
    from pipeline.analysis import analyze, load_models

    loaded = load_models(device="cpu")
    seconds, timings = [], []
    with tempfile.TemporaryDirectory(prefix="fibroreview-benchmark-") as folder:
        study = phantom_study(Path(folder))
        key = study.series[0].key
        analyze(study, key, loaded)
        for _ in range(runs):
            start = time.perf_counter()
            timings.append(analyze(study, key, loaded).timings_s)
            seconds.append(time.perf_counter() - start)
    return seconds, {stage: statistics.median(t[stage] for t in timings) for stage in timings[0]}


def phantom_study(folder: Path) -> Study:
    """One simulated abdomen, opened as an upload."""
    import SimpleITK as sitk

    from pipeline.intake import open_upload
    from pipeline.simulation.phantom.phantom import make_phantom

    image, _ = make_phantom(1, size_xyz=SIZE_XYZ)
    sitk.WriteImage(image, str(folder / "phantom.nii.gz"))
    return open_upload(folder / "phantom.nii.gz", folder / "study")


def resident_gb() -> float:
    """Most memory that this process ever held, in GB of 10^9 bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024) / 1e9


def seconds_until_page_up() -> float:
    """From the start of ``python app.py`` to its first answer, on a free port of this computer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    start = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while time.perf_counter() - start < GIVE_UP_S and server.poll() is None:
            if answers(f"http://127.0.0.1:{port}/"):
                return time.perf_counter() - start
            time.sleep(0.05)
    finally:
        server.terminate()
        server.wait(timeout=30)
    raise SystemExit("The page did not come up; start `python app.py` by hand to see why.")


def answers(address: str) -> bool:
    """Whether the page is served, past any proxy that the environment names."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(address, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    typer.run(main)
