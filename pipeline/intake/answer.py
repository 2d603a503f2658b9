"""What the process that reads untrusted bytes may answer; the server checks all of it."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pipeline import errors
from pipeline.case import Study
from pipeline.errors import InputError, PipelineError

log = logging.getLogger(__name__)

STUDY = TypeAdapter(Study)
"""A study as JSON and back, validated."""
DIED = "This file could not be read within the server's limits; export the T2 series again and upload it alone."
KEY = re.compile(r"nifti|s[0-9]{2,6}")
"""Keys of series; they become parts of file names."""
MOST_LINES, LONGEST_LINE = 200, 500
"""Log lines of one request, and characters of a line."""
OWN_LOGGER = re.compile(r"pipeline\.[a-z_.]{1,80}")
"""Libraries quote header values in their messages, so only our own are passed on."""

_Logger = Annotated[str, Field(pattern=f"^{OWN_LOGGER.pattern}$")]
_Line = Annotated[str, Field(max_length=LONGEST_LINE, pattern=r"^[^\x00-\x1f]*$")]


class Answer(BaseModel):
    """A study, the class and message of a fault, or nothing; with the log of the request."""

    model_config = ConfigDict(strict=True, extra="forbid")

    study: dict[str, Any] | None = None
    fault: Annotated[str, Field(max_length=50)] = ""
    message: Annotated[str, Field(max_length=20_000)] = ""
    log: Annotated[list[tuple[_Logger, int, _Line]], Field(max_length=MOST_LINES)] = []

    def relay_log(self) -> None:
        """Write the request's log lines into this process's log."""
        for name, level, line in self.log:
            logging.getLogger(name).log(level, "%s", line)

    def raise_fault(self) -> None:
        """Raises: PipelineError: the fault that is reported, if there is one."""
        if self.fault:
            raise _fault_class(self.fault)(self.message)

    def study_in(self, folder: Path) -> Study:
        """The study, whose files lie in ``folder``.

        Raises:
            InputError: it is damaged, or names other files.
        """
        try:
            study = STUDY.validate_python(self.study)
        except ValueError as error:
            log.warning("The answer of the intake process is damaged (%s).", type(error).__name__)
            raise InputError(DIED) from error
        if study.folder != folder.absolute() or not all(KEY.fullmatch(series.key) for series in study.series):
            log.warning("The answer of the intake process names other files than its own.")
            raise InputError(DIED)
        return study


class RecordedLog(logging.Handler):
    """Records of our own loggers as an ``Answer`` may hold them."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.lines) < MOST_LINES and OWN_LOGGER.fullmatch(record.name):
            line = re.sub(r"[\x00-\x1f]", " ", record.getMessage())
            self.lines.append((record.name, record.levelno, line[:LONGEST_LINE]))


def _fault_class(name: str) -> type[PipelineError]:
    kind = getattr(errors, name, InputError) if name in errors.__all__ else InputError
    return kind if isinstance(kind, type) and issubclass(kind, PipelineError) else InputError
