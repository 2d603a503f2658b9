"""Replacement of a model folder: write a sibling, then rename its parts, ``model.json`` last."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models import install
from models.description import MEMBER
from models.errors import ModelError


def ensure_writable_model_folder(out: Path) -> None:
    """Check that a model can be written into ``out``, before an expensive training; makes its parent folders.

    Raises:
        ModelError: ``out`` is a file, or a parent folder cannot be made.
    """
    if out.exists() and not out.is_dir():
        raise ModelError("The output is a file; name a folder with -o.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError("The output folder cannot be made; make room or rights, or name another with -o.") from error


@contextmanager
def atomic_model_folder(out: Path) -> Iterator[Path]:
    """An empty sibling to write to, of the same name; its content replaces the model in ``out`` when the block ends.

    An exception in the block leaves ``out`` unchanged. Files in ``out`` that are no part of a model are kept.
    """
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=out.parent) as beside:
        draft = Path(beside) / out.resolve().name
        draft.mkdir()
        yield draft
        out.mkdir(exist_ok=True)
        for old in out.glob("fold*"):
            if re.fullmatch(MEMBER, old.name, re.ASCII):
                shutil.rmtree(old)
        for name in install.FILES:
            (out / name).unlink(missing_ok=True)
        # model.json is last: without it the folder is no model.
        for part in sorted(draft.iterdir(), key=lambda part: part.name == "model.json"):
            part.rename(out / part.name)
