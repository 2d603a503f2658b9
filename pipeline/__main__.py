"""The command line: ``python -m pipeline COMMAND --help``. Rooms are imported inside the commands, so that help is
instant; faults of the input are one line on standard error and exit code 2."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipeline.errors import InputError, PipelineError, SeriesError

if TYPE_CHECKING:
    from pipeline.case import Analysis, Study, Volume

NOTICE = "Research use only. Not a medical device."
WRONG_INPUT = 2

app = typer.Typer(
    help="Liver MRI: segmentation, fibrosis classification, training. " + NOTICE,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write into.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
MaskUse = Literal["attention", "none", "mask_only", "background_only"]
"""As in ``models.masked_attention``, which would load torch."""
Seed = Annotated[int, typer.Option(help="Equal seeds give equal results.")]


@app.command()
def analyze(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help=".nii, .nii.gz, DICOM .zip, DICOM file or folder.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write into.")] = None,
    series: Annotated[str | None, typer.Option(help="Number or key of the series, from --list.")] = None,
    device: Device = "auto",
    segmenter: Annotated[str, typer.Option(help="Name or folder; liver_t2/fold1 for one member.")] = "liver_t2",
    classifier: Annotated[str, typer.Option(help="Name or folder; fibrosis_t2/fold1 for one member.")] = "fibrosis_t2",
    as_json: Annotated[bool, typer.Option("--json", help="Print analysis.json and nothing else.")] = False,
    only_list: Annotated[bool, typer.Option("--list", help="List the series of INPUT and stop.")] = False,
) -> None:
    """Segment the liver of one MRI, estimate fibrosis, and write masks, heat map and report."""
    if out is None and not as_json and not only_list:
        raise typer.BadParameter("name a folder for the results with -o.")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn on standard error, which is kept for one line of ours
    with _faults_in_one_line(), tempfile.TemporaryDirectory(prefix="fibroreview-") as folder:
        if out is not None and out.exists() and not out.is_dir():
            raise InputError("The output is a file; name a folder with -o.")
        if only_list:
            study = _open(source, Path(folder))
            _print_series(study)
            return
        with _progress() as progress:
            analysis = _run(source, Path(folder), series, (segmenter, classifier, device), progress)
            text = _written(analysis, out)
        if as_json:
            sys.stdout.write(text)
        else:
            _print_summary(analysis)


def _open(source: Path, folder: Path) -> Study:
    from pipeline.intake import open_upload

    if not source.exists():
        raise InputError("There is no such file or folder; name a .nii, .nii.gz, DICOM .zip, DICOM file or folder.")
    return open_upload(source, folder)


def _read(source: Path, folder: Path, wanted: str | None) -> Volume:
    from pipeline.intake import preselected, read_series

    study = _open(source, folder)
    if wanted is None:
        return read_series(study, preselected(study).key)
    numbered = {str(number): series for number, series in enumerate(study.series, start=1)}
    chosen = {series.key: series for series in study.series}.get(wanted) or numbered.get(wanted)
    if chosen is None:
        raise SeriesError("There is no such series; show them with --list and take a number or key from it.")
    return read_series(study, chosen.key)


def _run(source: Path, folder: Path, wanted: str | None, models: tuple[str, str, str], progress: Progress) -> Analysis:
    """Read, load the models, analyse. The input is read first: its faults show before seconds go into imports."""
    task = progress.add_task("Reading the images", total=1.0)
    started = time.perf_counter()
    volume = _read(source, folder, wanted)
    read_s = time.perf_counter() - started
    progress.update(task, description="Loading the models")
    with contextlib.redirect_stdout(io.StringIO()):  # nnU-Net prints; standard output is for our answer
        from pipeline.analysis import analyze_steps, load_models

        analysis = None
        for step in analyze_steps(volume, load_models(*models)):
            progress.update(task, completed=step.share, description=step.name)
            analysis = step.analysis
    assert analysis is not None
    stages = analysis.timings_s
    return replace(analysis, timings_s={"read": read_s, **stages, "total": read_s + stages.get("total", 0.0)})


def _written(analysis: Analysis, out: Path | None) -> str:
    """Write the files, where a folder is given; returns the text of ``analysis.json``."""
    from pipeline.exports import analysis_json, write_analysis

    if out is None:
        return json.dumps(analysis_json(analysis), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        write_analysis(analysis, out)
    except OSError as error:
        raise InputError(
            "The output folder cannot be written; free some disk space or name another with -o."
        ) from error
    return (out / "analysis.json").read_text(encoding="utf-8")


def _print_series(study: Study) -> None:
    table = Table(box=None, header_style="bold")
    for heading in ("no.", "key", "plane", "slices", "spacing in mm", "TE in ms", "weighting", ""):
        table.add_column(heading, no_wrap=bool(heading))
    for number, series in enumerate(study.series, start=1):
        spacing = " x ".join(f"{s:.2f}" for s in series.spacing_mm_xyz)
        echo = "" if series.echo_time_ms is None else f"{series.echo_time_ms:.0f}"
        table.add_row(
            str(number), series.key, series.plane, str(series.slices), spacing, echo, series.weighting, series.why
        )
    console = _answer_console()
    console.print(table)
    for left_out in study.left_out:
        console.print(f"Left out: {left_out.description}: {left_out.reason}", markup=False, highlight=False)


def _print_summary(analysis: Analysis) -> None:
    fibrosis, organs, console = analysis.fibrosis, analysis.organs, _answer_console()
    low, high = fibrosis.ensemble_range
    side = "at or above" if fibrosis.advanced else "below"
    lines = [
        f"Probability of {fibrosis.positive_class}: {fibrosis.probability:.2f} (members {low:.2f} to {high:.2f}), "
        f"{side} the operating point {fibrosis.threshold:.2f}",
        f"Liver {organs.liver_ml:.0f} mL" + ("" if organs.spleen_ml is None else f", spleen {organs.spleen_ml:.0f} mL"),
        *(f"Warning: {warning.message}" for warning in analysis.warnings),
        *(note for note in (analysis.segmenter.note, analysis.classifier.note) if note),
        NOTICE,
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False)


@app.command()
def train_segmenter(
    data: Annotated[Path, typer.Argument(help="Folder with imagesTr and labelsTr (or images and labels).")],
    out: Out,
    folds: Annotated[int, typer.Option(help="Members of the ensemble; each has not seen its own fold.")] = 3,
    fold: Annotated[int | None, typer.Option(help="Train this fold only, counted from 0.")] = None,
    steps: Annotated[int, typer.Option(help="Optimiser steps per member; name more to train further.")] = 2000,
    device: Device = "auto",
    planner: Annotated[
        str, typer.Option(help="small (two CPU cores) or nnunet (its own default, for a GPU).")
    ] = "small",
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = True,
    seed: Seed = 0,
    trained_on: Annotated[str, typer.Option(help="Shown beside every result.")] = "a cohort of this site",
    licence: Annotated[str, typer.Option(help="Of the weights, from their data.")] = "unknown",
) -> None:
    """Train the liver segmenter: nnU-Net's plan, network and augmentation in a loop that suits a CPU too."""
    with _faults_in_one_line(), _log_shown():
        from pipeline.training import segmenter

        segmenter.train_segmenter(
            data, out, folds=folds, fold=fold, steps=steps, device=device, planner=planner, resume=resume, seed=seed,
            trained_on=trained_on, licence=licence,
        )  # fmt: skip


