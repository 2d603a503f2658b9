"""Import an uploaded file as a study in the case's folder; the upload itself is deleted."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Mapping, Sequence
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
    """Files that this visitor, and nobody else's event, has brought together."""

    files: tuple[Path, ...]
    shared: frozenset[Path]
    """Those whose content another visitor has uploaded too and not opened yet: Gradio keeps one file for both."""


def take_upload(paths: Sequence[str], visitor: str, root: Path, visitors: Visitors) -> Upload:
    """The upload that an event names: files in folders of ``root``, uploaded by this visitor and not taken before.

    Raises:
        InputError: one is none of these; nothing is moved or deleted then.
    """
    files = tuple(dict.fromkeys(map(Path, paths)))
    in_place = (file.parent.parent == root and ".." not in file.parts and _is_plain(file) for file in files)
    if not files or not all(in_place) or not all(visitors.owns(file, visitor) for file in files):
        raise InputError(NOT_ARRIVED)
    return Upload(files, frozenset(file for file in files if visitors.claim(file, visitor) is not True))


def import_upload(upload: Upload, case: OpenCase) -> Study:
    """Move an upload into the case under generated names, open it, and delete it.

    Raises:
        InputError: it cannot be read.
    """
    if len(upload.files) == 1:
        mine = case.private / f"upload{_suffix(upload.files[0])}"
        _move(upload.files[0], mine, upload)
        return _open(mine, case)
    folder = case.private / "upload"
    folder.mkdir()
    try:
        for number, file in enumerate(upload.files):
            _move(file, folder / f"{number:06d}{_suffix(file)}", upload)
        return _open(folder, case)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(file: Path, mine: Path, upload: Upload) -> None:
    try:
        (shutil.copyfile if file in upload.shared else shutil.move)(file, mine)
    except OSError as error:
        raise InputError(NOT_ARRIVED) from error
    with suppress(OSError):  # not empty: somebody else's upload
        file.parent.rmdir()


def import_example(example: Path, case: OpenCase) -> Study:
    """Open a copy of one of our own examples."""
    mine = case.private / f"upload{_suffix(example)}"
    shutil.copyfile(example, mine)
    return _open(mine, case)


def discard_upload(upload: Upload) -> None:
    """Delete a refused upload."""
    for file in upload.files:
        if file not in upload.shared:
            file.unlink(missing_ok=True)


def examples_in(folder: Path) -> Mapping[str, Path]:
    """Existing examples by the label of their button."""
    return {label: folder / name for label, name in EXAMPLES.items() if (folder / name).exists()}


def _open(mine: Path, case: OpenCase) -> Study:
    into = case.private / "study"
    into.mkdir()
    try:
        return open_upload(mine, into)
    finally:
        if mine.is_file():
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
