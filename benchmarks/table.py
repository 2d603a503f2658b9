"""A measured table in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """What one part of the benchmarks measured."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""
    """How it was measured, in a sentence or two."""

    def markdown(self) -> str:
        """The table under its title."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"## {self.title}\n\n{table}\n" + (f"\n{self.note}\n" if self.note else "")


def spread(values: Sequence[float], unit: str) -> str:
    """``2.31 s (2.20-2.52)``: the median, and the range where there are several."""
    middle = f"{statistics.median(values):.2f} {unit}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f}-{max(values):.2f})"
