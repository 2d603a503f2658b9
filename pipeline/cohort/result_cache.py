"""Answers kept on disk by what they came from, so that an interrupted run goes on and a stale one is never used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.registry import ModelFolder
from pipeline import __version__

FORMAT = 2
"""Of the answers that are kept: counted up whenever the same files and models would now be answered otherwise."""


@dataclass(frozen=True)
class Memory:
    """A folder of answers, one JSON file each."""

    folder: Path

    def of(self, key: Sequence[object], compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The answer stored under ``key``, or ``compute()``, stored in one move."""
        file = self.folder / f"{digest(key)}.json"
        if file.is_file():
            return json.loads(file.read_text(encoding="utf-8"))
        answer = compute()
        write_whole(file, json.dumps(answer))
        return answer


def digest(content: object) -> str:
    """Of anything that JSON can hold, and of the software and ``FORMAT`` that answer."""
    text = json.dumps([FORMAT, __version__, content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def fingerprint(model: ModelFolder) -> str:
    """Changes with the weights of the chosen members and with everything that ``model.json`` says."""
    return digest([model.sha256, model.members, model.info])


def write_whole(file: Path, text: str) -> None:
    """Replace a file in one move, so that an interruption leaves the old one or none."""
    partial = file.with_name(f"{file.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
