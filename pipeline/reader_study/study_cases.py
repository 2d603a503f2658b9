"""The cases of a study from a cohort manifest: pseudonym, truth, and which are for practice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.cohort.csv_table import line_of, read_table
from pipeline.cohort.manifest import read_manifest
from pipeline.errors import StudyError
from pipeline.intake import case_id

PRACTICE = "practice"
"""Optional column of the manifest: 1 or yes for a practice case."""
_YES, _NO = ("1", "yes", "true"), ("", "0", "no", "false")


@dataclass(frozen=True)
class PlannedCase:
    """A row of the manifest."""

    case_id: str
    """Pseudonym: a keyed hash of study and patient_id, so it is the same when the preparation is resumed."""
    image: Path
    truth: bool
    practice: bool
    line: str
    """``Line 7``: how a fault names the case."""


@dataclass(frozen=True)
class PlannedCases:
    """The cases in the order of the manifest."""

    cases: tuple[PlannedCase, ...]
    positive_class: str
    """What a case with truth 1 has, such as ``METAVIR >= F3``."""


def plan_cases(manifest: Path, study: str, practice: int | None = None) -> PlannedCases:
    """Read the manifest. The label is that of the manifest: METAVIR >= F3 where there is histology, else stiffness.

    Args:
        practice: number of practice cases, the first rows; None: those that the column ``practice`` names.

    Raises:
        ManifestError: as ``read_manifest``.
        StudyError: one class only, no case that counts, or a wrong cell in ``practice``.
    """
    cohort = read_manifest(manifest, need=("patient_id", "image", "label_source"))
    healthy = [line_of(place) for place, source in enumerate(cohort.rows["label_source"]) if source == "healthy"]
    if healthy:
        raise StudyError(
            f"{', '.join(healthy)}: healthy negatives are for training; a study needs a reference standard."
        )
    chosen = _practice(manifest, len(cohort.rows), practice)
    cases = tuple(
        PlannedCase(
            _pseudonym(study, str(row.patient_id)), Path(str(row.image)), bool(row.label), is_practice, line_of(place)
        )
        for place, (row, is_practice) in enumerate(zip(cohort.rows.itertuples(), chosen, strict=True))
    )
    if len({case.case_id for case in cases}) < len(cases):
        raise StudyError("Two cases have the same pseudonym; choose another name for the study with --name.")
    _refuse_one_class(cases)
    return PlannedCases(cases, cohort.positive_class)


def _pseudonym(study: str, patient_id: str) -> str:
    return f"C{case_id([study.encode(), patient_id.encode()])[:8].upper()}"


def _practice(manifest: Path, rows: int, wanted: int | None) -> list[bool]:
    if wanted is not None:
        if not 0 <= wanted < rows:
            raise StudyError(f"--practice must be a number below that of the cases, which are {rows}.")
        return [place < wanted for place in range(rows)]
    table = read_table(manifest, "The manifest cannot be read: give a CSV file with a header line.")
    cells = table[PRACTICE].str.lower() if PRACTICE in table else pd.Series([""] * rows)
    wrong = [line_of(place) for place, cell in enumerate(cells) if cell not in (*_YES, *_NO)]
    if wrong:
        raise StudyError(f"{', '.join(wrong)}: practice must be 1, 0 or empty.")
    return [cell in _YES for cell in cells]


def _refuse_one_class(cases: tuple[PlannedCase, ...]) -> None:
    truths = [case.truth for case in cases if not case.practice]
    if not truths:
        raise StudyError("Every case is for practice; a study needs others.")
    if len(set(truths)) == 1:
        raise StudyError(
            f"All {len(truths)} cases {'have' if truths[0] else 'lack'} the condition: no figure of merit can be "
            "computed from one class."
        )
