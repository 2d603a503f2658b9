"""Cohort manifests: one CSV row per case, read and checked before anything expensive starts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.errors import ManifestError

COLUMNS = (
    "patient_id",
    "image",
    "mask",
    "site",
    "sex",
    "age",
    "aetiology",
    "lsm_kpa",
    "lsm_method",
    "lsm_iqr_median",
    "metavir",
    "days_to_reference",
    "label_source",
    "split",
    "segmentation_score",
    "source_anatomy",
)

LSM_CUT_KPA = 12.0
"""Transient elastography; above it a case counts as advanced fibrosis."""

TRANSIENT_ELASTOGRAPHY = ("TE", "VCTE")
"""MR elastography and shear-wave values in kPa are on other scales and are refused as labels."""

METAVIR = ("F0", "F1", "F2", "F3", "F4")

POSITIVE_CLASS = {
    frozenset({"lsm"}): "LSM > 12 kPa",
    frozenset({"histology"}): "METAVIR >= F3",
    frozenset({"lsm", "histology"}): "METAVIR >= F3 or, without histology, LSM > 12 kPa",
}


@dataclass(frozen=True)
class Cohort:
    """A manifest whose rows were checked."""

    rows: pd.DataFrame
    """``COLUMNS`` as strings, empty where nothing is given, with ``image`` and ``mask`` as full paths; and ``label``
    (bool): advanced fibrosis."""
    simulated: bool
    description: str
    """What the cohort is, in words; empty where nobody said."""

    @property
    def positive_class(self) -> str:
        return POSITIVE_CLASS[frozenset(self.rows.label_source) - {"healthy"}]


def read_manifest(path: Path, *, need: Collection[str] = ("patient_id", "image", "mask")) -> Cohort:
    """Read and check a labelled cohort.

    Paths in the file are relative to it. ``cohort.json`` beside it, as a simulation writes it, says whether the cohort
    is simulated and what it is.

    Args:
        need: columns that must be filled in every row.

    Raises:
        ManifestError: with one line for each wrong row.
    """
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ManifestError("The manifest cannot be read: give a CSV file with a header line.") from error
    missing = [column for column in (*need, "label_source") if column not in rows]
    if missing:
        raise ManifestError(f"The manifest lacks the column(s) {', '.join(missing)}.")
    rows = rows.reindex(columns=list(COLUMNS), fill_value="").apply(lambda column: column.str.strip())
    for column in ("image", "mask"):
        rows[column] = [str(path.parent / cell) if cell else "" for cell in rows[column]]
    faults = [fault for index, row in enumerate(rows.to_dict("records")) for fault in row_faults(index, row, need)]
    faults += duplicates(rows)
    if faults:
        raise ManifestError("\n".join(faults))
    if rows.empty:
        raise ManifestError("The manifest has no rows.")
    rows["label"] = [is_advanced(row) for row in rows.to_dict("records")]
    about = about_cohort(path.with_name("cohort.json"))
    return Cohort(rows, bool(about.get("simulated", False)), str(about.get("description", "")))


def is_advanced(row: dict[str, str]) -> bool:
    """METAVIR >= F3 where the label comes from histology, else LSM > 12 kPa; healthy subjects are negative."""
    if row["label_source"] == "histology":
        return METAVIR.index(row["metavir"]) >= 3
    return row["label_source"] == "lsm" and float(row["lsm_kpa"]) > LSM_CUT_KPA


def row_faults(index: int, row: dict[str, str], need: Collection[str]) -> Iterator[str]:
    """What is wrong with one row: a line each, counted as a spreadsheet does (the header is line 1)."""
    line = f"Line {index + 2}"
    for column in need:
        if not row[column]:
            yield f"{line}: {column} is empty."
    for column in ("image", "mask"):
        if row[column] and not Path(row[column]).is_file():
            yield f"{line}: the {column} file does not exist."
    source = row["label_source"]
    if source not in ("histology", "lsm", "healthy"):
        yield f"{line}: label_source must be histology, lsm or healthy."
    if source == "histology" and row["metavir"] not in METAVIR:
        yield f"{line}: metavir must be one of F0 to F4 where label_source is histology."
    if source == "lsm" and not is_positive_number(row["lsm_kpa"]):
        yield f"{line}: lsm_kpa must be a number above 0 where label_source is lsm."
    if source == "lsm" and row["lsm_method"].upper() not in TRANSIENT_ELASTOGRAPHY:
        yield f"{line}: lsm_method must be TE; kPa of other methods are on other scales."
    if row["split"] == "test" and source != "histology":
        yield f"{line}: a test split takes histology only."


def duplicates(rows: pd.DataFrame) -> list[str]:
    again = rows.patient_id.duplicated() & (rows.patient_id != "")
    return [f"Line {index + 2}: patient_id occurs twice." for index in rows.index[again]]


def is_positive_number(cell: str) -> bool:
    try:
        return 0 < float(cell) < float("inf")
    except ValueError:
        return False


def about_cohort(path: Path) -> dict[str, object]:
    """``cohort.json``, or nothing where there is none."""
    if not path.is_file():
        return {}
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ManifestError("cohort.json beside the manifest is not valid JSON.") from error
    if not isinstance(about, dict):
        raise ManifestError("cohort.json beside the manifest must hold one object.")
    return about
