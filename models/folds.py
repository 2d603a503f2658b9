"""Which cases each member of a model has not seen: ``folds.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.errors import ModelError

SEEN_BY_ALL = "seen by all"
"""Key of ``folds.json``, in place of a member: the cases that no member held out."""


def folds_from_split(split: Sequence[Mapping[str, Sequence[str]]]) -> dict[str, list[str]]:
    """The content of ``folds.json`` for nnU-Net's ``splits_final.json``."""
    folds = {f"fold{number}": list(fold["val"]) for number, fold in enumerate(split)}
    held_out = {case for names in folds.values() for case in names}
    seen = sorted({case for fold in split for case in fold["train"]} - held_out)
    return folds | ({SEEN_BY_ALL: seen} if seen else {})


def read_folds(folder: Path) -> dict[str, list[str]]:
    """``folds.json``: the cases that each member held out, and those under ``SEEN_BY_ALL``; empty without that file.

    Raises:
        ModelError: the file is damaged.
    """
    file = folder / "folds.json"
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text())
        return {str(member): [str(case) for case in cases] for member, cases in content.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise ModelError("The model's folds.json is damaged; train or install the model again.") from error


def held_out_by(folder: Path) -> dict[str, str]:
    """The member that held a case out, by case; ``SEEN_BY_ALL`` for a case that none did."""
    return {case: member for member, cases in read_folds(folder).items() for case in cases}
