"""``analyze``: one MRI in, masks, heat map and report out."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from pipeline import RESEARCH_USE
from pipeline.commands.shared import OUT, Device, Exact, answer_console, faults_in_one_line, progress_bar
from pipeline.errors import InputError, SeriesError
from pipeline.owned_folder import owned_folder

if TYPE_CHECKING:
    from pipeline.analysis import Models
    from pipeline.case import Analysis, Study


def analyze(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help=".nii, .nii.gz, DICOM .zip, DICOM file or folder.")],
    out: Annotated[Path | None, OUT] = None,
    series: Annotated[str | None, typer.Option(help="Number or key of the series, from --list.")] = None,
    device: Device = "auto",
    segmenter: Annotated[str, typer.Option(help="Name or folder; liver_t2/fold1 for one member.")] = "liver_t2",
    classifier: Annotated[str, typer.Option(help="Name or folder; fibrosis_t2/fold1 for one member.")] = "fibrosis_t2",
    exact: Exact = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print analysis.json and nothing else.")] = False,
    any_input: Annotated[
        bool,
        typer.Option(
            "--any-input",
            envvar="FIBROREVIEW_ANY_INPUT",
            help="For research: classify what is no axial T2 of the liver as well, marked unreliable.",
        ),
    ] = False,
    only_list: Annotated[bool, typer.Option("--list", help="List the series of INPUT and stop.")] = False,
) -> None:
    """Segment the liver of one MRI, estimate fibrosis, and write masks, heat map and report."""
    if out is None and not as_json and not only_list:
        raise typer.BadParameter("name a folder for the results with -o.")
    with faults_in_one_line(), owned_folder() as folder:
        if only_list:
            study = _open(source, folder)
            _print_series(study)
            return
        with progress_bar() as progress:
            load = partial(_load, segmenter, classifier, device, exact)
            analysis = _run(source, folder, series, load, progress, any_input=any_input)
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


def _choose(study: Study, wanted: str | None) -> str:
    """Key of the series to analyse: the one named by number or key, else the likeliest axial T2."""
    from pipeline.intake import preselected

    if wanted is None:
        return preselected(study).key
    numbered = {str(number): series for number, series in enumerate(study.series, start=1)}
    chosen = {series.key: series for series in study.series}.get(wanted) or numbered.get(wanted)
    if chosen is None:
        raise SeriesError("There is no such series; show them with --list and take a number or key from it.")
    return chosen.key


def _load(segmenter: str, classifier: str, device: str, exact: bool) -> Models:
    from pipeline.analysis import load_models

    return load_models(segmenter, classifier, device, exact=exact)


def _run(
    source: Path, folder: Path, wanted: str | None, load: Callable[[], Models], progress: Progress, *, any_input: bool
) -> Analysis:
    """Open the input, load the models, analyse, and show the steps."""
    from pipeline.intake import read_series

    task = progress.add_task("Reading the images", total=1.0)
    study = _open(source, folder)
    key = _choose(study, wanted)
    read_series(study, key)  # faults of the input show before torch is imported; the analysis reads the decoded series
    progress.update(task, description="Loading the models")
    with contextlib.redirect_stdout(io.StringIO()):  # nnU-Net prints; standard output is for our answer
        from pipeline.analysis import analyze_steps

        analysis = None
        for step in analyze_steps(study, key, load(), any_input=any_input):
            progress.update(task, completed=step.share, description=step.name)
            analysis = step.analysis
    assert analysis is not None
    return analysis


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
        spacing = " x ".join(f"{s:.2f}" for s in (*series.pixel_mm, series.slice_step_mm))
        echo = "" if series.echo_time_ms is None else f"{series.echo_time_ms:.0f}"
        table.add_row(
            str(number), series.key, series.plane, str(series.slices), spacing, echo, series.weighting, series.why
        )
    console = answer_console()
    console.print(table)
    for left_out in study.left_out:
        console.print(f"Left out: {left_out.description}: {left_out.reason}", markup=False, highlight=False)


def _print_summary(analysis: Analysis) -> None:
    organs, console = analysis.organs, answer_console()
    classifier_note = analysis.classifier.note if analysis.fibrosis else ""
    lines = [
        *_probability_lines(analysis),
        f"Liver {organs.liver_ml:.0f} mL" + ("" if organs.spleen_ml is None else f", spleen {organs.spleen_ml:.0f} mL"),
        *(f"Warning: {warning.message}" for warning in analysis.warnings),
        *(note for note in (analysis.segmenter.note, classifier_note) if note),
        RESEARCH_USE,
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False)


def _probability_lines(analysis: Analysis) -> list[str]:
    from pipeline.exports.wording import range_words, side_words, unreliable_words

    fibrosis = analysis.fibrosis
    if fibrosis is None:
        return ["No probability: this is no axial T2 of the liver; --any-input classifies it all the same."]
    unreliable = unreliable_words(analysis)
    return [
        f"Probability of {fibrosis.positive_class}: {fibrosis.probability:.2f}, {fibrosis.verdict}: "
        f"{side_words(fibrosis)} {fibrosis.threshold:.2f}" + (f". {unreliable}" if unreliable else ""),
        range_words(fibrosis),
    ]
