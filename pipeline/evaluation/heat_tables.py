"""Tables of an evaluation of heat maps: one record per case, map and scale, and their means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.files import write_json, write_text
from pipeline.evaluation.json_values import to_json
from pipeline.evaluation.sign_overlap import (
    LEAST_CHANGE,
    LEAST_CLASS,
    SIGN_CHANGE,
    SIGN_SHARE,
    TOLERANCE_MM,
    Localisation,
)
from pipeline.statistics import Estimate
from pipeline.statistics.means import mean_interval

MEASURES = tuple(field.name for field in fields(Localisation))
SIGNED = ("correlation", "auc_gain", "correlation_gain", "similarity")
"""Measures whose mean lies between -1 and 1; that of the others lies between 0 and 1."""
BY = ["model", "scale_mm", "map", "weights"]
LEGEND = (
    f"Sign: the {SIGN_SHARE:.0%} of the liver with the strongest local change of signal. Change and heat are averaged "
    "over the liver's part of a square of the scale in plane. Pointing: the hottest voxel lies within "
    f"{TOLERANCE_MM:g} mm of a sign (by chance: a random voxel of the liver does). AUC: of the heat, sign against the "
    f"rest of the liver; at {SIGN_CHANGE:.0%}: sign is a local change from there on, in livers where both sides have "
    f"{LEAST_CLASS:.0%} or more. Correlation: Spearman's, of heat and local change. Gain: AUC less that of the same "
    "network with shuffled weights; similarity: rank correlation with the map of that network. Means over cases with "
    "95 % intervals, clustered by anatomy."
)


@dataclass(frozen=True)
class MapSummary:
    """One map at one scale: means over the cases."""

    model: str
    scale_mm: float
    map: str
    """Method and stage, or the name of a reference."""
    weights: str
    """``trained``, ``shuffled``, or empty for a reference."""
    cases: int
    anatomies: int
    means: Mapping[str, Estimate]
    """By measure: those of ``Localisation`` and, of trained networks, ``auc_gain``, ``correlation_gain`` and
    ``similarity``."""

    def to_json(self) -> dict[str, Any]:
        means = {name: mean._asdict() for name, mean in self.means.items()}
        return asdict(self) | {"means": means}


@dataclass(frozen=True)
class HeatEvaluation:
    """Heat maps of several classifiers on one cohort."""

    statements: tuple[str, ...]
    """Which cases were measured."""
    cases: pd.DataFrame
    """One row per case, map and scale."""
    summary: tuple[MapSummary, ...]

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]], skipped: Iterable[str], total: int) -> HeatEvaluation:
        """Summarise.

        Args:
            records: of every case that was measured.
            skipped: the reason for each case (and model) that was not.
            total: cases of the split.
        """
        columns = [*BY, "cell_mm", "patient_id", "anatomy", "explained_by", "mean_change", *MEASURES, "similarity"]
        cases = pd.DataFrame(list(records)).reindex(columns=columns)
        statements = [
            f"{cases['patient_id'].nunique()} of {total} cases are measured, of {cases['anatomy'].nunique()} "
            f"anatomies: those whose signs change the liver's signal by {LEAST_CHANGE:.0%} or more in the mean."
        ]
        statements += [f"Not measured: {count} ({reason})." for reason, count in sorted(Counter(skipped).items())]
        return cls(tuple(statements), cases, tuple(summaries(cases)))

    def markdown(self) -> str:
        """Statements, one table per model and scale, and the legend."""
        blocks = list(self.statements)
        for model, scale in dict.fromkeys((each.model, each.scale_mm) for each in self.summary):
            blocks.append(f"## {model}, scale {scale:g} mm")
            chosen = [each for each in self.summary if (each.model, each.scale_mm) == (model, scale)]
            blocks.append("\n".join(_lines(chosen)))
        return "\n\n".join(["# Heat maps against signs", *blocks, LEGEND]) + "\n"

    def write(self, folder: Path) -> None:
        """Write ``heat.md``, ``heat.json`` and ``heat.csv``, the table of cases, numbers with six decimals."""
        write_text(folder / "heat.csv", self.cases.round(6).to_csv(index=False))
        write_text(folder / "heat.md", self.markdown())
        write_json(folder / "heat.json", to_json({"statements": self.statements, "maps": self.summary}))


def summaries(cases: pd.DataFrame) -> Iterable[MapSummary]:
    """Means of every model, scale, map and kind of weights, in the order of their first case."""
    paired = with_gains(cases)
    for by, found in paired.groupby(BY, sort=False):
        model, scale, name, weights = (str(value) for value in by)
        measures = [*MEASURES, *(("auc_gain", "correlation_gain", "similarity") if weights == "trained" else ())]
        means = {measure: _mean(found, measure) for measure in measures}
        anatomies = int(found["anatomy"].nunique())
        yield MapSummary(model, float(scale), name, weights, len(found), anatomies, means)


def with_gains(cases: pd.DataFrame) -> pd.DataFrame:
    """The table with ``auc_gain`` and ``correlation_gain``: of trained networks less those with shuffled weights."""
    keys = ["model", "scale_mm", "map", "patient_id"]
    other = cases[cases["weights"] == "shuffled"][[*keys, "auc", "correlation"]]
    both = cases.merge(other, on=keys, how="left", suffixes=("", "_shuffled"))
    gains = {f"{name}_gain": both[name] - both[f"{name}_shuffled"] for name in ("auc", "correlation")}
    return both.assign(**gains)


def _mean(cases: pd.DataFrame, measure: str) -> Estimate:
    finite = cases[np.isfinite(cases[measure].to_numpy(float))]
    within = (-1.0, 1.0) if measure in SIGNED else (0.0, 1.0)
    return mean_interval(finite[measure].to_numpy(float), finite["anatomy"].to_numpy(str), within)


def _lines(rows: Sequence[MapSummary]) -> Iterable[str]:
    head = ["map", "weights", "n", "pointing", "by chance", "AUC", f"AUC at {SIGN_CHANGE:.0%}", "correlation"]
    head += ["gain in AUC", "similarity"]
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        m = row.means
        cells = [row.map, row.weights, str(row.cases), str(m["pointing"]), f"{m['pointing_chance'].value:.3f}"]
        cells += [str(m[name]) for name in ("auc", "auc_fixed", "correlation")]
        cells += [str(m[name]) if name in m else "" for name in ("auc_gain", "similarity")]
        yield "| " + " | ".join(cells) + " |"
