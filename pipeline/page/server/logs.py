"""The server's log: what happened and where in the code, never what a visitor sent.

Messages of exceptions quote values, and tracebacks end with them: a file's name may name a patient. So a fault is
written as its classes and its places in the code.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import gradio.queueing
import gradio.route_utils
import gradio.routes
import gradio.utils

from pipeline.page.server.settings import LogStyle

MOST_FRAMES = 12
"""Places of one exception that are written, the last ones."""
LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FIELDS = ("case", "seconds", "kind")
"""What a message may carry beside its text, in JSON."""
OURS = ("fibroreview", "pipeline", "models")
QUIET = ("httpx", "httpx2", "torch", "matplotlib")
log = logging.getLogger("fibroreview")


def fault_places(error: BaseException) -> str:
    """``ValueError at pipeline/analysis.py:210 find_steps < gradio/queueing.py:870 process_events``, and its causes."""
    faults, one = list[str](), error
    while one is not None and len(faults) < 5:
        frames = traceback.extract_tb(one.__traceback__)[-MOST_FRAMES:]
        places = " < ".join(f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in reversed(frames))
        faults.append(f"{type(one).__name__} at {places or 'no place'}")
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)  # type: ignore[assignment]
    return "; caused by ".join(faults)


def message_of(record: logging.LogRecord) -> str:
    """Our own messages; of libraries, whose texts hold what was sent, the place in their code."""
    if record.name.partition(".")[0] in OURS:
        return record.getMessage()
    return f"at {_short(record.pathname)}:{record.lineno} {record.funcName}"


def _short(file: str) -> str:
    """The last two parts of a source file's path."""
    return "/".join(Path(file).parts[-2:])


class PlainLine(logging.Formatter):
    """One line of text per message."""

    def format(self, record: logging.LogRecord) -> str:
        own = logging.makeLogRecord({**record.__dict__, "msg": message_of(record), "args": None, "exc_text": None})
        return ": ".join(super().format(own).splitlines())

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return fault_places(ei[1]) if ei[1] is not None else ""

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's name
        return ""


class JsonLine(PlainLine):
    """One JSON object per message: ``time`` (UTC), ``level``, ``logger``, ``message``, and what else it carries."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message_of(record),
            **{name: getattr(record, name) for name in FIELDS if hasattr(record, name)},
        }
        if record.exc_info and record.exc_info[1] is not None:
            entry["fault"] = fault_places(record.exc_info[1])
        return json.dumps(entry)


def start_logging(style: LogStyle) -> None:
    """Send all messages, those of Gradio, uvicorn and of threads too, to standard error without what was sent."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLine() if style == "json" else PlainLine(LINE))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    warnings.showwarning = _log_warning
    for client in QUIET:
        logging.getLogger(client).setLevel(logging.WARNING)
    logging.raiseExceptions = False  # it would print the message that could not be written
    sys.excepthook = _log_uncaught
    sys.unraisablehook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    for module in (gradio.queueing, gradio.routes, gradio.route_utils, gradio.utils):
        vars(module)["traceback"] = LoggedTraceback()


def adopt_loggers(names: Iterable[str] = ("uvicorn", "uvicorn.error", "uvicorn.access")) -> None:
    """Let libraries that have set up handlers of their own, as uvicorn does at its start, use ours."""
    for name in names:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


class LoggedTraceback:
    """In place of the module ``traceback`` where Gradio prints the errors of events."""

    def print_exc(self) -> None:
        log.error("An event failed.", exc_info=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(traceback, name)


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Libraries quote values of headers in warnings."""
    log.info("%s at %s:%d", category.__name__, _short(filename), lineno)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, _: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    log.critical("An error was not caught.", exc_info=error)
