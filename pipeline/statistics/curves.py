"""Points of ROC and decision curves.

Sources: Vickers & Elkin, Med Decis Making 26 (2006) 565 for net benefit; the ROC band is pointwise, of the sensitivity
at each false positive rate, by bootstrap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.statistics.bootstrap import DRAWS, LEAST_USABLE, cluster_draws
from pipeline.statistics.scores import check_scores


class Curve(NamedTuple):
    """A line with a pointwise 95 % band, (points,) each; the band is NaN where there is none."""

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray


class DecisionCurve(NamedTuple):
    """Net benefit by threshold probability, (thresholds,) each."""

    thresholds: np.ndarray
    model: np.ndarray
    all_positive: np.ndarray
    """Net benefit of calling every case positive; that of calling none is 0."""


def roc_points(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rate of every cut, from (0, 0) to (1, 1); tied cases move together."""
    check_scores(scores)
    order = np.argsort(-np.asarray(scores), kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(np.asarray(scores)[order])), len(labels) - 1)
    true, false = np.cumsum(labels[order])[last_of_tie], np.cumsum(~labels[order])[last_of_tie]
    return np.append(0.0, false / false[-1]), np.append(0.0, true / true[-1])


def roc_band(
    labels: np.ndarray, scores: np.ndarray, clusters: np.ndarray, *, seed: int, draws: int = DRAWS, points: int = 101
) -> Curve:
    """Sensitivity over the false positive rate, with a pointwise band by bootstrap over ``clusters``.

    Both classes must be present; draws without one are left out.
    """
    grid = np.linspace(0, 1, points)
    found = []
    for cases in cluster_draws(clusters, seed=seed, draws=draws):
        if 0 < labels[cases].sum() < len(cases):
            found.append(_sensitivity_at(grid, *roc_points(labels[cases], scores[cases])))
    y = _sensitivity_at(grid, *roc_points(labels, scores))
    if len(found) < LEAST_USABLE * draws:
        return Curve(grid, y, np.full(points, np.nan), np.full(points, np.nan))
    low, high = np.percentile(found, [2.5, 97.5], axis=0)
    return Curve(grid, y, low, high)


def decision_curve(
    labels: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray, *, prevalence: float | None = None
) -> DecisionCurve:
    """Net benefit: true positives less false positives, the latter weighted by the odds of the threshold, per case.

    Args:
        labels: (cases,) bool, both classes present.
        thresholds: (points,), above 0 and below 1.
        prevalence: prevalence in the target population (default: the sample's).
    """
    check_scores(probabilities)
    share = float(labels.mean()) if prevalence is None else prevalence
    called = probabilities[None] >= thresholds[:, None]  # (points, cases)
    weight = thresholds / (1 - thresholds)
    true_rate, false_rate = called[:, labels].mean(axis=1), called[:, ~labels].mean(axis=1)
    model = share * true_rate - (1 - share) * false_rate * weight
    return DecisionCurve(thresholds, model, share - (1 - share) * weight)


def _sensitivity_at(grid: np.ndarray, false_rate: np.ndarray, true_rate: np.ndarray) -> np.ndarray:
    """The curve's height at each false positive rate: the upper end of a vertical stretch, else interpolated."""
    places = np.searchsorted(false_rate, grid, side="right")
    left, right = places - 1, np.minimum(places, len(false_rate) - 1)
    span = false_rate[right] - false_rate[left]
    share = np.divide(grid - false_rate[left], span, out=np.zeros_like(grid), where=span > 0)
    return true_rate[left] + share * (true_rate[right] - true_rate[left])
