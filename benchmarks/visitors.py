"""Four visitors who analyse at once, while another one browses and saves reviews."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page

from benchmarks.cases import SIZE_XYZ, resampled
from benchmarks.page import SCRIPT, milliseconds
from benchmarks.served import analyse, chromium, served_page, upload, visit
from benchmarks.table import Table

VISITORS, QUIET_ROUNDS = 4, 6


def measure() -> Table:
    """Throughput, and what a slice step and a saved review take with and without analyses beside them."""
    with tempfile.TemporaryDirectory(prefix="fibroreview-benchmark-") as folder, served_page() as server:
        case, _ = resampled(SIZE_XYZ, Path(folder))
        with chromium() as browser:
            reader = visit(browser, server.address)
            upload(reader, case)
            analyse(reader)
            prepare(reader)
            quiet = [use(reader, number) for number in range(QUIET_ROUNDS)]
            # Their slices are drawn by the server: four browsers that draw on this processor would be what is measured.
            others = [visit(browser, f"{server.address}/?viewer=server") for _ in range(VISITORS)]
            for other in others:
                upload(other, case)
            alone = analyse(others[0])
            start, busy = time.perf_counter(), []
            for other in others:
                other.click("#fr-analyse")
                other.wait_for_selector(".fr-progress")
            while not all(done(other) for other in others):
                busy.append(use(reader, QUIET_ROUNDS + len(busy)))
            took = time.perf_counter() - start
    rows = [
        ("analyses a minute", f"{60 / alone:.1f}", f"{60 * VISITORS / took:.1f}"),
        (
            "slice step until it is shown",
            *(milliseconds([step for use in uses for step in use[0]]) for uses in (quiet, busy)),
        ),
        ("review saved, from the click", *(milliseconds([1000 * save for _, save in uses]) for uses in (quiet, busy))),
    ]
    note = (
        f"{' x '.join(map(str, SIZE_XYZ))} voxels. Analyses run one after the other, so that {VISITORS} visitors need "
        f"{VISITORS} times the time of one; a fifth visitor steps and saves meanwhile, in a browser on this processor."
    )
    return Table("Four visitors at once", ("what", "one visitor", f"{VISITORS} at once"), rows, note)


def prepare(page: Page) -> None:
    """Fill in the form but for what each save changes."""
    page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    page.fill("#fr-reader textarea, #fr-reader input", "R1")
    for question, words in (("agreement", "Agree"), ("quality", "2 acceptable"), ("advanced", "Yes")):
        page.locator(f"#fr-{question} label", has_text=words).first.click()


def use(page: Page, number: int) -> tuple[list[float], float]:
    """Milliseconds of eight slice steps, and seconds of one saved review, as the reader sees them."""
    steps = page.evaluate("() => window.fibroBench.step(8)")["frame"]
    page.locator("#fr-confidence label", has_text=str(1 + number % 5)).first.click()
    said = page.inner_text("#fr-saved")
    start = time.perf_counter()
    page.click("#fr-save")
    page.wait_for_function("(said) => document.querySelector('#fr-saved').innerText !== said", arg=said)
    return steps, time.perf_counter() - start


def done(page: Page) -> bool:
    """Whether the analysis has ended."""
    return page.locator("#fr-stop").is_hidden() and page.locator(".fr-verdict").count() == 1
