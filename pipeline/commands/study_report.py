"""``study report``, ``study power`` and ``study export-masks``: what is done with a reader study's rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.shared import OUT, answer_console, faults_in_one_line
from pipeline.errors import ReadingsError, StudyError

if TYPE_CHECKING:
    from pipeline.reader_study.planning import PilotStudy, PlanRow

Study = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the study.")]
Interim = Annotated[
    bool, typer.Option("--interim", help="Analyse a study that is not closed; this opens the reference standard.")
]
Numbers = Annotated[str, typer.Option(help="Numbers to plan with, separated by commas.")]


def report(study: Study, out: Annotated[Path | None, OUT] = None, interim: Interim = False) -> None:
    """Analyse a closed reader study: report.html, report.pdf, results.json, tables in CSV (default: DIR/report)."""
    with faults_in_one_line():
        from pipeline.reader_study.analysis.study import analyse_study
        from pipeline.reader_study.readings import is_closed, open_study
        from pipeline.reader_study.report.files import write_report
        from pipeline.reader_study.report.sentences import findings, state_words
        from pipeline.reader_study.study_folder import StudyFolder

        folder = StudyFolder(study)
        folder.read_protocol()
        if not interim and not is_closed(folder):
            raise StudyError(
                "The study is not closed, and a report opens its reference standard; close it, or add --interim."
            )
        readings = open_study(folder)
        analysis = analyse_study(readings)
        write_report(analysis, out or study / "report")
    for line in filter(None, (state_words(readings), *findings(analysis))):
        typer.echo(line)
    typer.echo("Written: report.html, report.pdf, results.json and tables in CSV.")


def power(
    pilot: Annotated[Path, typer.Argument(metavar="PILOT.json", help="JSON of `mrmc`, or results.json of a report.")],
    difference: Annotated[float, typer.Option(help="Difference of the arms that is to be found.")],
    readers: Numbers = "4,6,8,10,12",
    cases: Numbers = "60,100,150,200,300",
    wanted: Annotated[float, typer.Option("--power", help="Power that is wanted.")] = 0.8,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="CSV file to write.")] = None,
) -> None:
    """Plan readers and cases from a pilot study: power of the test over other readers and other cases."""
    with faults_in_one_line():
        from pipeline.reader_study.planning import plan, read_pilot

        reader_counts, case_counts = whole_numbers(readers), whole_numbers(cases)
        found = read_pilot(pilot)
        rows = plan(found.pilot, difference, reader_counts, case_counts, wanted)
        if output is not None:
            write_plan(output, rows, case_counts, wanted)
    print_plan(found, rows, case_counts, difference, wanted)


def whole_numbers(text: str) -> list[int]:
    """``4,6`` as numbers in their order.

    Raises:
        ReadingsError: something else stands there.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ReadingsError("Give readers and cases as whole numbers separated by commas, such as 4,6,8.")
    return sorted({int(part) for part in parts})


def print_plan(
    pilot: PilotStudy, rows: Sequence[PlanRow], cases: Sequence[int], difference: float, wanted: float
) -> None:
    """Print what the pilot was and the table."""
    from rich.table import Table

    from pipeline.exports.mrmc_wording import FIGURE_WORDS

    console = answer_console()
    console.print(
        f"Pilot: {pilot.readers} readers, {pilot.positives} cases with and {pilot.negatives} without the condition. "
        f"Planned with the same share. Difference in {FIGURE_WORDS[pilot.fom]}: {difference:g}; test at 0.05.",
        highlight=False,
    )
    table = Table(title="\nPower, by readers and cases", title_justify="left", box=None, header_style="bold")
    for heading in ("readers", *(f"{count} cases" for count in cases), f"cases for {wanted:g}"):
        table.add_column(heading, justify="right")
    for row in rows:
        needed = "none is enough" if row.cases_needed is None else str(row.cases_needed)
        table.add_row(str(row.readers), *(f"{value:.2f}" for value in row.powers), needed)
    console.print(table)
    console.print("A pilot's variances are uncertain: take more cases than the table says.", highlight=False)


def write_plan(file: Path, rows: Sequence[PlanRow], cases: Sequence[int], wanted: float) -> None:
    """One line a number of readers."""
    import pandas as pd

    from models.files import write_text

    records = [
        {"readers": row.readers}
        | {f"power_{count}_cases": value for count, value in zip(cases, row.powers, strict=True)}
        | {f"cases_for_{wanted:g}": row.cases_needed}
        for row in rows
    ]
    write_text(file, pd.DataFrame(records).to_csv(index=False, float_format="%.4f"))


def export_masks(study: Study, out: Annotated[Path, OUT]) -> None:
    """Write the corrected masks with their images for training: nnU-Net's raw layout and a manifest."""
    with faults_in_one_line():
        from pipeline.reader_study.corrected_masks import export_masks as export
        from pipeline.reader_study.study_folder import StudyFolder

        found = export(StudyFolder(study), out)
    organs = "liver and the model's other organs" if found.other_organs else "liver"
    typer.echo(f"{len(found.cases)} corrected cases ({organs}); {found.earlier} earlier corrections replaced.")
    for reason, count in found.left_out.items():
        typer.echo(f"Left out: {count} {reason}.", err=True)
