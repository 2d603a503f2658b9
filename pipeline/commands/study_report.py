"""``study report``, ``study power`` and ``study export-masks``: what is done with a reader study's rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.shared import OUT, faults_in_one_line
from pipeline.errors import StudyError

Study = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the study.")]
Interim = Annotated[
    bool, typer.Option("--interim", help="Analyse a study that is not closed; this opens the reference standard.")
]


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
        target = out or study / "report"
        write_report(analysis, target)
    for line in filter(None, (state_words(readings), *findings(analysis))):
        typer.echo(line)
    typer.echo(f"{target / 'report.html'}")
