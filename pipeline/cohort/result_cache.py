"""A cache of results on disk, addressed by their inputs: a run can be resumed, and no outdated result is used."""

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
"""Version of the results; increment it when the code would give another result for the same files and models."""


@dataclass(frozen=True)
class ResultCache:
    """A folder with one JSON file per result, named by the digest of its inputs."""

    folder: Path

    def of(self, key: Sequence[object], compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The stored result, or that of ``compute()``, which is then stored; atomic.

        Args:
            key: everything the result depends on, as JSON values.
        """
        file = self.folder / f"{digest(key)}.json"
        if file.is_file():
            return json.loads(file.read_text(encoding="utf-8"))
        result = compute()
        write_text(file, json.dumps(result))
        return result


def digest(content: object) -> str:
    """24 hexadecimal digits over JSON values, the version of this software and ``FORMAT``."""
    return json_sha256([FORMAT, __version__, content])[:24]


def model_fingerprint(model: ModelFolder) -> str:
    """Digest of the weights of the chosen members and of all that ``model.json`` says."""
    return digest([model.sha256, model.members, model.info])
