"""Tables of an evaluation: one row per case, and one row per case and model; written, and loaded from old files too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.files import write_text
from pipeline.cohort.manifest import read_table
from pipeline.errors import ManifestError, ScoreError
from pipeline.statistics.overlap import MEASURES

CASE_COLUMNS = ("patient_id", "source_anatomy", "site", "sex", "label_source", "metavir", "split", "segmentation_score")
"""Columns of the manifest that ``cases.csv`` repeats."""
CASES, PREDICTIONS = "cases.csv", "predictions.csv"
UNREADABLE = "The tables of this evaluation cannot be read; evaluate again into another folder."
OLD_COLUMNS = {"probability": "probability", "advanced": "advanced", "predicted_by": "read_by", "problem": "problem"}
"""Columns of version 0.1.0, where ``cases.csv`` held ``probability:NAME`` and the others for each model."""


@dataclass(frozen=True)
class Prediction:
    """Prediction of one case by one model; without a probability where ``problem`` is given."""

    patient_id: str
    model: str
    """Name that tables use."""
    probability: float = math.nan
    advanced: bool | None = None
    """Whether the probability is at or above the model's threshold."""
    predicted_by: str = ""
    """``ensemble``, or the members that had not seen the case."""
    problem: str = ""
    """Why there is no probability."""

    def __post_init__(self) -> None:
        if not self.problem and not math.isfinite(self.probability):
            raise ScoreError(f"{self.model} gave a probability that is not a finite number.")


@dataclass(frozen=True)
class ModelPredictions:
    """Predictions of one model for the cases that have one, (cases,) each."""

    labels: np.ndarray
    """bool: advanced fibrosis by the reference standard."""
    probabilities: np.ndarray
    called: np.ndarray
    """bool: the probability is at or above the threshold."""
    anatomies: np.ndarray
    """Names; cases that share one are related."""

    @property
    def clusters(self) -> np.ndarray | None:
        """The anatomies, if at least one has several cases."""
        return self.anatomies if len(set(self.anatomies)) < len(self.anatomies) else None

    @property
    def both_classes(self) -> bool:
        return 0 < self.labels.sum() < len(self.labels)


@dataclass(frozen=True)
class CohortPredictions:
    """Cases of a cohort and the predictions of every model under test."""

    cases: pd.DataFrame
    """One row per case: ``CASE_COLUMNS``, ``anatomy``, ``label`` (bool) and ``MEASURES`` of the mask in use against the
    true one, NaN without one."""
    predictions: pd.DataFrame
    """One row per case and model: the fields of ``Prediction``."""

    @classmethod
    def from_records(cls, cases: Iterable[Mapping[str, Any]], predictions: Iterable[Prediction]) -> CohortPredictions:
        names = [field.name for field in fields(Prediction)]
        table = pd.DataFrame([asdict(each) for each in predictions], columns=names)
        return cls(pd.DataFrame(list(cases)), table.astype({"probability": float, "advanced": "boolean"}))

    def by_case(self, model: str) -> pd.DataFrame:
        """``cases``, in their order, with the columns of one model's predictions beside them.

        Raises:
            ScoreError: a case has neither a probability nor a problem.
        """
        own = self.predictions[self.predictions["model"] == model]
        table = self.cases.merge(own, on="patient_id", how="left", validate="one_to_one")
        if (silent := (table["probability"].isna() & table["problem"].fillna("").eq("")).sum()) > 0:
            raise ScoreError(f"{silent} cases have no probability by {model}, and no reason why.")
        return table

    def predicted(self, model: str) -> np.ndarray:
        """(cases,) bool: which cases have a probability by this model."""
        return self.by_case(model)["probability"].notna().to_numpy()

    def of(self, model: str) -> ModelPredictions:
        """Arrays of one model; cases that it could not predict, each with its ``problem``, are left out."""
        table = self.by_case(model)
        table = table[table["probability"].notna()]
        return ModelPredictions(
            table["label"].to_numpy(bool),
            table["probability"].to_numpy(float),
            table["advanced"].to_numpy(bool),
            table["anatomy"].to_numpy(str),
        )

    def subset(self, chosen: np.ndarray) -> CohortPredictions:
        """The cases where ``chosen``, (cases,) bool, is true."""
        return CohortPredictions(self.cases[chosen], self.predictions)

    def write(self, folder: Path) -> None:
        """Write ``cases.csv`` and ``predictions.csv``, numbers with six decimals."""
        write_text(folder / CASES, self.cases.drop(columns="anatomy").round(6).to_csv(index=False))
        write_text(folder / PREDICTIONS, self.predictions.round(6).to_csv(index=False))

    @classmethod
    def read(cls, folder: Path) -> CohortPredictions:
        """Load what ``write`` wrote, or the one wide table that version 0.1.0 wrote.

        Raises:
            ManifestError: a table is missing, damaged or lacks a column.
        """
        table = read_table(folder / CASES, UNREADABLE)
        columns = [str(column) for column in table]
        names = [column.partition(":")[2] for column in columns if column.startswith("probability:")]
        predictions = _from_wide(table, names) if names else read_table(folder / PREDICTIONS, UNREADABLE)
        try:
            loaded = cls(_typed_cases(table), _typed_predictions(predictions))
        except (KeyError, ValueError) as error:
            raise ManifestError(UNREADABLE) from error
        twice = loaded.predictions.duplicated(["patient_id", "model"]).any()
        if twice or loaded.cases["patient_id"].duplicated().any():
            raise ManifestError(UNREADABLE)
        return loaded


def _from_wide(table: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """Predictions of a table with ``probability:NAME``, ``advanced:NAME``, ``read_by:NAME`` and ``problem:NAME``."""
    parts = []
    for model in models:
        wide = {new: f"{old}:{model}" for new, old in OLD_COLUMNS.items()}
        if not {"patient_id", *wide.values()} <= set(table):
            raise ManifestError(UNREADABLE)
        columns = {new: table[old] for new, old in wide.items()}
        parts.append(pd.DataFrame({"patient_id": table["patient_id"], "model": model} | columns))
    return pd.concat(parts, ignore_index=True)


def _typed_cases(table: pd.DataFrame) -> pd.DataFrame:
    cases = table[list(CASE_COLUMNS)].copy()
    cases["anatomy"] = cases["source_anatomy"].where(cases["source_anatomy"] != "", cases["patient_id"])
    cases["label"] = _booleans(table["label"]).astype(bool)
    for name in MEASURES:
        cases[name] = table[name].replace("", "nan").astype(float)
    return cases


def _typed_predictions(table: pd.DataFrame) -> pd.DataFrame:
    predictions = table[[field.name for field in fields(Prediction)]].copy()
    predictions["probability"] = predictions["probability"].replace("", "nan").astype(float)
    predictions["advanced"] = _booleans(predictions["advanced"])
    return predictions


def _booleans(texts: pd.Series) -> pd.Series:
    """``True``, ``False`` or an empty cell.

    Raises:
        ValueError: any other text.
    """
    values = {"True": True, "False": False, "": None}
    if not set(texts) <= set(values):
        raise ValueError("not a truth value")
    return pd.Series([values[text] for text in texts], index=texts.index, dtype="boolean")
