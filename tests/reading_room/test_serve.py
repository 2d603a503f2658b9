"""``FIBROREVIEW_STUDY=DIR python app.py``."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from tests.reading_room.clients import Trial

ROOT = Path(__file__).resolve().parents[2]
START_S = 90.0


def environment(study: Path, port: int) -> dict[str, str]:
    return {**os.environ, "FIBROREVIEW_STUDY": str(study), "GRADIO_SERVER_PORT": str(port)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_app_opens_the_study_instead_of_the_page(trial: Trial) -> None:
    port = free_port()
    command = [sys.executable, "app.py"]
    with subprocess.Popen(command, cwd=ROOT, env=environment(trial.folder.root, port)) as process:
        try:
            answer = None
            end = time.monotonic() + START_S
            while answer is None and time.monotonic() < end and process.poll() is None:
                with suppress(OSError):
                    answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
                time.sleep(0.2)
            assert answer is not None
            assert answer.url.endswith("/login")
            assert "Study trial" in answer.read().decode()
        finally:
            process.terminate()
            process.wait(20)


def test_a_folder_without_a_study_is_refused_in_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=environment(tmp_path, free_port()), capture_output=True, text=True
    )
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("study.yaml cannot be read")
    assert "Traceback" not in done.stderr
