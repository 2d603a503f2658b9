"""What a Space gets, started in an empty folder: the page is served and analyses the example.

``FIBROREVIEW_TEST_PYTHON`` names another Python with requirements.txt installed, such as a Space's 3.12.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pipeline.deploy.files import files_of
from tests.deploy.page_client import PageClient

ROOT = Path(__file__).parents[2]
START_S = 240.0


@dataclass
class Started:
    folder: Path
    address: str
    log: Path


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """The app from exactly the deployed files, as a Space starts it."""
    folder, home, log = tmp_path / "space", tmp_path / "home", tmp_path / "log.txt"
    files = files_of(ROOT)
    for path in files.paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files.root / path, folder / path)
    home.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home),
        "SPACE_ID": "me/app",
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "PYTHONDONTWRITEBYTECODE": "1",
    } | {name: os.environ[name] for name in ("OMP_NUM_THREADS", "PYTHONUTF8") if name in os.environ}
    python = os.environ.get("FIBROREVIEW_TEST_PYTHON", sys.executable)
    with log.open("wb") as output:
        process = subprocess.Popen([python, "app.py"], cwd=folder, env=environment, stdout=output, stderr=output)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, process, log)
        yield Started(folder, address, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
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


@pytest.mark.slow
def test_the_deployed_files_serve_the_page_and_analyse_the_example(started):
    page = PageClient(started.address)
    assert "FibroReview" in page.html
    assert page.http.get("/viewer/viewer.js").status_code == 200
    if page.http.get("/viewer/niivue.js").status_code != 200:
        assert "slices will be drawn on the server" in started.log.read_text(encoding="utf-8")
    examples = [
        part["props"]["value"]
        for part in page.config["components"]
        if part["type"] == "button" and "NIfTI" in str(part["props"].get("value"))
    ]
    assert len(examples) == 1
    assert "Ready to analyse" in page.press(label=examples[0])
    sent = page.press(elem_id="fr-analyse", data=[None, False, "liver_t2", "fibrosis_t2"])
    assert "Segmenting the liver" in sent
    assert "Done." in sent
    analysis = json.loads(page.download(sent, "analysis.json"))
    assert 500 < analysis["liver"]["volume_ml"] < 4000
    assert 0 <= analysis["fibrosis"]["probability"] <= 1
    assert page.download(sent, "report.pdf").startswith(b"%PDF")
    assert "Traceback" not in started.log.read_text(encoding="utf-8")
