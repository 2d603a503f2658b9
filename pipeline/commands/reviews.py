"""The commands on readers' reviews."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.shared import WRONG_INPUT, faults_in_one_line

app = typer.Typer(help="Readers' reviews.", no_args_is_help=True)
SOURCES = typer.Argument(
    help="CSV files, folders of them, or data sets of the Hugging Face Hub (OWNER/NAME or hf://datasets/OWNER/NAME); "
    "the page's own folder by default. A private data set needs HF_TOKEN.",
    show_default=False,
)


@app.callback()
def _group() -> None:
    """Readers' reviews."""


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", "-o", help="CSV file to write.")],
    sources: Annotated[list[str] | None, SOURCES] = None,
) -> None:
    """Merge reviews into one CSV file: each review once, the oldest first, rows of earlier versions migrated."""
    with faults_in_one_line():
        from pipeline.page.server.settings import settings_from
        from pipeline.reviews.merge import merge, write_csv

        if out.is_dir():
            typer.echo("The output is a folder; name a CSV file with -o.", err=True)
            raise typer.Exit(WRONG_INPUT)
        merged = merge(sources or [str(settings_from(os.environ).reviews)])
        write_csv(merged, out)
    for line in merged.lines():
        typer.echo(line, err=True)
