"""Answers kept on disk by what they came from, so that an interrupted run goes on and a stale one is never used."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.files import json_sha256, write_text
from models.registry import ModelFolder
from pipeline import __version__

FORMAT = 2
"""Of the answers that are kept: counted up whenever the same files and models would now be answered otherwise."""


@dataclass(frozen=True)
class ResultCache:
    """A folder of answers, one JSON file each."""

    folder: Path

    def of(self, key: Sequence[object], compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The answer stored under ``key``, or ``compute()``, stored in one move."""
        file = self.folder / f"{digest(key)}.json"
        if file.is_file():
            return json.loads(file.read_text(encoding="utf-8"))
        answer = compute()
        write_text(file, json.dumps(answer))
        return answer


def digest(content: object) -> str:
    """Of anything that JSON can hold, and of the software and ``FORMAT`` that answer."""
    return json_sha256([FORMAT, __version__, content])[:24]


def fingerprint(model: ModelFolder) -> str:
    """Changes with the weights of the chosen members and with everything that ``model.json`` says."""
    return digest([model.sha256, model.members, model.info])
