"""The lent GPU through the ``spaces`` package itself, with its scheduler on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.page.server.gpu_scheduler import Scheduler, gpu_scheduler, zero_environment

pytest.importorskip("spaces")

ROOT = Path(__file__).parents[3]


@pytest.fixture
def scheduler() -> Iterator[type[Scheduler]]:
    with gpu_scheduler() as made:
        yield made


def zero_space(scheduler: type[Scheduler], folder: Path) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    home = {"HOME": str(folder), "GRADIO_ANALYTICS_ENABLED": "False"}
    environment = {**os.environ, **zero_environment(scheduler, folder), **home}
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
    assert not [name for name in empty["steps"] if "takes over" in name], "and from the worker"
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
