"""Import an uploaded file as a study in the case's folder; the upload itself is deleted."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.case import Study
from pipeline.errors import InputError
from pipeline.intake import open_upload
from pipeline.page.server.visitors import Visitors
from pipeline.page.state.open_cases import OpenCase

SUFFIXES = (".nii.gz", ".nii", ".zip", ".dcm")
"""Suffixes kept in the copy's name; all other files get none."""

NOT_ARRIVED = "The upload did not arrive: please choose the file again."

EXAMPLES = {"NIfTI example": "abdomen_t2.nii.gz", "DICOM example": "abdomen_t2_dicom.zip"}


@dataclass(frozen=True)
class Upload:
    """A file that this visitor, and nobody else's event, has brought."""

    file: Path
    shared: bool
    """Whether another visitor has uploaded the same content and not opened it yet: Gradio keeps one file for both."""


def take_upload(path: str, visitor: str, root: Path, visitors: Visitors) -> Upload:
    """The upload that an event names: a file in a folder of ``root``, uploaded by this visitor and not taken before.

    Raises:
        InputError: it is none of these; nothing is moved or deleted then.
    """
    file = Path(path)
    if file.parent.parent != root or ".." in file.parts or not _is_plain(file):
        raise InputError(NOT_ARRIVED)
    alone = visitors.claim(file, visitor)
    if alone is None:
        raise InputError(NOT_ARRIVED)
    return Upload(file, shared=not alone)


def import_upload(upload: Upload, case: OpenCase) -> Study:
    """Move an upload into the case under a fixed name, open it, and delete it.

    Raises:
        InputError: it cannot be read.
    """
    mine = case.private / f"upload{_suffix(upload.file)}"
    try:
        (shutil.copyfile if upload.shared else shutil.move)(upload.file, mine)
    except OSError as error:
        raise InputError(NOT_ARRIVED) from error
    with suppress(OSError):  # not empty: somebody else's upload
        upload.file.parent.rmdir()
    return _open(mine, case)


def import_example(example: Path, case: OpenCase) -> Study:
    """Open a copy of one of our own examples."""
    mine = case.private / f"upload{_suffix(example)}"
    shutil.copyfile(example, mine)
    return _open(mine, case)


def discard_upload(upload: Upload) -> None:
    """Delete a refused upload."""
    if not upload.shared:
        upload.file.unlink(missing_ok=True)


def examples_in(folder: Path) -> Mapping[str, Path]:
    """Existing examples by the label of their button."""
    return {label: folder / name for label, name in EXAMPLES.items() if (folder / name).exists()}


def _open(mine: Path, case: OpenCase) -> Study:
    into = case.private / "study"
    into.mkdir()
    try:
        return open_upload(mine, into)
    finally:
        mine.unlink(missing_ok=True)


def _is_plain(file: Path) -> bool:
    """Whether it is a file in a folder, neither of them a link."""
    try:
        return stat.S_ISREG(file.lstat().st_mode) and stat.S_ISDIR(file.parent.lstat().st_mode)
    except (OSError, ValueError):  # there is none, or its name holds a zero byte
        return False


def _suffix(upload: Path) -> str:
    name = upload.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")
