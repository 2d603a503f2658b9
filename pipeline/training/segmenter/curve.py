"""The learning curve of one member: loss and validation Dice by step, in a CSV that survives an interruption."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from models.files import atomic_path

COLUMNS = ["step", "name", "value"]


class LearningCurve:
    """Appends values; those after the step that a training resumes from are dropped."""

    def __init__(self, file: Path, step: int) -> None:
        self.file = file
        self.rows = read_curve(file)
        self.rows = self.rows[self.rows["step"] <= step]

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Append one value per name and replace the file atomically."""
        new = pd.DataFrame([(step, name, round(value, 5)) for name, value in values.items()], columns=COLUMNS)
        self.rows = pd.concat([self.rows, new], ignore_index=True) if len(self.rows) else new
        with atomic_path(self.file) as partial:
            self.rows.to_csv(partial, index=False)


def read_curve(file: Path) -> pd.DataFrame:
    """Columns ``step``, ``name`` (loss, or an organ: mean Dice on held-out cases) and ``value``; empty if absent."""
    return pd.read_csv(file) if file.is_file() else pd.DataFrame(columns=COLUMNS)