@app.command()
def convert_segmenter(
    result: Annotated[
        Path, typer.Argument(help="Result folder of an nnU-Net v2 training, with plans.json and fold_*.")
    ],
    out: Out,
    trained_on: Annotated[str, typer.Option(help="Shown beside every result.")],
    licence: Annotated[str, typer.Option(help="Of the weights, from their data.")] = "unknown",
    orientation: Annotated[str, typer.Option(help="Axis code of the images it was trained on.")] = "LPS",
) -> None:
    """Turn an nnU-Net v2 model that was trained elsewhere, liver-only ones too, into a segmenter of this app."""
    with _faults_in_one_line(), _log_shown():
        from pipeline.training import segmenter_export

        segmenter_export.convert(result, out, trained_on=trained_on, licence=licence, orientation=orientation)


@app.command()
def train_classifier(
    manifest: Annotated[Path, typer.Argument(help="Cohort manifest (CSV).")],
    out: Out,
    backbone: Annotated[str, typer.Option(help="A timm name, such as resnet18, densenet121, swin_tiny.")] = "resnet18",
    mask: Annotated[
        MaskUse, typer.Option(help="How the liver mask enters; none is the unmasked baseline.")
    ] = "attention",
    folds: Annotated[int, typer.Option(help="Members of the ensemble, split by source anatomy.")] = 3,
    epochs: Annotated[int, typer.Option(help="Passes over the cohort.")] = 16,
    seed: Seed = 0,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = False,
) -> None:
    """Train the fibrosis classifier on a cohort and print what was measured out of fold."""
    with _faults_in_one_line(), _log_shown():
        from pipeline.training import classifier

        measured = classifier.train_classifier(
            manifest, out, backbone=backbone, mask=mask, folds=folds, epochs=epochs, seed=seed, device=device,
            resume=resume,
        )  # fmt: skip
    auc, low, high = measured.auc
    print(f"Out-of-fold AUC {auc:.3f} (95 % interval {low:.3f} to {high:.3f})")


@contextlib.contextmanager
def _faults_in_one_line() -> Iterator[None]:
    """What is wrong with the input, as one line (a manifest: one a row) on standard error, and exit code 2."""
    try:
        yield
    except PipelineError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(WRONG_INPUT) from error


@contextlib.contextmanager
def _log_shown() -> Iterator[None]:
    """The rooms' log on standard error, with times."""
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True), show_path=False, show_level=False, log_time_format="%H:%M:%S")
    logger = logging.getLogger("pipeline")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _progress() -> Progress:
    """A bar on standard error, gone when it ends; nothing where nobody looks."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _answer_console() -> Console:
    """Standard output; lines are not broken where it is a file."""
    return Console() if sys.stdout.isatty() else Console(width=400)


if __name__ == "__main__":
    app(prog_name="python -m pipeline")
