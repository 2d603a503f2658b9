"""Open uploads and decode series in a process of their own: what a hostile file does there, it does to one visitor.

Codecs and parsers of many libraries see bytes that a stranger chose. ``worker`` runs them under limits on memory,
processor time, wall-clock time and file size; here its answers are awaited and checked. A fork that dies is one
sentence. On systems that cannot fork, the work is done in this process, without limits.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.case import Study, Volume
from pipeline.errors import InputError, PipelineError
from pipeline.intake import decoded
from pipeline.intake import study as in_process
from pipeline.intake.answer import DIED, STUDY, Answer
from pipeline.intake.archive import Budget
from pipeline.intake.limits import number_from

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
NOT_KEPT = "The images cannot be stored; free disk space and open the case again."
LARGEST_ANSWER = 32 << 20
GRACE_S = 5.0
"""Time beyond the fork's own limit after which its answer is no longer awaited, s."""
AT_ONCE = 4
"""Forks at a time, each with as much memory as ``Limits`` allows; further requests wait."""
TURN_S = 60.0
"""Longest wait for a turn, s."""
START_S = 60.0
"""Longest wait for the process to start and to fork, s."""
BUSY = "Several uploads are being read: try again in a minute."
CAN_FORK = hasattr(os, "fork") and hasattr(socket, "send_fds")


