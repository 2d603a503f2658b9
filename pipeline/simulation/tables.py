"""Tables of a simulated cohort as CSV: UTF-8, one header row, lines ending in a line feed."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from models.files import atomic_path


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Atomic replacement of a table; its columns are the keys of the first row."""
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a table as text, by column."""
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)
