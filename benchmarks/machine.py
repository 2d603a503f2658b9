"""The machine that the figures hold for."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

from models.device import autocast

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def describe() -> str:
    """Processor, cores, precision, versions and load, in lines of a Markdown list."""
    name, flags = processor()
    bf16 = "bfloat16" if has_bf16() else "float32"
    lines = [
        f"Processor: {name}, {os.cpu_count()} cores ({' '.join(flags) or platform.machine()})",
        f"Precision of the segmenter on it: {bf16}",
        f"Python {platform.python_version()}, torch {torch.__version__} with {torch.get_num_threads()} threads",
        f"Load average when the run began: {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "",
    ]
    return "\n".join(f"- {line}" for line in lines if line)


def has_bf16() -> bool:
    """Whether the segmenter computes in bfloat16 here."""
    with autocast(torch.device("cpu")):
        return torch.is_autocast_enabled("cpu")


def processor() -> tuple[str, list[str]]:
    """Name of the processor and those of ``FLAGS`` that it has."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine(), []
    facts = dict(line.split(":", 1) for line in info.read_text().split("\n\n")[0].splitlines() if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    present = set(facts.get("flags", "").split())
    return facts.get("model name", platform.machine()), [flag for flag in FLAGS if flag in present]


def commit() -> str:
    """The commit that is measured, with ``+`` where files differ from it; empty outside git."""
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip()


def run_module(module: str, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """Standard output of ``python -m MODULE ARGUMENTS`` in a process of its own.

    Raises:
        CalledProcessError: it failed; its standard error has been shown.
    """
    command = [sys.executable, "-m", module, *arguments]
    given = os.environ | (environment or {})
    return subprocess.run(command, cwd=ROOT, env=given, stdout=subprocess.PIPE, text=True, check=True).stdout