@dataclass(frozen=True)
class Limits:
    """What one upload, or the decoding of one series, may take."""

    memory_bytes: int = 1536 << 20
    """Address space beyond that of the idle process (Linux)."""
    cpu_s: int = 15
    wall_s: float = 45.0
    file_bytes: int = 3 << 30
    """Size of a single file that is written."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Limits:
        """The defaults, replaced by ``FIBROREVIEW_INTAKE_MEMORY_MB`` and ``FIBROREVIEW_INTAKE_SECONDS``, which is of
        processor time; three times as much is the limit by the clock.

        Raises:
            ConfigError: a value is no positive number; names the variable.
        """
        seconds = number_from(environment, "INTAKE_SECONDS", cls.cpu_s)
        memory = number_from(environment, "INTAKE_MEMORY_MB", cls.memory_bytes / (1 << 20))
        return cls(memory_bytes=int(memory * (1 << 20)), cpu_s=max(1, int(seconds)), wall_s=3 * seconds)


LIMITS = Limits()


def open_upload(path: Path, into: Path, *, budget: Budget | None = None, limits: Limits | None = None) -> Study:
    """``study.open_upload`` under ``limits`` (default: those of the environment); after an error ``into`` is empty.

    Raises:
        InputError, SeriesError: as there, or the file takes more than the limits allow.
    """
    budget = budget or Budget.from_environment(os.environ)
    if not CAN_FORK:
        return in_process.open_upload(path, into, budget=budget)
    request = {"call": "open_upload", "path": str(path.absolute()), "into": str(into.absolute())}
    try:
        answer = WORKER.ask({**request, "budget": asdict(budget)}, limits)
        return answer.study_in(into)
    except PipelineError:
        _empty(into)
        raise


def read_series(study: Study, key: str, *, limits: Limits | None = None) -> Volume:
    """``study.read_series`` under ``limits``; a series that was decoded before is loaded here.

    Raises:
        SeriesError, InputError: as there, or decoding takes more than the limits allow.
    """
    known = any(series.key == key for series in study.series)
    volume = decoded.load(study.folder, key) if known else None
    if volume is not None:
        return volume
    if not CAN_FORK:
        return in_process.read_series(study, key)
    try:
        WORKER.ask({"call": "read_series", "study": STUDY.dump_python(study, mode="json"), "key": key}, limits)
    except PipelineError:
        for part in study.folder.glob(".part-*"):  # of a fork that was killed while it wrote
            part.unlink(missing_ok=True)
        raise
    volume = decoded.load(study.folder, key)
    if volume is None:
        raise InputError(NOT_KEPT)
    return volume


def _empty(folder: Path) -> None:
    """Delete what an upload that failed has left."""
    with suppress(OSError):
        for item in folder.iterdir():
            shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()


class _Worker:
    """The running ``worker`` of this process: started when it is first needed, and again if it has died."""

    def __init__(self) -> None:
        self._lock, self._turns = threading.Lock(), threading.BoundedSemaphore(AT_ONCE)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start the process, if it does not run; returns at once, and it is ready within a second."""
        with self._lock:
            self._running()

    def ask(self, request: Mapping[str, Any], limits: Limits | None) -> Answer:
        """Send a request to a new fork and await its answer; its log lines become this process's.

        Raises:
            PipelineError: the fault that the fork reports, or InputError where it dies or exceeds its time.
        """
        limits = limits or Limits.from_environment(os.environ)
        passed_on = {name: value for name, value in os.environ.items() if OWN_VARIABLE.match(name)}
        ours, theirs = socket.socketpair()
        with self._turn(), ours, theirs, self._fork(theirs):
            theirs.close()
            try:
                until = time.monotonic() + limits.wall_s + GRACE_S
                ours.settimeout(limits.wall_s + GRACE_S)
                ours.sendall(json.dumps({**request, "limits": asdict(limits), "environment": passed_on}).encode())
                ours.shutdown(socket.SHUT_WR)
                answer = Answer.model_validate_json(_received(ours, until))
            except (OSError, ValueError) as error:
                log.warning("The intake process gave no answer (%s).", type(error).__name__)
                raise InputError(DIED) from error
        answer.relay_log()
        answer.raise_fault()
        return answer

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=TURN_S):
            raise InputError(BUSY)
        try:
            yield
        finally:
            self._turns.release()

    @contextmanager
    def _fork(self, end: socket.socket) -> Iterator[None]:
        """A fork with one end of a connection; it lives no longer than the block."""
        handles = self._hand_over(end)
        try:
            yield
        finally:
            for handle in handles:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                os.close(handle)

    def _hand_over(self, end: socket.socket) -> list[int]:
        """Give the process one end of a connection; a process that has died is started anew, once.

        Returns:
            A handle of the fork; none where the system has no such handles, or the fork has ended.
        """
        with self._lock:
            for attempt in (1, 2):
                try:
                    control = self._running()
                    socket.send_fds(control, [b"."], [end.fileno()])
                    answer, handles, _, _ = socket.recv_fds(control, 1, 1)
                    if not answer:
                        raise ConnectionError
                    return handles
                except OSError as error:
                    log.warning("The intake process has ended (%s).", type(error).__name__)
                    self._close()
                    if attempt == 2:
                        raise InputError(DIED) from error
        raise AssertionError("unreachable")

    def _running(self) -> socket.socket:
        if self._process is None or self._control is None or self._process.poll() is not None:
            self._close()
            self._control, theirs = socket.socketpair()
            self._control.settimeout(START_S)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "pipeline.intake.worker", str(theirs.fileno())],
                    cwd=ROOT,
                    env={**_plain_environment(), **ONE_THREAD},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C ends the server, whose end closes the worker's socket
                )
        return self._control

    def _close(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._control = self._process = None


ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "PYTHONUTF8": "1"}
"""A process that forks must have no threads; each would add to the address space too."""
OWN_VARIABLE = re.compile(r"FIBROREVIEW_(?!.*TOKEN)")
PLAIN_VARIABLE = re.compile(r"(PATH|HOME|LANG|LC_.*|TZ|TMPDIR|LD_LIBRARY_PATH|PYTHON.*|VIRTUAL_ENV|COVERAGE.*)$")
WORKER = _Worker()


def _plain_environment() -> dict[str, str]:
    """What a Python process needs of the environment; no tokens, since the worker reads strangers' bytes."""
    return {name: value for name, value in os.environ.items() if PLAIN_VARIABLE.match(name)}


def _received(source: socket.socket, until: float) -> bytes:
    """All that comes until the other end closes.

    Args:
        until: time of ``time.monotonic`` at which to give up.

    Raises:
        ValueError: more than ``LARGEST_ANSWER``.
        TimeoutError: it did not close in time, however it dripped.
    """
    parts, size = list[bytes](), 0
    while part := source.recv(1 << 20):
        if (left := until - time.monotonic()) <= 0:
            raise TimeoutError
        source.settimeout(left)
        size += len(part)
        if size > LARGEST_ANSWER:
            raise ValueError("answer too large")
        parts.append(part)
    return b"".join(parts)
