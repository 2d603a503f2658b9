"""The process that handles untrusted bytes: it forks once per request, and the fork unpacks, parses and decodes.

Started by ``isolated``, with the libraries of intake already imported, so that a fork takes milliseconds. Each fork has
limits that the kernel enforces; what a hostile file costs ends there. Requests and answers are JSON, never pickles.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from pipeline.errors import InputError, PipelineError
from pipeline.intake import study as in_process
from pipeline.intake.answer import STUDY, RecordedLog
from pipeline.intake.archive import Budget

PASSED_ON = "FIBROREVIEW_"
"""Prefix of the environment variables that each request brings along."""
TOO_MUCH = "This file takes more memory than an MRI needs; export the T2 series again and upload it alone."
UNREADABLE = "This file cannot be read; export the T2 series again and upload it alone."
log = logging.getLogger("pipeline.intake.worker")  # not __main__


def main() -> None:
    """Serve requests on the socket whose descriptor is the first argument, until the other end is closed."""
    _preload()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the forks
    control = socket.socket(fileno=int(sys.argv[1]))
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        fork = os.fork()
        if fork == 0:
            control.close()
            try:
                _answer(socket.socket(fileno=descriptors[0]))
            finally:
                os._exit(0)
        os.close(descriptors[0])
        _send_handle(control, fork)


def _send_handle(control: socket.socket, fork: int) -> None:
    """Send the server a handle by which it can end the fork; none where the fork has ended, or without Linux."""
    try:
        handle = os.pidfd_open(fork)
    except (AttributeError, OSError):
        control.sendall(b"-")
        return
    socket.send_fds(control, [b"+"], [handle])
    os.close(handle)


def _preload() -> None:
    """Import what decoding imports late, once for all forks."""
    import pydicom.pixels.decoders  # noqa: F401
    from highdicom._standard_utils import is_multiframe_image

    image = Dataset()
    image.SOPClassUID = MRImageStorage
    is_multiframe_image(image)  # reads its tables: most of a second, which each fork would take again


def _answer(channel: socket.socket) -> None:
    records = RecordedLog()
    root = logging.getLogger()
    root.handlers, root.level = [records], logging.INFO
    with channel, channel.makefile("rb") as source:
        request = json.load(source)
        _set_environment(request["environment"])
        _set_limits(request["limits"])
        answer = _result(request)
        channel.sendall(json.dumps({**answer, "log": records.lines}).encode())


def _result(request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer: ``study`` or nothing, or class and message of a fault."""
    try:
        if request["call"] == "open_upload":
            budget = Budget(**request["budget"])
            study = in_process.open_upload(Path(request["path"]), Path(request["into"]), budget=budget)
            return {"study": STUDY.dump_python(study, mode="json")}
        in_process.read_series(STUDY.validate_python(request["study"]), request["key"])
    except PipelineError as error:
        return {"fault": type(error).__name__, "message": str(error)}
    except MemoryError:
        log.warning("An upload took more memory than it may.")
        return {"fault": InputError.__name__, "message": TOO_MUCH}
    except Exception as error:  # noqa: BLE001 - whatever a library raises on a stranger's bytes is the file's fault
        log.warning("An upload cannot be read (%s).", type(error).__name__)
        return {"fault": InputError.__name__, "message": UNREADABLE}
    return {}


def _set_environment(given: Mapping[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith(PASSED_ON)]:
        del os.environ[name]
    os.environ.update(given)


def _set_limits(limits: Mapping[str, Any]) -> None:
    """Limits of this process from here on; each ends it or makes an allocation or a write fail."""
    for kind, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, limits["cpu_s"], limits["cpu_s"] + 1),
        (resource.RLIMIT_FSIZE, limits["file_bytes"], limits["file_bytes"]),
    ):
        _lower(kind, soft, hard)
    if sys.platform == "linux":  # elsewhere it is not enforced, or includes what the system maps
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        bytes_ = pages * os.sysconf("SC_PAGE_SIZE") + limits["memory_bytes"]
        _lower(resource.RLIMIT_AS, bytes_, bytes_)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limits["wall_s"])


def _lower(kind: int, soft: int, hard: int) -> None:
    """Set a limit, never above the one that the process was started with."""
    allowed = resource.getrlimit(kind)[1]
    if allowed != resource.RLIM_INFINITY:
        soft, hard = min(soft, allowed), min(hard, allowed)
    resource.setrlimit(kind, (soft, hard))


if __name__ == "__main__":
    main()
