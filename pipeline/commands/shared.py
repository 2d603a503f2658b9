"""Shared by the commands: option types, one-line faults, log, progress."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from pipeline.errors import PipelineError

WRONG_INPUT = 2


def _folder(out: Path | None) -> Path | None:
    """Refuse a file in one line; typer's ``file_okay=False`` would print a page of usage."""
    if out is not None and out.exists() and not out.is_dir():
        typer.echo("The output is a file; name a folder with -o.", err=True)
        raise typer.Exit(WRONG_INPUT)
    return out


OUT = typer.Option("--out", "-o", help="Folder to write into.", callback=_folder)
Out = Annotated[Path, OUT]
Data = Annotated[Path, typer.Argument(help="Folder with imagesTr and labelsTr, or a manifest (CSV).")]
Segmenter = Annotated[Path, typer.Option("--segmenter", help="Name or folder of the model.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Exact = Annotated[
    bool, typer.Option("--exact", help="Segment by nnU-Net's overlapping tiles: several times slower, nearly equal.")
]
SEED = typer.Option(help="Equal seeds give equal results.")
Seed = Annotated[int, SEED]
Fold = Annotated[
    int | None, typer.Option(help="Train this fold only, from 0; then collect all by the command without --fold.")
]
Resume = Annotated[bool, typer.Option(help="Resume from the last checkpoint.")]
Licence = Annotated[str, typer.Option(help="Licence of the weights, from their data.")]
LSM_CUT = typer.Option(help="Liver stiffness in kPa above which fibrosis counts as advanced.")
LsmCut = Annotated[float, LSM_CUT]
METAVIR_CUT = typer.Option(help="METAVIR stage from which fibrosis counts as advanced, where there is histology.")
MetavirCut = Annotated[str, METAVIR_CUT]


@contextlib.contextmanager
def faults_in_one_line() -> Iterator[None]:
    """Print a fault of the input as one line (a manifest: one per row) on stderr and exit with code 2."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # stderr is reserved for our one line
    try:
        yield
    except PipelineError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG_INPUT) from error
    except OSError as error:
        # Without the path, which may name a patient.
        reason = error.strerror or "no reason given"
        typer.echo(f"A file or folder cannot be read or written ({reason}); check paths, rights and room.", err=True)
        raise typer.Exit(WRONG_INPUT) from error


@contextlib.contextmanager
def log_shown() -> Iterator[None]:
    """Show the log of the pipeline on stderr, with times."""
    handler = RichHandler(console=Console(stderr=True), show_path=False, show_level=False, log_time_format="%H:%M:%S")
    logger = logging.getLogger("pipeline")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def progress_bar() -> Progress:
    """Transient progress bar on stderr; disabled when stderr is not a TTY."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def case_by_case(progress: Progress, words: str) -> Callable[[int, int], None]:
    """A progress callback (cases done, cases in total): moves the bar, or prints every tenth of them without a TTY."""
    task = progress.add_task(words, total=None)

    def report(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total)
        if progress.disable and 10 * done // total > 10 * (done - 1) // total:
            typer.echo(f"{words}: {done} of {total}", err=True)

    return report


def answer_console() -> Console:
    """Console of stdout; long lines are not wrapped when it is a file."""
    return Console() if sys.stdout.isatty() else Console(width=400)
