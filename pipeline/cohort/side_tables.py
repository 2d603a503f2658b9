"""Optional files beside a manifest: truth.csv, left_out.csv and cohort.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.cohort.csv_table import read_table
from pipeline.errors import ManifestError


@dataclass(frozen=True)
class AboutCohort:
    """Content of ``cohort.json``."""

    simulated: bool = False
    """Whether the fibrosis in the images is simulated."""
    description: str = ""
    """One or more sentences for reports; empty if not given."""


def read_about(manifest: Path) -> AboutCohort:
    """Read ``cohort.json`` beside a manifest; the defaults where there is no such file.

    Raises:
        ManifestError: the file is not a JSON object.
    """
    file = manifest.with_name("cohort.json")
    if not file.is_file():
        return AboutCohort()
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ManifestError("cohort.json beside the manifest is not valid JSON.") from error
    if not isinstance(about, dict):
        raise ManifestError("cohort.json beside the manifest must hold one object.")
    return AboutCohort(bool(about.get("simulated", False)), str(about.get("description", "")))


def read_truth(manifest: Path) -> pd.DataFrame:
    """Read ``truth.csv`` beside a manifest: facts about its cases that a manifest has no column for.

    Returns:
        One row per case, indexed by ``patient_id``, all columns as strings; no rows where there is no such file.
        The column ``true_mask`` is always there: the full path of the true mask, empty if not given.

    Raises:
        ManifestError: the file is not readable, lists a case twice, or lists a mask that does not exist.
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
    """Read ``left_out.csv`` beside a manifest: cases without a mask, which the manifest therefore lacks.

    Returns:
        ``patient_id`` and ``reason``; no rows where there is no such file.

    Raises:
        ManifestError: the file is not readable or has no reasons.
    """
    file = manifest.with_name("left_out.csv")
    if not file.is_file():
        return pd.DataFrame(columns=["patient_id", "reason"], dtype=str)
    table = read_table(file, "left_out.csv beside the manifest cannot be read as a CSV file.")
    if "reason" not in table:
        raise ManifestError("left_out.csv beside the manifest has no column reason.")
    return table
