"""Measures of a classifier, computed from tables of predictions: no images and no networks here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from pipeline.evaluation.predictions import CohortPredictions, ModelPredictions
from pipeline.statistics import Estimate, calibration
from pipeline.statistics.auc import auc_interval, compare_aucs
from pipeline.statistics.bootstrap import bootstrap_interval
from pipeline.statistics.estimate import UNKNOWN
from pipeline.statistics.proportions import operating_point

STRATA = {"segmentation_score": "Segmentation score", "site": "Site", "sex": "Sex"}
BOOTSTRAPPED: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "brier": calibration.brier,
    "calibration_slope": calibration.slope,
    "calibration_intercept": calibration.intercept,
}
DRAWS = 1000
"""Bootstrap draws for Brier score, slope and intercept; the ends of an interval then vary by about a twentieth of its
width."""


@dataclass(frozen=True)
class Measure:
    """One figure, the method of its interval, and the cases that it is computed from."""

    estimate: Estimate
    method: str
    cases: int
    positives: int
    anatomies: int
    has_interval: bool = True
    """False for a figure that is given alone; its ends are NaN."""

    def to_json(self) -> dict[str, Any]:
        counts = {"cases": self.cases, "positives": self.positives, "anatomies": self.anatomies}
        return self.estimate._asdict() | {"method": self.method} | counts


Measures = Mapping[str, Measure]
"""By name, as in ``evaluation.json``."""
Strata = Mapping[str, Mapping[str, Measures]]
"""Measures by column of ``STRATA`` and by its value."""


@dataclass(frozen=True)
class ModelComparison:
    """AUCs of two models on the cases that both predicted."""

    first: str
    second: str
    difference: Measure
    """First minus second."""
    z: float
    p: float
    """Two-sided; NaN if the difference has no variance."""

    def to_json(self) -> dict[str, Any]:
        names = {"first": self.first, "second": self.second}
        return names | {"difference": self.difference, "z": self.z, "p": self.p}


def measures(predictions: ModelPredictions, *, prevalence: float, seed: int) -> dict[str, Measure]:
    """Discrimination, operating point and calibration of one model.

    Args:
        prevalence: for predictive values; NaN gives none.
        seed: of the bootstrap.
    """
    found = discrimination(predictions, prevalence=prevalence)
    clusters = np.arange(len(predictions.labels)) if predictions.clusters is None else predictions.clusters
    unit = "cases" if predictions.clusters is None else "anatomies"
    for name, statistic in BOOTSTRAPPED.items():

        def of_cases(cases: np.ndarray, statistic: Callable[..., float] = statistic) -> float:
            return statistic(predictions.labels[cases], predictions.probabilities[cases])

        estimate = bootstrap_interval(of_cases, clusters, seed=seed, draws=DRAWS) if len(clusters) else UNKNOWN
        found[name] = _measure(predictions, slice(None), estimate, f"bootstrap over {unit}, {DRAWS} draws")
    return found | _calibration_without_interval(predictions, seed)


def _calibration_without_interval(predictions: ModelPredictions, seed: int) -> dict[str, Measure]:
    """The calibration error and the p value of the test of calibration."""
    labels, probabilities, clusters = predictions.labels, predictions.probabilities, predictions.clusters
    null = "outcomes drawn with the model's own probabilities" if clusters is None else "signs drawn by anatomy"
    found = {
        "calibration_error": (
            calibration.calibration_error(labels, probabilities),
            "root mean square over bins of equal count, less its bias (Bröcker); no interval",
        ),
        "calibration_p": (
            calibration.calibration_test(labels, probabilities, clusters, seed=seed),
            f"score test of intercept 0 and slope 1, {null}",
        ),
    }
    return {name: _alone(predictions, value, method) for name, (value, method) in found.items()}


def discrimination(predictions: ModelPredictions, *, prevalence: float) -> dict[str, Measure]:
    """AUC and the figures at the operating point."""
    labels, clusters = predictions.labels, predictions.clusters
    area, method = auc_interval(labels, predictions.probabilities, clusters)
    point = operating_point(labels, predictions.called, prevalence=prevalence, clusters=clusters)
    wilson = "Wilson" if clusters is None else "Wilson at the effective number of cases (Rao and Scott)"
    logit = f"by Bayes at a prevalence of {prevalence:.3g}, logit interval (Mercaldo)"
    everything = slice(None)
    return {
        "auc": _measure(predictions, everything, area, method),
        "sensitivity": _measure(predictions, labels, point.sensitivity, wilson),
        "specificity": _measure(predictions, ~labels, point.specificity, wilson),
        "accuracy": _measure(predictions, everything, point.accuracy, wilson),
        "ppv": _measure(predictions, everything, point.ppv, logit),
        "npv": _measure(predictions, everything, point.npv, logit),
    }


def strata(predictions: CohortPredictions, model: str) -> dict[str, dict[str, dict[str, Measure]]]:
    """AUC, sensitivity, specificity and accuracy by segmentation score, site and sex, if the cohort gives them."""
    found: dict[str, dict[str, dict[str, Measure]]] = {}
    for column in STRATA:
        values = predictions.cases[column].to_numpy(str)
        given = sorted({str(value) for value in values} - {""})
        if given:
            found[column] = {value: _of_stratum(predictions.subset(values == value), model) for value in given}
    return found


def comparisons(predictions: CohortPredictions, models: Sequence[str]) -> Iterator[ModelComparison]:
    """Compare every pair of models on the cases that both predicted."""
    for first, second in combinations(models, 2):
        both = predictions.subset(predictions.predicted(first) & predictions.predicted(second))
        a, b = both.of(first), both.of(second)
        found = compare_aucs(a.labels, a.probabilities, b.probabilities, a.clusters)
        method = "paired DeLong" + ("" if a.clusters is None else ", clustered")
        yield ModelComparison(first, second, _measure(a, slice(None), found.difference, method), found.z, found.p)


def _of_stratum(predictions: CohortPredictions, model: str) -> dict[str, Measure]:
    """``discrimination`` without predictive values, which depend on a prevalence."""
    figures = discrimination(predictions.of(model), prevalence=math.nan)
    return {name: measure for name, measure in figures.items() if name not in ("ppv", "npv")}


def _measure(predictions: ModelPredictions, which: np.ndarray | slice, estimate: Estimate, method: str) -> Measure:
    labels = predictions.labels[which]
    return Measure(estimate, method, len(labels), int(labels.sum()), len(set(predictions.anatomies[which])))


def _alone(predictions: ModelPredictions, value: float, method: str) -> Measure:
    return replace(_measure(predictions, slice(None), Estimate(value, math.nan, math.nan), method), has_interval=False)
