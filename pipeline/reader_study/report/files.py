"""Write the report's files: ``results.json`` last, so that where it stands the others are complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from models.files import atomic_path, write_json, write_text
from pipeline.reader_study.analysis.study import StudyAnalysis
from pipeline.reader_study.report.page import html_report
from pipeline.reader_study.report.pdf import write_pdf
from pipeline.reader_study.report.records import csv_tables, results_json
from pipeline.reviews.cells import written

RESULTS = "results.json"


def write_report(analysis: StudyAnalysis, out: Path) -> None:
    """Write report.html, report.pdf, results.json and a CSV file for each table that has a row.

    Raises:
        OSError: the folder cannot be written.
    """
    (out / RESULTS).unlink(missing_ok=True)
    for name, records in csv_tables(analysis).items():
        file = out / f"{name}.csv"
        file.unlink(missing_ok=True)
        if records:
            write_text(file, pd.DataFrame(map(_safe, records)).to_csv(index=False, float_format="%.8g"))
    write_text(out / "report.html", html_report(analysis))
    with atomic_path(out / "report.pdf") as file:
        write_pdf(analysis, file)
    write_json(out / RESULTS, results_json(analysis))


def _safe(record: dict[str, Any]) -> dict[str, Any]:
    """Text without formulas that a spreadsheet would run."""
    return {name: written(name, value) if isinstance(value, str) else value for name, value in record.items()}
