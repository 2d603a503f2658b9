"""Sensitivity, specificity, accuracy and predictive values with intervals.

Sources: Wilson, J Am Stat Assoc 22 (1927) 209; Rao & Scott, Biometrics 48 (1992) 577 for clusters, and Korn &
Graubard, Surv Methodol 24 (1998) 193 for few of them; Mercaldo, Lau & Zhou, Stat Med 26 (2007) 2170 for predictive
values at a prevalence that is not the sample's.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from pipeline.statistics.estimate import UNKNOWN, Z95, Estimate, reach95


class OperatingPoint(NamedTuple):
    """Performance of a test at one threshold."""

    sensitivity: Estimate
    specificity: Estimate
    accuracy: Estimate
    ppv: Estimate
    npv: Estimate


def wilson(right: float, of: float) -> Estimate:
    """A proportion and its Wilson interval; NaN with the interval 0 to 1 for a count of 0. Counts may be fractions."""
    if of == 0:
        return Estimate(math.nan, 0.0, 1.0)
    p = right / of
    centre = (p + Z95**2 / (2 * of)) / (1 + Z95**2 / of)
    half = Z95 / (1 + Z95**2 / of) * math.sqrt(p * (1 - p) / of + Z95**2 / (4 * of**2))
    return Estimate(p, max(0.0, centre - half), min(1.0, centre + half))


def effective_count(right: np.ndarray, clusters: np.ndarray | None) -> float:
    """Number of independent cases with as much information on a proportion (Rao and Scott's n / design effect).

    Never more than there are, and fewer where the design effect comes from few clusters (Korn and Graubard). Where
    all are right, or all wrong, the design effect is unknown and each cluster counts as one case, which is
    conservative.

    Args:
        right: (cases,) bool.
        clusters: (cases,) as in ``bootstrap.cluster_draws``; None where the cases are independent.
    """
    n = len(right)
    if clusters is None or n == 0:
        return float(n)
    names = np.unique(clusters, return_inverse=True)[1]
    count, p = int(names.max()) + 1, float(right.mean())
    if count == 1 or p in (0.0, 1.0):
        return float(count)
    residuals = np.bincount(names, weights=right - p)
    variance = count / (count - 1) * float((residuals**2).sum()) / n**2
    independent = min(float(n), p * (1 - p) / variance) if variance > 0 else float(n)
    return independent * (Z95 / reach95(clusters)) ** 2


def proportion(right: np.ndarray, clusters: np.ndarray | None = None) -> Estimate:
    """Share of true values with a Wilson interval at the effective count; NaN without cases."""
    if not len(right):
        return UNKNOWN
    count = effective_count(right, clusters)
    return wilson(float(right.mean()) * count, count)


def operating_point(
    labels: np.ndarray, called: np.ndarray, *, prevalence: float, clusters: np.ndarray | None = None
) -> OperatingPoint:
    """Sensitivity, specificity, accuracy and predictive values of a binary test.

    Args:
        labels, called: (cases,) bool.
        prevalence: prevalence for the predictive values, above 0 and below 1.
        clusters: as in ``effective_count``.
    """
    sensitivity = proportion(called[labels], None if clusters is None else clusters[labels])
    specificity = proportion(~called[~labels], None if clusters is None else clusters[~labels])
    counts = (
        effective_count(called[labels], None if clusters is None else clusters[labels]),
        effective_count(~called[~labels], None if clusters is None else clusters[~labels]),
    )
    ppv, npv = predictive_values(sensitivity.value, specificity.value, counts, prevalence)
    return OperatingPoint(sensitivity, specificity, proportion(called == labels, clusters), ppv, npv)


def predictive_values(
    sensitivity: float, specificity: float, counts: tuple[float, float], prevalence: float
) -> tuple[Estimate, Estimate]:
    """Positive and negative predictive value by Bayes at ``prevalence``, with Mercaldo's logit intervals.

    Where a sensitivity or specificity is 0 or 1 its log odds are infinite: half a case is then added to both of its
    outcomes for the interval, not for the value. Sensitivity and specificity count as independent of each other; for
    clusters that is conservative, since an anatomy that raises scores raises both the true and the false positive rate.

    Args:
        sensitivity, specificity: 0-1.
        counts: numbers of positives and negatives that they come from, effective ones for clusters.
    """
    if math.isnan(sensitivity) or math.isnan(specificity):
        return UNKNOWN, UNKNOWN
    (true_rate, n1), (true_negative_rate, n0) = _inside(sensitivity, counts[0]), _inside(specificity, counts[1])
    odds = prevalence / (1 - prevalence)
    ppv_spread = math.sqrt((1 - true_rate) / true_rate / n1 + true_negative_rate / (1 - true_negative_rate) / n0)
    npv_spread = math.sqrt(true_rate / (1 - true_rate) / n1 + (1 - true_negative_rate) / true_negative_rate / n0)
    ppv_odds = odds * true_rate / (1 - true_negative_rate)
    npv_odds = true_negative_rate / (1 - true_rate) / odds
    return (
        _with_ends(_share(prevalence * sensitivity, (1 - prevalence) * (1 - specificity)), ppv_odds, ppv_spread),
        _with_ends(_share((1 - prevalence) * specificity, prevalence * (1 - sensitivity)), npv_odds, npv_spread),
    )


def _inside(rate: float, count: float) -> tuple[float, float]:
    return (rate, count) if 0 < rate < 1 else ((rate * count + 0.5) / (count + 1), count + 1)


def _share(right: float, wrong: float) -> float:
    """NaN where nothing was called that way at all."""
    return right / (right + wrong) if right + wrong > 0 else math.nan


def _with_ends(value: float, odds: float, spread: float) -> Estimate:
    """The value with the interval around the odds, widened to hold a value of 0 or 1, whose odds were moved inside."""
    if math.isnan(value):
        return UNKNOWN
    ends = [float(expit(math.log(odds) + sign * Z95 * spread)) for sign in (-1, 1)]
    return Estimate(value, min(ends[0], value), max(ends[1], value))
