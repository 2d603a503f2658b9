"""Atomic replacement of a model folder: write a sibling, then rename."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models import install, registry
from models.errors import ModelError


def check_out(out: Path) -> None:
    """See that a model can be written there before anything expensive is done; makes the folders above it.

    Raises:
        ModelError: it is a file, or cannot be made.
    """
    if out.exists() and not out.is_dir():
        raise ModelError("The output is a file; name a folder with -o.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError("The output folder cannot be made; make room or rights, or name another with -o.") from error


@contextmanager
def drafted(out: Path) -> Iterator[Path]:
    """An empty folder of ``out``'s name; what it holds when the block ends replaces the model in ``out``.

    An exception leaves ``out`` as it was. Files in ``out`` that are no part of a model stay.
    """
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=out.parent) as beside:
        draft = Path(beside) / out.resolve().name
        draft.mkdir()
        yield draft
        out.mkdir(exist_ok=True)
        for old in out.glob("fold*"):
            if re.fullmatch(registry.MEMBER, old.name, re.ASCII):
                shutil.rmtree(old)
        for name in install.FILES:
            (out / name).unlink(missing_ok=True)
        for part in sorted(draft.iterdir(), key=lambda part: part.name == "model.json"):  # that makes it a model
            part.rename(out / part.name)
