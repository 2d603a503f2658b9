"""The page in Chromium: from its start to the first picture, browsing, and what the browser costs the analysis."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page

from benchmarks.cases import SIZE_XYZ, resampled
from benchmarks.served import Served, analyse, browser_cpu_s, chromium, served_page, upload, visit
from benchmarks.table import Table, spread

STARTS, STEPS = 3, 30
SCRIPT = Path(__file__).with_name("browsing.js")
ACTS = {"step": "slice step", "overlay": "overlay switched", "drag": "window dragged"}


def measure() -> Table:
    """Times of the start, of browsing in the browser's own drawing and in the server's, and the browser's load."""
    starts = []
    for _ in range(STARTS - 1):
        with served_page() as server:
            starts.append(server.up_s)
    with tempfile.TemporaryDirectory(prefix="fibroreview-benchmark-") as folder, served_page() as server:
        starts.append(server.up_s)
        case, _ = resampled(SIZE_XYZ, Path(folder))
        with chromium() as browser:
            page = visit(browser, server.address)
            rows = [("process start to page up", spread(starts, "s"), "")]
            rows += first_and_warm(server, page, case)
            own = browse(page)
            page.context.close()
            rows.append(("upload to first picture", f"{opening_s(visit(browser, server.address), case):.2f} s", ""))
            other = visit(browser, f"{server.address}/?viewer=server")
            upload(other, case)
            analyse(other)
            by_server = browse(other)
    rows += [(name, own[name], by_server[name]) for name in own]
    size = " x ".join(map(str, SIZE_XYZ))
    note = (
        f"{size} voxels, shipped models, {STEPS} repetitions of each act; 95 %: its 95th percentile. Chromium runs on "
        "the same processor and has no GPU: there the time until a frame is shown is that of drawing by software."
    )
    return Table("The page", ("what", "drawn in the browser", "drawn by the server"), rows, note)


def first_and_warm(server: Served, page: Page, case: Path) -> list[tuple[str, str, str]]:
    """The first analysis, one that follows, and the browser's processor time meanwhile."""
    page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    upload(page, case)
    page.evaluate("() => window.fibroBench.watch()")
    first = analyse(page)
    done = time.perf_counter() - server.started
    drawn = page.evaluate("() => window.fibroBench.result")
    page.wait_for_timeout(4000)
    cpu, start = browser_cpu_s(), time.perf_counter()
    page.wait_for_timeout(3000)
    idle = (browser_cpu_s() - cpu) / (time.perf_counter() - start)
    cpu = browser_cpu_s()
    warm = analyse(page)
    busy = (browser_cpu_s() - cpu) / warm
    return [
        ("process start to first result", f"{done:.1f} s", ""),
        ("first analysis, from the click", f"{first:.2f} s, {first / warm:.2f} of a warm one", ""),
        ("warm analysis, from the click", f"{warm:.2f} s", ""),
        ("result to first picture", f"{drawn / 1000:.2f} s", ""),
        ("browser's load during an analysis", f"{100 * busy:.0f} % of a core", ""),
        ("browser's load when nothing happens", f"{100 * idle:.0f} % of a core", ""),
    ]


def opening_s(page: Page, case: Path) -> float:
    """From the choice of a file to its first picture, s."""
    page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    start = time.perf_counter()
    upload(page, case)
    page.evaluate("() => window.fibroBench.shown()")
    taken = time.perf_counter() - start
    page.context.close()
    return taken


def browse(page: Page) -> dict[str, str]:
    """Each act's handler and its time until the frame is shown."""
    page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    page.wait_for_timeout(1000)
    rows = {}
    for act, words in ACTS.items():
        took = page.evaluate(f"(times) => window.fibroBench.{act}(times)", STEPS)
        rows[f"{words}: handler"] = milliseconds(took["handler"])
        rows[f"{words}: until it is shown"] = milliseconds(took["frame"])
    return rows


def milliseconds(values: list[float]) -> str:
    """``1.20 ms (95 %: 2.31)``."""
    return f"{statistics.median(values):.1f} ms (95 %: {statistics.quantiles(values, n=20)[-1]:.1f})"
