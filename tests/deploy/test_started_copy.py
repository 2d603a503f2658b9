"""What a Space gets, started in an empty folder: the page is served and analyses the example.

``FIBROREVIEW_TEST_PYTHON`` names another Python with requirements.txt installed, such as a Space's 3.12.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pipeline.deploy.files import files_of
from tests.deploy.page_client import PageClient
from tests.page.server.gpu_scheduler import gpu_scheduler, zero_environment

ROOT = Path(__file__).parents[2]
START_S = 240.0


@dataclass
class Started:
    folder: Path
    address: str
    log: Path


PYTHON = os.environ.get("FIBROREVIEW_TEST_PYTHON", sys.executable)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """The app as a Space starts it."""
    with start(tmp_path, {}) as made:
        yield made


@contextmanager
def start(folder: Path, environment: dict[str, str]) -> Iterator[Started]:
    """The app from exactly the deployed files, in a folder and a home of its own."""
    space, home, log = folder / "space", folder / "home", folder / "log.txt"
    files = files_of(ROOT)
    for path in files.paths:
        (space / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files.root / path, space / path)
    home.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment |= {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home),
        "SPACE_ID": "me/app",
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "PYTHONDONTWRITEBYTECODE": "1",
    } | {name: os.environ[name] for name in ("OMP_NUM_THREADS", "PYTHONUTF8") if name in os.environ}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PYTHON, "app.py"], cwd=space, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, process, log)
        yield Started(space, address, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            with suppress(ProcessLookupError):  # the workers of ZeroGPU
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{address}/healthz", trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise AssertionError(f"The page did not start:\n{log.read_text(encoding='utf-8')}")


def example_of(page: PageClient) -> str:
    """Label of the button that opens the NIfTI example."""
    buttons = [part["props"]["value"] for part in page.config["components"] if part["type"] == "button"]
    (label,) = [value for value in buttons if "NIfTI" in str(value)]
    return label


@pytest.mark.slow
def test_the_deployed_files_serve_the_page_and_analyse_the_example(started):
    page = PageClient(started.address)
    assert "FibroReview" in page.html
    assert page.http.get("/viewer/viewer.js").status_code == 200
    if page.http.get("/viewer/niivue.js").status_code != 200:
        assert "slices will be drawn on the server" in started.log.read_text(encoding="utf-8")
    assert "Ready to analyse" in page.press(label=example_of(page))
    sent = page.press(elem_id="fr-analyse", data=[None, False, "liver_t2", "fibrosis_t2"])
    assert "Segmenting the liver" in sent
    assert "Done." in sent
    analysis = json.loads(page.download(sent, "analysis.json"))
    assert 500 < analysis["liver"]["volume_ml"] < 4000
    assert 0 <= analysis["fibrosis"]["probability"] <= 1
    assert page.download(sent, "report.pdf").startswith(b"%PDF")
    assert "Traceback" not in started.log.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_zerogpu_space_without_a_gpu_says_so_and_analyses_the_example(tmp_path):
    """By the ``spaces`` package, whose worker finds no GPU on this computer."""
    if subprocess.run([PYTHON, "-c", "import spaces"], capture_output=True).returncode:
        pytest.skip("no spaces package here")
    with gpu_scheduler() as scheduler, start(tmp_path, zero_environment(scheduler, tmp_path)) as started:
        page = PageClient(started.address)
        page.press(label=example_of(page))
        sent = page.press(elem_id="fr-analyse", data=[None, False, "liver_t2", "fibrosis_t2"])
        analysis = json.loads(page.download(sent, "analysis.json"))
    assert "Waiting for a GPU" in sent
    assert [warning["code"] for warning in analysis["warnings"] if warning["code"].startswith("gpu")] == ["gpu_failed"]
    assert 500 < analysis["liver"]["volume_ml"] < 4000
    assert [path for path, _ in scheduler.asked] == ["/startup-report", "/schedule", "/allow", "/release"]
