"""The figures of an evaluation, computed from a table of answers: no images and no networks here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from pipeline.statistics import Estimate, calibration
from pipeline.statistics.auc import auc_interval, compare_aucs
from pipeline.statistics.bootstrap import bootstrap_interval
from pipeline.statistics.means import mean_interval
from pipeline.statistics.overlap import MEASURES
from pipeline.statistics.proportions import operating_point

STRATA = {"segmentation_score": "Segmentation score", "site": "Site", "sex": "Sex"}
POSSIBLE = {"dice": (0.0, 1.0), "iou": (0.0, 1.0), "volume_error_percent": (-100.0, math.inf)}
"""What the mean of a segmentation measure can be; a distance cannot be negative."""
BOOTSTRAPPED: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "brier": calibration.brier,
    "calibration_slope": calibration.slope,
    "calibration_intercept": calibration.intercept,
    "ece": calibration.expected_calibration_error,
}
DRAWS = 1000
"""Bootstraps of calibration; the ends of an interval are then steady to about a twentieth of its width."""


@dataclass(frozen=True)
class Answers:
    """What one model said of the cases that it could read, (cases,) each."""

    labels: np.ndarray
    probabilities: np.ndarray
    called: np.ndarray
    anatomies: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame, model: str) -> Answers:
        """From a table of ``read_cases``; rows without a probability are left out."""
        part = table[table[f"probability:{model}"].notna()]
        return cls(
            part["label"].to_numpy(bool),
            part[f"probability:{model}"].to_numpy(float),
            part[f"advanced:{model}"].to_numpy(bool),
            part["anatomy"].to_numpy(str),
        )

    @property
    def clusters(self) -> np.ndarray | None:
        """The anatomies, where some have several cases."""
        return self.anatomies if len(set(self.anatomies)) < len(self.anatomies) else None

    @property
    def both_classes(self) -> bool:
        return 0 < self.labels.sum() < len(self.labels)


@dataclass(frozen=True)
class Measure:
    """One figure, how its interval was found, and what stands behind it."""

    estimate: Estimate
    method: str
    cases: int
    positives: int
    anatomies: int

    def to_json(self) -> dict[str, Any]:
        """``value``, ``low`` and ``high`` are null where they are not estimable."""
        ends = {name: finite(value) for name, value in self.estimate._asdict().items()}
        rest = asdict(self)
        del rest["estimate"]
        return ends | rest


def measures(answers: Answers, *, prevalence: float, seed: int) -> dict[str, Measure]:
    """Discrimination, the operating point and calibration of one model.

    Args:
        prevalence: for predictive values; NaN gives none.
        seed: of the bootstrap.
    """
    found = discrimination(answers, prevalence=prevalence)
    clusters = np.arange(len(answers.labels)) if answers.clusters is None else answers.clusters
    over = "cases" if answers.clusters is None else "anatomies"
    for name, statistic in BOOTSTRAPPED.items():

        def of_cases(cases: np.ndarray, statistic: Callable[..., float] = statistic) -> float:
            return statistic(answers.labels[cases], answers.probabilities[cases])

        estimate = (
            bootstrap_interval(of_cases, clusters, seed=seed, draws=DRAWS)
            if len(clusters)
            else Estimate(*[math.nan] * 3)
        )
        found[name] = _measure(answers, slice(None), estimate, f"bootstrap over {over}, {DRAWS} draws")
    return found


def discrimination(answers: Answers, *, prevalence: float) -> dict[str, Measure]:
    """AUC and the figures at the operating point."""
    labels, clusters = answers.labels, answers.clusters
    area, method = auc_interval(labels, answers.probabilities, clusters)
    point = operating_point(labels, answers.called, prevalence=prevalence, clusters=clusters)
    wilson = "Wilson" if clusters is None else "Wilson at the effective number of cases (Rao and Scott)"
    logit = f"by Bayes at a prevalence of {prevalence:.3g}, logit interval (Mercaldo)"
    everything = slice(None)
    return {
        "auc": _measure(answers, everything, area, method),
        "sensitivity": _measure(answers, labels, point.sensitivity, wilson),
        "specificity": _measure(answers, ~labels, point.specificity, wilson),
        "accuracy": _measure(answers, everything, point.accuracy, wilson),
        "ppv": _measure(answers, everything, point.ppv, logit),
        "npv": _measure(answers, everything, point.npv, logit),
    }


def strata(table: pd.DataFrame, model: str) -> dict[str, dict[str, dict[str, Measure]]]:
    """AUC, sensitivity, specificity and accuracy by segmentation score, site and sex, where the cohort gives them."""
    found: dict[str, dict[str, dict[str, Measure]]] = {}
    for column in STRATA:
        given = table[table[column] != ""]
        if given.empty:
            continue
        found[column] = {}
        for value, part in given.groupby(column):
            figures = discrimination(Answers.of(part, model), prevalence=math.nan)
            found[column][str(value)] = {name: m for name, m in figures.items() if name not in ("ppv", "npv")}
    return found


def comparisons(table: pd.DataFrame, models: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every two models, on the cases that both of them read."""
    for first, second in combinations(models, 2):
        both = table[table[f"probability:{first}"].notna() & table[f"probability:{second}"].notna()]
        a, b = Answers.of(both, first), Answers.of(both, second)
        found = compare_aucs(a.labels, a.probabilities, b.probabilities, a.clusters)
        measure = _measure(
            a, slice(None), found.difference, "paired DeLong" + ("" if a.clusters is None else ", clustered")
        )
        yield {"first": first, "second": second, "difference": measure, "z": found.z, "p": found.p}


def segmentation(table: pd.DataFrame) -> dict[str, dict[str, float]] | None:
    """Mean with its interval, clustered by anatomy, standard deviation, median and extremes over the cases with a true
    mask; None without any.

    Distances are infinite where a mask is empty; such cases count in ``not_found`` and not in the distances.
    """
    known = table[table["dice"].notna()]
    if known.empty:
        return None
    found: dict[str, dict[str, float]] = {}
    for name in MEASURES:
        finite_rows = known[np.isfinite(known[name].to_numpy(float))]
        values, anatomies = finite_rows[name].to_numpy(float), finite_rows["anatomy"].to_numpy(str)
        if len(values):
            mean, low, high = mean_interval(values, anatomies, POSSIBLE.get(name, (0.0, math.inf)))
            found[name] = {
                "cases": len(values),
                "anatomies": len(set(anatomies)),
                "mean": mean,
                "low": low,
                "high": high,
                "sd": float(values.std(ddof=1)) if len(values) > 1 else math.nan,
                "median": float(np.median(values)),
                "lowest": float(values.min()),
                "highest": float(values.max()),
            }
        else:
            found[name] = {"cases": 0}
    found["dice"]["not_found"] = int(np.isinf(known["hd95_mm"].to_numpy(float)).sum())
    return found


def to_json(value: Any) -> Any:
    """Figures as JSON types: a measure as an object, a number that is not estimable as null."""
    if isinstance(value, Measure):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return finite(value) if isinstance(value, float) else value


def finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _measure(answers: Answers, which: np.ndarray | slice, estimate: Estimate, method: str) -> Measure:
    labels = answers.labels[which]
    return Measure(estimate, method, len(labels), int(labels.sum()), len(set(answers.anatomies[which])))
