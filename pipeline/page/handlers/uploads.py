"""Import an uploaded file as a study in the case's folder; the upload itself is deleted."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pipeline.case import Study
from pipeline.errors import InputError
from pipeline.intake import open_upload
from pipeline.page.state.open_cases import OpenCase

SUFFIXES = (".nii.gz", ".nii", ".zip", ".dcm")
"""Suffixes kept in the copy's name; all other files get none."""

EXAMPLES = {"NIfTI example": "abdomen_t2.nii.gz", "DICOM example": "abdomen_t2_dicom.zip"}


def import_upload(upload: Path, case: OpenCase) -> Study:
    """Move an upload into the case under a fixed name, open it, and delete it.

    Raises:
        InputError: it cannot be read, or somebody who uploaded the same file took it first.
    """
    mine = case.private / f"upload{_suffix(upload)}"
    try:
        # The web server names an upload by its content: two visitors with the same file share one path.
        shutil.move(upload, mine)
    except OSError as error:
        raise InputError("The upload did not arrive: please choose the file again.") from error
    with suppress(OSError):  # not empty: somebody else's upload of the same content
        upload.parent.rmdir()
    return _open(mine, case)


def import_example(example: Path, case: OpenCase) -> Study:
    """Open a copy of one of our own examples."""
    mine = case.private / f"upload{_suffix(example)}"
    shutil.copyfile(example, mine)
    return _open(mine, case)


def discard_upload(upload: Path) -> None:
    """Delete a refused upload."""
    upload.unlink(missing_ok=True)


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


def _suffix(upload: Path) -> str:
    name = upload.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")
