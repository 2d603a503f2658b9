"""The page in a process of its own, with the stand-in models, for tests over HTTP."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Served:
    """A running page and its log."""

    address: str
    log: Path


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[Served]:
    """Serve until the block ends; ``arguments`` are those of ``tests.browser.serve``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.browser.serve", "--port", str(port), "--reviews", str(folder / "reviews")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
        assert process.stdout
        assert process.stdout.readline() == b"ready\n", (folder / "log").read_text(errors="replace")
        try:
            yield Served(f"http://127.0.0.1:{port}", folder / "log")
        finally:
            process.communicate(timeout=30)
