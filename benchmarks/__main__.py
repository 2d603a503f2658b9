"""All measurements of speed: ``make bench``, or ``python -m benchmarks [PART ...]``. Let nothing else run meanwhile.

Each part is a module with ``measure() -> Table``. All parts together replace ``benchmarks/README.md``; named parts are
printed only. The figures are no tests: they show ratios of one run on one machine.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import Annotated

import typer

from benchmarks.machine import ROOT, commit, describe

PARTS = ("nnunet", "stages", "growth", "start", "page", "visitors", "reviews")
README = ROOT / "benchmarks" / "README.md"
HEAD = """# Speed

Measured by `make bench` in {minutes:.1f} minutes at commit {commit}; a part alone is `python -m benchmarks PART`.
Medians, with the range in parentheses where there are several runs.

{machine}

"""


def main(
    parts: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(PARTS)}; all by default.")] = None,
) -> None:
    """Measure, print, and write the tables of a whole run."""
    start, machine, tables = time.perf_counter(), describe(), []
    typer.echo(f"{machine}\n")
    for part in parts or PARTS:
        tables.append(import_module(f"benchmarks.{part}").measure().markdown())
        typer.echo(tables[-1])
    if not parts:
        head = HEAD.format(minutes=(time.perf_counter() - start) / 60, commit=commit(), machine=machine)
        README.write_text(head + "\n".join(tables), encoding="utf-8")
        typer.echo(f"Written: {README.relative_to(ROOT)}")


if __name__ == "__main__":
    typer.run(main)
