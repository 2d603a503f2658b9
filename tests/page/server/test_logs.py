"""The log names faults by class and place, never by what was sent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FAULTS = """
import logging, sys, threading, warnings
from pipeline.page.server.logs import adopt_loggers, start_logging
start_logging(sys.argv[1])
def fail():
    try:
        open("/data/Doe_Jane.nii.gz")
    except OSError as error:
        raise ValueError("Doe^Jane") from error
import gradio.queueing
try:
    fail()
except ValueError:
    gradio.queueing.traceback.print_exc()
    library = logging.getLogger("uvicorn.error")
    library.addHandler(logging.StreamHandler())
    library.propagate = False
    adopt_loggers()
    library.error("Exception in ASGI application", exc_info=True)
warnings.warn("Value of PatientName Doe^Jane is odd")
thread = threading.Thread(target=fail); thread.start(); thread.join()
logging.getLogger("pipeline.x").info("A case was deleted.", extra={"case": "3f"})
fail()
"""


@pytest.mark.parametrize("style", ["plain", "json"])
def test_no_fault_of_any_part_quotes_a_value(style: str) -> None:
    run = subprocess.run([sys.executable, "-c", FAULTS, style], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "Doe" not in run.stderr
    lines = run.stderr.strip().splitlines()
    if style == "json":
        lines = [json.dumps(json.loads(line)) for line in lines]
        assert json.loads(lines[-2])["case"] == "3f"
    assert len(lines) == 6
    assert sum("ValueError at <string>:" in line and "caused by FileNotFoundError" in line for line in lines) == 4
    assert "UserWarning at <string>:" in lines[2]
