"""Servers in processes of their own, for tests over HTTP and in a browser."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 30


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str] | None = None, log: IO[bytes] | None = None
) -> Iterator[str]:
    """Run ``python -m COMMAND --port N`` until the block ends; the value is its address.

    The command prints ``ready`` once it serves, and ends when its standard input closes.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
    )
    assert process.stdin
    assert process.stdout
    try:
        assert process.stdout.readline().strip() == b"ready", "the server did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
