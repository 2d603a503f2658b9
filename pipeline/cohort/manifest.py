"""Cohort manifests: a CSV file with one row per case, checked before anything expensive starts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.cohort.csv_table import line_of, read_table
from pipeline.cohort.cut_offs import DEFAULT_CUT_OFFS, CutOffs
from pipeline.cohort.manifest_row import COLUMNS, METAVIR, PLAUSIBLE, SPLIT_NAMES, is_within, parse_row
from pipeline.cohort.side_tables import read_about, read_left_out, read_truth
from pipeline.errors import ManifestError

__all__ = [
    "COLUMNS",
    "DEFAULT_CUT_OFFS",
    "METAVIR",
    "PLAUSIBLE",
    "SPLIT_NAMES",
    "Cohort",
    "CutOffs",
    "is_within",
    "line_of",
    "read_left_out",
    "read_manifest",
    "read_table",
    "read_truth",
]


@dataclass(frozen=True)
class Cohort:
    """A manifest whose rows were checked."""

    rows: pd.DataFrame
    """``COLUMNS`` as strings, empty where nothing is given, with ``image`` and ``mask`` as full paths and ``split`` in
    lower case; ``anatomy``: ``source_anatomy``, else ``patient_id``; and ``label`` (bool): advanced fibrosis."""
    simulated: bool
    """Whether the fibrosis in the images is simulated."""
    description: str
    """Description from ``cohort.json``; empty if not given."""
    cut_offs: CutOffs
    """Limits that ``label`` was derived with."""

    @property
    def anatomy_of(self) -> dict[str, str]:
        """Anatomy by ``patient_id``; cases with the same anatomy are related."""
        return dict(zip(self.rows["patient_id"], self.rows["anatomy"], strict=True))

    @property
    def positive_class(self) -> str:
        """Description of the label ``True``, such as ``LSM > 12 kPa``."""
        return self.cut_offs.describe(set(self.rows.label_source))


def read_manifest(
    path: Path,
    *,
    need: Collection[str] = ("patient_id", "image", "mask", "label_source"),
    cut_offs: CutOffs = DEFAULT_CUT_OFFS,
    absent: Collection[str] = (),
) -> Cohort:
    """Read and check a cohort.

    Paths in the file are relative to its folder. ``cohort.json`` beside it, as a simulation writes it, says whether the
    cohort is simulated and describes it.

    Args:
        need: columns that must be filled in every row. If ``label_source`` is not among them, a row without a label
            counts as not advanced.
        cut_offs: limits of advanced fibrosis.
        absent: splits whose image and mask files are not required to exist.

    Raises:
        ManifestError: one line for each fault of a row, or one sentence about the file.
    """
    rows = read_table(path, "The manifest cannot be read: give a CSV file with a header line.")
    missing = [column for column in need if column not in rows]
    if missing:
        raise ManifestError(f"The manifest lacks the column(s) {', '.join(missing)}.")
    rows = rows.reindex(columns=list(COLUMNS), fill_value="")
    rows["split"] = rows["split"].str.lower()
    for column in ("image", "mask"):
        rows[column] = [str(path.parent / cell) if cell else "" for cell in rows[column]]
    labels = _labels(rows, need, cut_offs, absent)
    anatomies = rows["source_anatomy"].where(rows["source_anatomy"] != "", rows["patient_id"])
    rows = rows.assign(anatomy=anatomies, label=labels)
    about = read_about(path)
    return Cohort(rows, about.simulated, about.description, cut_offs)


def _labels(rows: pd.DataFrame, need: Collection[str], cut_offs: CutOffs, absent: Collection[str]) -> list[bool]:
    """Check every row and label it."""
    faults: list[str] = []
    labels: list[bool] = []
    for index, cells in enumerate(rows.to_dict("records")):
        try:
            labels.append(cut_offs.is_advanced(parse_row(cells, need)))
        except ManifestError as error:
            faults += [f"{line_of(index)}: {fault}" for fault in str(error).splitlines()]
        if cells["split"] not in absent:
            faults += [f"{line_of(index)}: {fault}" for fault in _missing_files(cells)]
    again = rows["patient_id"].duplicated() & (rows["patient_id"] != "")
    faults += [f"{line_of(index)}: patient_id occurs twice." for index in rows.index[again]]
    if faults:
        raise ManifestError("\n".join(faults))
    if rows.empty:
        raise ManifestError("The manifest has no rows.")
    return labels


def _missing_files(cells: Mapping[Any, str]) -> Iterator[str]:
    for column in ("image", "mask"):
        if cells[column] and not Path(cells[column]).is_file():
            yield f"the {column} file does not exist; paths are relative to the manifest."
