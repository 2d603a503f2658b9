"""Log what is wrong with an upload: the error's class and the DICOM tag or NIfTI field, and nothing else.

The texts of pydicom, highdicom, nibabel, zipfile and the system quote header values, paths and names of files, all of
which may identify the patient.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from types import TracebackType

from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

_PREFIX = "field: "


class reading:  # noqa: N801 - a context manager, used as a function
    """Mark errors that are raised inside with the name of a DICOM keyword or NIfTI field, for ``log_fault``.

    >>> with reading("Rows"):
    ...     rows = int(header.Rows)
    """

    def __init__(self, field: str) -> None:
        self.field = field

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"{_PREFIX}{self.field}")


def log_fault(log: logging.Logger, error: Exception, where: str) -> None:
    """Log one line at INFO on an error that is caught and answered: ``DICOM header: ValueError at Rows (0028,0010)``.

    Args:
        error: only what ``describe`` says of it is logged.
        where: the part of the upload, in words of this software.
    """
    log_faults(log, {describe(error): 1}, where)


def log_faults(log: logging.Logger, files: Mapping[str, int], where: str) -> None:
    """One line as ``log_fault`` writes it for each kind of fault, with the number of files that have it.

    Args:
        files: number of files by description, as ``describe`` gives it.
    """
    for description, count in files.items():
        log.info("%s: %s%s", where, description, f" in {count} files" if count > 1 else "")


def describe(error: Exception) -> str:
    """Class of the error, its number for errors of the system, and the innermost field that ``reading`` marked."""
    number = errno.errorcode.get(error.errno or 0, "") if isinstance(error, OSError) else ""
    field = next((n.removeprefix(_PREFIX) for n in getattr(error, "__notes__", ()) if n.startswith(_PREFIX)), "")
    tag = tag_for_keyword(field)
    place = f"at {field}{'' if tag is None else f' {Tag(tag)}'}" if field else ""
    return " ".join(part for part in (type(error).__name__, number, place) if part)
