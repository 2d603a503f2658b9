"""The page as ``python app.py`` serves it, and a Chromium on it whose processor time is read."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.machine import ROOT
from tests.browser.conftest import FLAGS

GIVE_UP_S = 120.0
PATIENCE_MS = 180_000


@dataclass(frozen=True)
class Served:
    """A page that runs."""

    address: str
    started: float
    """``time.perf_counter()`` before the process was started."""
    up_s: float
    """From there to the first answer, s."""
    pid: int
    log: Path
    """Standard error; gone with the page."""


@contextmanager
def served_page() -> Iterator[Served]:
    """Run ``python app.py`` with the shipped models on a free port, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="fibroreview-benchmark-", ignore_cleanup_errors=True) as folder:
        own = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "TMPDIR": folder}
        kept = {"FIBROREVIEW_REVIEWS": f"{folder}/reviews", "FIBROREVIEW_DATA": f"{folder}/data"}
        log = Path(folder, "log")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": log.open("wb")}
        started = time.perf_counter()
        server = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=os.environ | own | kept, **quiet)
        try:
            address = f"http://127.0.0.1:{port}"
            while not answers(address):
                if server.poll() is not None or time.perf_counter() - started > GIVE_UP_S:
                    raise SystemExit("The page did not come up; start `python app.py` by hand to see why.")
                time.sleep(0.02)
            yield Served(address, started, time.perf_counter() - started, server.pid, log)
        finally:
            server.terminate()
            server.wait(timeout=30)


def answers(address: str) -> bool:
    """Whether the page is served, past any proxy that the environment names."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(address, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium that draws WebGL on the processor, as in the tests."""
    with sync_playwright() as playwright:
        found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


def visit(browser: Browser, address: str) -> Page:
    """The page for another visitor, once its viewer is there."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.wait_for_selector(".frv-stage")
    return page


def upload(page: Page, file: Path) -> None:
    """Open a case and wait until its slices are shown."""
    page.set_input_files("#fr-upload input[type=file]", file)
    page.wait_for_selector('.fr-viewer[data-state="ready"]')


def analyse(page: Page) -> float:
    """Press the button and wait for the result; seconds."""
    start = time.perf_counter()
    page.click("#fr-analyse")
    page.wait_for_selector("#fr-form", state="hidden")
    page.wait_for_selector(".fr-verdict")
    page.wait_for_selector('.fr-viewer[data-state="ready"]')
    return time.perf_counter() - start


def browser_cpu_s() -> float:
    """Processor time that this process's Chromium has taken so far, s; 0 where there is no ``/proc``."""
    parents, seconds = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = file.read_text().split("(", 1)[1].rsplit(")", 1)
        except OSError:  # it ended meanwhile
            continue
        fields = rest.split()
        pid = int(file.parent.name)
        parents[pid] = int(fields[1])
        if "chrom" in name:
            seconds[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return sum(taken for pid, taken in seconds.items() if _descends(pid, parents))


def _descends(pid: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == os.getpid():
            return True
    return False
