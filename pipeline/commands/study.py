"""``study``: prepare a reader study and check it. The reading room is ``FIBROREVIEW_STUDY=DIR python app.py``."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from pipeline.commands.shared import (
    WRONG_INPUT,
    Device,
    answer_console,
    case_by_case,
    faults_in_one_line,
    progress_bar,
)

if TYPE_CHECKING:
    from pipeline.analysis import Models
    from pipeline.case import Analysis
    from pipeline.reader_study.check import Findings
    from pipeline.reader_study.prepare import Prepared, StudyModels
    from pipeline.reader_study.study_cases import PlannedCases

app = typer.Typer(help="Blinded reader studies: prepare, check, analyse.", no_args_is_help=True)
ADDRESS = typer.Option(help="Address under which readers reach the reading room; for the invitation links.")
Address = Annotated[str, ADDRESS]
HERE = "http://127.0.0.1:7860"
Dir = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the study.")]


@app.callback()
def _group() -> None:
    """Blinded reader studies."""


@app.command()
def init(
    folder: Dir,
    cases: Annotated[Path, typer.Option(help="Cohort manifest (CSV) with patient_id, image and the label.")],
    readers: Annotated[Path, typer.Option(help="CSV with the columns reader (a code), role, experience.")],
    design: Annotated[Literal["sequential", "crossover"], typer.Option(help="How the two reads of a case follow.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the orders.")],
    name: Annotated[str | None, typer.Option(help="Name of the study (default: that of DIR).")] = None,
    question: Annotated[str, typer.Option(help="What the study asks.")] = "",
    primary_end_point: Annotated[str, typer.Option(help="Fixed beforehand.")] = "",
    figure_of_merit: Annotated[
        Literal["auc", "sensitivity", "specificity"], typer.Option(help="Of the primary analysis.")
    ] = "auc",
    reference_standard: Annotated[str, typer.Option(help="How the truth was established.")] = "",
    washout_days: Annotated[
        float | None, typer.Option(min=0, help="Between the sittings of a crossover study (default: 28).")
    ] = None,
    practice: Annotated[
        int | None, typer.Option(min=0, help="First rows for practice (default: the column practice).")
    ] = None,
    segmenter: Annotated[str, typer.Option(help="Name or folder.")] = "liver_t2",
    classifier: Annotated[str, typer.Option(help="Name or folder.")] = "fibrosis_t2",
    device: Device = "auto",
    address: Address = HERE,
) -> None:
    """Analyse all cases beforehand and write the study; an interrupted run is resumed by the same command."""
    with faults_in_one_line(), progress_bar() as progress:
        from pipeline.reader_study.prepare import StudySettings, prepare
        from pipeline.reader_study.protocol import Design, FigureOfMerit
        from pipeline.reader_study.readers_file import read_readers
        from pipeline.reader_study.study_cases import plan_cases
        from pipeline.reader_study.study_folder import StudyFolder

        people = read_readers(readers)
        settings = StudySettings(
            name=_name(name, folder),
            design=Design(design),
            seed=seed,
            washout_days=_washout(design, washout_days),
            question=question,
            primary_end_point=primary_end_point,
            figure_of_merit=FigureOfMerit(figure_of_merit),
            reference_standard=reference_standard,
        )
        planned = plan_cases(cases, settings.name, practice)
        report = case_by_case(progress, "Analysing cases")
        models = _models(segmenter, classifier)
        analyse = _analyse(segmenter, classifier, device)
        prepared = prepare(StudyFolder(folder), settings, people, planned, models, analyse, report)
        found = _findings(folder)
    if people.ignored:
        typer.echo(f"{people.ignored} other columns of the readers' file were not read.")
    _print_summary(prepared, planned)
    _print_links(prepared.invitations, address)
    _print_findings(found)


@app.command()
def check(folder: Dir) -> None:
    """Find mistakes before the first reader does; exit code 2 if there is one."""
    with faults_in_one_line():
        found = _findings(folder)
    _print_findings(found)
    typer.echo("No mistakes.")


def _findings(folder: Path) -> Findings:
    from models import registry
    from pipeline.reader_study.check import check_study
    from pipeline.reader_study.study_folder import StudyFolder

    return check_study(StudyFolder(folder), lambda name, kind: registry.find(name, kind).sha256)


def _print_findings(found: Findings) -> None:
    for note in found.notes:
        typer.echo(f"Note: {note}")
    for mistake in found.mistakes:
        typer.echo(mistake, err=True)
    if found.mistakes:
        raise typer.Exit(WRONG_INPUT)


@app.command()
def invite(
    folder: Dir,
    code: Annotated[str, typer.Argument(help="Code of the reader or coordinator.")],
    address: Address = HERE,
) -> None:
    """Make a new invitation; the password that was set before is void."""
    with faults_in_one_line():
        from pipeline.reader_study.accounts import Accounts
        from pipeline.reader_study.study_folder import StudyFolder

        token = Accounts(StudyFolder(folder).accounts_file).invite(code)
    _print_links({code.strip().upper(): token}, address)


def _name(name: str | None, folder: Path) -> str:
    from pipeline.errors import StudyError

    chosen = name or folder.resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", chosen):
        raise StudyError("The study's name may hold letters, digits, hyphens and underscores; give one with --name.")
    return chosen


def _washout(design: str, given: float | None) -> float:
    from pipeline.errors import StudyError
    from pipeline.reader_study.protocol import WASHOUT_DAYS

    if design == "crossover":
        if given == 0:
            raise StudyError("A crossover study needs a washout; give --washout-days, 28 by common practice.")
        return WASHOUT_DAYS if given is None else given
    if given:
        raise StudyError("A sequential study has no washout; leave out --washout-days or choose crossover.")
    return 0.0


def _models(segmenter: str, classifier: str) -> StudyModels:
    from models import registry
    from pipeline.reader_study.prepare import StudyModels

    return StudyModels(
        registry.find(segmenter, "segmenter").model_info(), registry.find(classifier, "classifier").model_info()
    )


def _analyse(segmenter: str, classifier: str, device: str) -> Callable[[Path], Analysis]:
    """Analyse one image file; the models are loaded for the first that is not stored yet."""

    @cache
    def loaded() -> Models:
        from pipeline.analysis import load_models

        return load_models(segmenter, classifier, device)

    def analyse(image: Path) -> Analysis:
        from pipeline.intake import open_upload, preselected
        from pipeline.owned_folder import owned_folder

        with owned_folder() as copies, contextlib.redirect_stdout(io.StringIO()):  # nnU-Net prints
            study = open_upload(image, copies)
            from pipeline.analysis import analyze

            return analyze(study, preselected(study).key, loaded())

    return analyse


def _print_summary(prepared: Prepared, planned: PlannedCases) -> None:
    from pipeline.reader_study.work_list import arms_of, reads_of

    protocol, console = prepared.protocol, answer_console()
    counted = [case for case in planned.cases if not case.practice]
    positives = sum(case.truth for case in counted)
    reads = len(reads_of(protocol, protocol.readers[0].reader))
    lines = [
        f"Study {protocol.study}: {protocol.design}, {len(protocol.readers)} readers, {len(counted)} cases "
        f"({positives} with {planned.positive_class}), {len(planned.cases) - len(counted)} for practice.",
        f"Each reader does {reads} reads: "
        + (
            "every case unaided, then with the result."
            if protocol.design == "sequential"
            else f"two sittings, at least {protocol.washout_days:g} days apart."
        ),
        f"Primary: {protocol.figure_of_merit}. Reference standard: {protocol.reference_standard}.",
        f"Models: {protocol.segmenter.name}, {protocol.classifier.name}. Protocol {protocol.sha256[:12]}.",
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False)
    table = Table("reader", "first", "then", box=None, header_style="bold")
    for reader in protocol.readers:
        table.add_row(reader.reader, *arms_of(protocol, reader.reader))
    console.print(table)


def _print_links(invitations: dict[str, str], address: str) -> None:
    if not invitations:
        return
    typer.echo("Invitations, each for one use; they are shown only now:")
    for code, token in invitations.items():
        typer.echo(f"{code}  {address.rstrip('/')}/invite#{token}")
