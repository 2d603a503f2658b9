"""Cohort manifests: one CSV row per case, read and checked before anything expensive starts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import ManifestError
from pipeline.thresholds import ADVANCED_LSM_ABOVE_KPA, ADVANCED_METAVIR_FROM

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

TRANSIENT_ELASTOGRAPHY = ("TE", "VCTE")

SPLIT_NAMES = ("", "train", "valid", "test")

METAVIR = ("F0", "F1", "F2", "F3", "F4")

PLAUSIBLE = {
    "lsm_kpa": (1.5, 75.0),
    "lsm_iqr_median": (0.0, 2.0),
    "age": (0.0, 120.0),
    "days_to_reference": (-3650.0, 3650.0),
    "segmentation_score": (1.0, 3.0),
}
"""Ranges of numbers, where they are given. Transient elastography measures from 1.5 to 75 kPa."""


@dataclass(frozen=True)
class CutOffs:
    """Where advanced fibrosis begins: liver stiffness above ``lsm_kpa``, or METAVIR stage ``metavir`` or later."""

    lsm_kpa: float = ADVANCED_LSM_ABOVE_KPA
    metavir: str = ADVANCED_METAVIR_FROM

    def __post_init__(self) -> None:
        low, high = PLAUSIBLE["lsm_kpa"]
        if not low < self.lsm_kpa < high:
            raise ManifestError(f"The LSM cut-off must lie between {low:g} and {high:g} kPa (transient elastography).")
        if self.metavir not in METAVIR[1:]:
            raise ManifestError("The METAVIR cut-off must be F1, F2, F3 or F4.")

    def is_advanced(self, row: Mapping[Any, str]) -> bool:
        """By METAVIR where the label comes from histology, else by stiffness; healthy subjects are negative."""
        if row["label_source"] == "histology":
            return row["metavir"] >= self.metavir
        return row["label_source"] == "lsm" and float(row["lsm_kpa"]) > self.lsm_kpa

    def in_words(self, sources: Collection[str]) -> str:
        """The positive class of a cohort whose labels come from ``sources`` (``label_source`` values)."""
        lsm, metavir = f"LSM > {self.lsm_kpa:g} kPa", f"METAVIR >= {self.metavir}"
        if "histology" not in sources:
            return lsm
        return f"{metavir} or, without histology, {lsm}" if "lsm" in sources else metavir


DEFAULT_CUT_OFFS = CutOffs()


@dataclass(frozen=True)
class Cohort:
    """A manifest whose rows were checked."""

    rows: pd.DataFrame
    """``COLUMNS`` as strings, empty where nothing is given, with ``image`` and ``mask`` as full paths and ``split`` in
    small letters; ``label`` (bool): advanced fibrosis; and ``anatomy``: ``source_anatomy``, else ``patient_id``."""
    simulated: bool
    description: str
    """What the cohort is, in words; empty where nobody said."""
    cut_offs: CutOffs

    @property
    def anatomy_of(self) -> dict[str, str]:
        """Anatomy by ``patient_id``: cases that share one are related."""
        return dict(zip(self.rows["patient_id"], self.rows["anatomy"], strict=True))

    @property
    def positive_class(self) -> str:
        return self.cut_offs.in_words(set(self.rows.label_source))


def read_manifest(
    path: Path,
    *,
    need: Collection[str] = ("patient_id", "image", "mask", "label_source"),
    cut_offs: CutOffs = DEFAULT_CUT_OFFS,
    absent: Collection[str] = (),
) -> Cohort:
    """Read and check a cohort.

    Paths in the file are relative to it. ``cohort.json`` beside it, as a simulation writes it, says whether the cohort
    is simulated and what it is.

    Args:
        need: columns that must be filled in every row; without ``label_source`` a row may have no label, and counts as
            not advanced.
        cut_offs: what counts as advanced fibrosis.
        absent: splits whose files may lie elsewhere.

    Raises:
        ManifestError: with one line for each wrong row.
    """
    rows = read_table(path, "The manifest cannot be read: give a CSV file with a header line.")
    missing = [column for column in need if column not in rows]
    if missing:
        raise ManifestError(f"The manifest lacks the column(s) {', '.join(missing)}.")
    rows = rows.reindex(columns=list(COLUMNS), fill_value="")
    rows["split"] = rows["split"].str.lower()
    for column in ("image", "mask"):
        rows[column] = [str(path.parent / cell) if cell else "" for cell in rows[column]]
    faults: list[str] = []
    for index, row in enumerate(rows.to_dict("records")):
        faults += row_faults(index, row, need)
        if row["split"] not in absent:
            faults += file_faults(index, row)
    faults += duplicates(rows)
    if faults:
        raise ManifestError("\n".join(faults))
    if rows.empty:
        raise ManifestError("The manifest has no rows.")
    rows["anatomy"] = rows["source_anatomy"].where(rows["source_anatomy"] != "", rows["patient_id"])
    rows["label"] = [cut_offs.is_advanced(row) for row in rows.to_dict("records")]
    about = about_cohort(path.with_name("cohort.json"))
    return Cohort(rows, bool(about.get("simulated", False)), str(about.get("description", "")), cut_offs)


def read_table(file: Path, fault: str) -> pd.DataFrame:
    """All columns of a CSV file as strings without blanks around them; an empty cell is an empty string.

    Raises:
        ManifestError: ``fault``, where it cannot be read.
    """
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ManifestError("There is no such manifest or table; check the path.") from error
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ManifestError(fault) from error
    return table.apply(lambda column: column.str.strip())


def read_truth(manifest: Path) -> pd.DataFrame:
    """``truth.csv`` beside a manifest, by ``patient_id``: what is known and the manifest does not tell.

    Always has the column ``true_mask``: full paths, empty where none is named. No rows without the file.

    Raises:
        ManifestError: it cannot be read, names a case twice, or names a mask that does not exist.
    """
    file = manifest.with_name("truth.csv")
    if not file.is_file():
        return pd.DataFrame(columns=["true_mask"], dtype=str)
    table = read_table(file, "truth.csv beside the manifest cannot be read as a CSV file.")
    if "patient_id" not in table or table["patient_id"].duplicated().any():
        raise ManifestError("truth.csv beside the manifest must name each case once, in a column patient_id.")
    masks = table["true_mask"] if "true_mask" in table else [""] * len(table)
    table["true_mask"] = [str(file.parent / mask) if mask else "" for mask in masks]
    if not all(Path(mask).is_file() for mask in table["true_mask"] if mask):
        raise ManifestError("truth.csv beside the manifest names a true_mask that does not exist.")
    return table.set_index("patient_id")


def read_left_out(manifest: Path) -> pd.DataFrame:
    """``left_out.csv`` beside a manifest: ``patient_id`` and ``reason``, no rows without the file.

    Raises:
        ManifestError: it cannot be read.
    """
    file = manifest.with_name("left_out.csv")
    if not file.is_file():
        return pd.DataFrame(columns=["patient_id", "reason"], dtype=str)
    table = read_table(file, "left_out.csv beside the manifest cannot be read as a CSV file.")
    if "reason" not in table:
        raise ManifestError("left_out.csv beside the manifest has no column reason.")
    return table


def line_of(index: int) -> str:
    """``Line 2`` for the first row, as a spreadsheet counts: the header is line 1."""
    return f"Line {index + 2}"


def row_faults(index: int, row: Mapping[Any, str], need: Collection[str]) -> Iterator[str]:
    """What is wrong with one row: a line each, counted as a spreadsheet does (the header is line 1)."""
    line = line_of(index)
    for column in need:
        if not row[column]:
            more = "; a row without a label is for the segmenter's commands only" if column == "label_source" else ""
            yield f"{line}: {column} is empty{more}."
    source = row["label_source"]
    if source not in ("", "histology", "lsm", "healthy"):
        yield f"{line}: label_source must be histology, lsm or healthy."
    if row["metavir"] not in METAVIR and (row["metavir"] or source == "histology"):
        yield f"{line}: metavir must be one of F0 to F4, and given where label_source is histology."
    elif row["metavir"] and source in ("lsm", "healthy"):
        yield f"{line}: metavir is given, so label_source must be histology; or leave metavir empty."
    if row["split"] not in SPLIT_NAMES:
        yield f"{line}: split must be train, valid or test, or empty."
    if row["split"] == "test" and source not in ("histology", ""):
        yield f"{line}: a test split takes histology only."
    yield from number_faults(line, row)


def file_faults(index: int, row: Mapping[Any, str]) -> Iterator[str]:
    for column in ("image", "mask"):
        if row[column] and not Path(row[column]).is_file():
            yield f"{line_of(index)}: the {column} file does not exist; paths are relative to the manifest."


def number_faults(line: str, row: Mapping[Any, str]) -> Iterator[str]:
    """Stiffness by another method than transient elastography, and numbers that cannot be."""
    method = row["lsm_method"].upper()
    if row["label_source"] == "lsm" and not row["lsm_kpa"]:
        yield f"{line}: lsm_kpa is empty, but label_source is lsm."
    elif row["lsm_kpa"] and method not in TRANSIENT_ELASTOGRAPHY:
        yield (
            f"{line}: lsm_method must be TE or VCTE; kPa by MR elastography (MRE), shear wave elastography (SWE, ARFI) "
            "or an unnamed method are on other scales."
        )
    for column, (low, high) in PLAUSIBLE.items():
        if row[column] and not is_within(row[column], low, high):
            yield f"{line}: {column} must be a number from {low:g} to {high:g}."


def duplicates(rows: pd.DataFrame) -> list[str]:
    again = rows.patient_id.duplicated() & (rows.patient_id != "")
    return [f"{line_of(index)}: patient_id occurs twice." for index in rows.index[again]]


def is_within(cell: str, low: float, high: float) -> bool:
    try:
        return low <= float(cell) <= high
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
