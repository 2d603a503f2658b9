"""The lent GPU through the ``spaces`` package itself, with its scheduler on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("spaces")

ROOT = Path(__file__).parents[3]


class Scheduler(BaseHTTPRequestHandler):
    """Grants a GPU, or says that the visitor's quota is used up."""

    quota: ClassVar[dict[str, Any] | None] = None
    asked: ClassVar[list[tuple[str, dict[str, list[str]]]]] = []

    def log_message(self, *words: Any) -> None:
        pass

    def do_POST(self) -> None:
        address = urlsplit(self.path)
        self.asked.append((address.path, parse_qs(address.query)))
        granted = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "none", "allowToken": "token"}
        refused = address.path == "/schedule" and self.quota is not None
        body = json.dumps(self.quota if refused else granted).encode()
        self.send_response(429 if refused else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def scheduler() -> Iterator[type[Scheduler]]:
    made = type("MadeScheduler", (Scheduler,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), made)
    made.address = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


def zero_space(scheduler: type[Scheduler], folder: Path) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    environment = os.environ | {
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": scheduler.address,  # type: ignore[attr-defined]
        "ZEROGPU_OFFLOAD_DIR": str(folder / "tensors"),
        "HOME": str(folder),
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    command = [sys.executable, "-m", "tests.page.server.zero_space", str(folder)]
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    lines = [line for line in answer.stdout.splitlines() if line.startswith("ANSWER ")]
    assert lines, answer.stdout + answer.stderr
    return json.loads(lines[0].removeprefix("ANSWER "))


@pytest.mark.slow
def test_an_analysis_on_a_lent_gpu(scheduler, tmp_path):
    found = zero_space(scheduler, tmp_path / "space")
    assert (found["lent"], found["wrapped"], found["moved_here"]) == (True, True, 0)
    first, empty, again = found["runs"]
    assert first["warnings"] == again["warnings"] == []
    assert first["liver_ml"] > 200
    assert any("Segmenting" in name for name in first["steps"]), "progress comes out of the worker"
    assert empty["error"].startswith("SegmentationError: "), "with its sentence"
    asked = [path for path, _ in scheduler.asked]
    assert asked.count("/schedule") == asked.count("/release") == 3
    durations = {int(query["durationSeconds"][0]) for path, query in scheduler.asked if path == "/schedule"}
    assert all(10 <= seconds <= 120 for seconds in durations), durations


@pytest.mark.slow
def test_a_visitor_whose_quota_is_used_up(scheduler, tmp_path):
    scheduler.quota = {"left": 2, "wait": "PT5H41M7S"}
    found = zero_space(scheduler, tmp_path / "space")
    first = found["runs"][0]
    assert first["liver_ml"] > 200
    assert len(first["warnings"]) == 1
    assert first["warnings"][0].startswith("The free GPU time of your account is used up")


def test_elsewhere_the_decorator_does_nothing(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    import spaces

    def task() -> int:
        return 1

    assert spaces.GPU(task, duration=10) is task
