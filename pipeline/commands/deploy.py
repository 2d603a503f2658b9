"""``deploy``: put this app on a Hugging Face Space."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.shared import WRONG_INPUT, faults_in_one_line

if TYPE_CHECKING:
    from pipeline.deploy.files import AppFiles

ROOT = Path(__file__).resolve().parents[2]
REVIEWS_TOKEN_VARIABLE = "FIBROREVIEW_REVIEWS_TOKEN"


def deploy(
    space: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The Space; made where there is none.")],
    hardware: Annotated[str | None, typer.Option(help="For example cpu-basic or zero-a10g; else as it is.")] = None,
    reviews: Annotated[
        str | None, typer.Option(metavar="OWNER/DATASET", help="Private data set that keeps the reviews.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Hide the Space from others.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files and check them; contact nobody.")] = False,
    folder: Annotated[Path, typer.Option(help="The app: a clean git checkout, or a plain folder.")] = ROOT,
) -> None:
    """Check the app, then create or update a Hugging Face Space with it.

    Log in first with: hf auth login. With --reviews the variable FIBROREVIEW_REVIEWS_TOKEN holds the Space's own token,
    which may write to that data set only.
    """
    with faults_in_one_line():
        from huggingface_hub import get_token

        from pipeline.deploy.checks import faults_of
        from pipeline.deploy.files import files_of
        from pipeline.deploy.hub import Target, target_faults
        from pipeline.deploy.hub import deploy as send

        target = Target(space, hardware, reviews, private, reviews_token=os.environ.get(REVIEWS_TOKEN_VARIABLE))
        files = files_of(folder)
        if dry_run:
            _list(files)
        faults = [*target_faults(target), *faults_of(files, get_token())]
        for fault in faults:
            typer.echo(fault, err=True)
        if faults:
            raise typer.Exit(WRONG_INPUT)
        if not dry_run:
            address = send(files, target, lambda words: typer.echo(words, err=True))
            typer.echo(address)


def _list(files: AppFiles) -> None:
    """Print each file with its size, then their sum."""
    for path in files.paths:
        typer.echo(f"{files.size(path):>10,}  {path}")
    total = sum(map(files.size, files.paths))
    typer.echo(f"{total:>10,}  bytes in {len(files.paths)} files")
    typer.echo("The viewer library is not among them: the Space fetches it by npm when it starts; where that fails,")
    typer.echo("its log says so and the server draws the slices.")
