"""Area under the ROC curve: DeLong's variance, clusters, intervals and the paired test.

Sources: DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988) 837; Obuchowski, Biometrics 53 (1997) 567 for cases that
come in clusters; Pepe, The Statistical Evaluation of Medical Tests (2003) 107 for the logit interval; Newcombe, Stat
Med 25 (2006) 559, method 5, where DeLong's variance is no variance.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import rankdata, t

from pipeline.statistics.bootstrap import bootstrap_interval
from pipeline.statistics.estimate import UNKNOWN, Z95, Estimate, freedom, reach95
from pipeline.statistics.scores import check_scores

DELONG = "DeLong, logit scale"
CLUSTERED = "DeLong for clusters (Obuchowski), logit scale, Student's t"
NEWCOMBE = "Newcombe's score interval, since DeLong's variance degenerates; each cluster counts as one case"


class Comparison(NamedTuple):
    """Two AUCs on the same cases."""

    difference: Estimate
    """First minus second."""
    z: float
    """Difference over its standard error."""
    p: float
    """Two-sided."""


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Share of (positive, negative) pairs in the right order, ties counted half; NaN without one of the classes.

    Computed by ranks, fast enough for bootstraps.

    Args:
        labels: (cases,) bool.
        scores: (cases,), higher is more likely positive.

    Raises:
        ScoreError: a score is not finite; so do all functions here.
    """
    check_scores(scores)
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return math.nan
    ranks = rankdata(scores)[labels].sum() - positives * (positives + 1) / 2
    return float(ranks / (positives * negatives))


def delong(labels: np.ndarray, scores: np.ndarray, clusters: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """AUCs of several tests on the same cases, and their covariance matrix.

    Without clusters this is DeLong's estimate; with them Obuchowski's, which is the same where every case is a cluster
    of its own. A covariance that needs more cases (clusters) of a class than there are is NaN.

    Args:
        labels: (cases,) bool, both classes present.
        scores: (tests, cases), higher is more likely positive.
        clusters: (cases,) name of each case's patient or anatomy.

    Returns:
        (tests,) and (tests, tests).
    """
    check_scores(scores)
    names = np.arange(len(labels)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    placed = np.array([placements(labels, row) for row in np.atleast_2d(scores)])  # (tests, cases)
    aucs = placed[:, labels].mean(axis=1)
    deviations = placed - aucs[:, None]
    sums = {}
    for positive in (True, False):
        by_cluster = np.zeros((len(aucs), names.max() + 1))
        np.add.at(by_cluster.T, names[labels == positive], deviations[:, labels == positive].T)
        count = len(np.unique(names[labels == positive]))
        scale = math.sqrt(count / (count - 1)) if count > 1 else math.nan
        sums[positive] = (by_cluster / (labels == positive).sum(), scale)
    (with_pos, scale_pos), (with_neg, scale_neg) = sums[True], sums[False]
    count = int(names.max()) + 1
    cross = with_pos @ with_neg.T * (count / (count - 1) if count > 1 else math.nan)
    covariance = with_pos @ with_pos.T * scale_pos**2 + with_neg @ with_neg.T * scale_neg**2 + cross + cross.T
    return aucs, covariance


def placements(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(cases,) share of the cases of the other class that are ordered correctly with each, ties counted half.

    DeLong's structural components: V10 where the case is positive, V01 where it is negative.
    """
    positives = int(labels.sum())
    overall = rankdata(scores)
    within = np.empty(len(scores))
    within[labels], within[~labels] = rankdata(scores[labels]), rankdata(scores[~labels])
    below = overall - within  # cases of the other class below, ties half
    return np.where(labels, below / (len(labels) - positives), 1 - below / positives)


def auc_interval(labels: np.ndarray, scores: np.ndarray, clusters: np.ndarray | None = None) -> tuple[Estimate, str]:
    """AUC with its interval, and the method in words.

    DeLong's on the logit scale, which stays between 0 and 1. Where its variance degenerates (AUC 0 or 1, all scores
    tied, one case or cluster in a class) Newcombe's score interval: a bootstrap would have no width there either.
    """
    check_scores(scores)
    if labels.all() or not labels.any():
        return UNKNOWN, "one class only"
    aucs, covariance = delong(labels, scores, clusters)
    value, variance = float(aucs[0]), float(covariance[0, 0])
    if 0 < value < 1 and variance > 1e-12:
        half = reach95(clusters) * math.sqrt(variance) / (value * (1 - value))
        middle = math.log(value / (1 - value))
        estimate = Estimate(value, float(expit(middle - half)), float(expit(middle + half)))
        return estimate, DELONG if clusters is None else CLUSTERED
    names = np.arange(len(labels)) if clusters is None else clusters
    return newcombe(value, len(np.unique(names[labels])), len(np.unique(names[~labels]))), NEWCOMBE


def newcombe(value: float, positives: int, negatives: int) -> Estimate:
    """Score interval of an AUC from the AUC and the class sizes alone.

    The ends are the AUCs whose own standard error (Hanley and McNeil's, made symmetric in the class sizes) puts the
    observed value 1.96 of them away, as Wilson's interval does for a proportion; so it has width at 0 and 1.
    """

    def excess(theta: float) -> float:
        more = (positives + negatives) / 2 - 1
        spread = 1 + more * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (value - theta) ** 2 - Z95**2 * theta * (1 - theta) * spread / (positives * negatives)

    low = brentq(excess, 0, value) if value > 0 and excess(0) > 0 else 0.0
    high = brentq(excess, value, 1) if value < 1 and excess(1) > 0 else 1.0
    if value == 1:  # 1 itself is a root: the other one lies below
        low = brentq(excess, 0, 1 - 1e-9)
    if value == 0:
        high = brentq(excess, 1e-9, 1)
    return Estimate(value, float(low), float(high))


def compare_aucs(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, clusters: np.ndarray | None = None
) -> Comparison:
    """DeLong's paired test of two tests on the same cases, with clusters as in ``delong`` and Student's t for them.

    Equal AUCs on all cases without any variance of their difference give p = NaN: there is nothing to test.
    """
    check_scores(np.stack([first, second]))
    if labels.all() or not labels.any():
        return Comparison(UNKNOWN, math.nan, math.nan)
    aucs, covariance = delong(labels, np.stack([first, second]), clusters)
    contrast = np.array([1.0, -1.0])
    difference, variance = float(contrast @ aucs), float(contrast @ covariance @ contrast)
    if not variance > 1e-12:
        return Comparison(Estimate(difference, math.nan, math.nan), math.nan, math.nan)
    error = math.sqrt(variance)
    z = difference / error
    half = reach95(clusters) * error
    estimate = Estimate(difference, difference - half, difference + half)
    return Comparison(estimate, z, float(2 * t.sf(abs(z), freedom(clusters))))


def auc_with_interval(
    labels: np.ndarray, scores: np.ndarray, groups: np.ndarray, *, seed: int, draws: int = 2000
) -> Estimate:
    """AUC and its 95 % interval by bootstrap over groups, since cases of one anatomy are not independent.

    Args:
        labels: (cases,) bool.
        scores: (cases,), higher is more likely positive.
        groups: (cases,) names of the source anatomies.
    """

    def pooled(cases: np.ndarray) -> float:
        return auc(labels[cases], scores[cases])

    return bootstrap_interval(pooled, groups, seed=seed, draws=draws)
