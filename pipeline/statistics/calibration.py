"""Calibration of probabilities.

Sources: Brier, Mon Weather Rev 78 (1950) 1; Cox, Biometrika 45 (1958) 562 and Van Calster et al., BMC Med 17 (2019)
230 for slope and intercept; Bröcker, Clim Dyn 39 (2012) 655 and Kumar et al., NeurIPS 2019 for the calibration error
without the bias that few cases give it; Kline & Santos, J Econom Methods 1 (2012) 23 for a test with clusters.

The expected calibration error as usually written is above 0 for a perfect model too, and its bootstrap the more so: at
23 cases a percentile interval never holds 0. So the error is given without interval, beside a test.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from pipeline.statistics.estimate import Estimate
from pipeline.statistics.proportions import proportion
from pipeline.statistics.scores import check_scores

BINS = 10
LEAST_IN_BIN = 5
"""Cases in a bin of the calibration error, at least: with fewer its correction is mostly noise."""
TEST_DRAWS = 2000
LEAST_CLUSTERS = 6
"""Clusters from which on a wrong model can reach p < 0.05 (2 of 2^6 combinations of signs)."""
NEAREST = 1e-6
"""Smallest distance of a probability from 0 and 1 before its log odds are taken, which would be infinite there."""


class Bin(NamedTuple):
    """Cases of similar probability."""

    predicted: float
    """Mean probability."""
    observed: Estimate
    """Share of positives, with its interval."""
    cases: int
    """Number of cases in the bin."""


def brier(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean squared difference between probability and outcome, (cases,) each; 0 is best."""
    check_scores(probabilities)
    return float(np.mean((probabilities - labels) ** 2)) if len(labels) else math.nan


def slope(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Calibration slope: of the log odds in a logistic regression of the outcome on them, with a free intercept.

    1 is best; below 1 the probabilities are too extreme. NaN where the classes are separated, or one is missing: the
    likelihood then has no maximum.
    """
    x = log_odds(probabilities)
    if _separated(labels, x):
        return math.nan
    return _logistic(np.stack([np.ones_like(x), x], axis=1), labels, np.zeros_like(x))[1]


def intercept(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Calibration in the large: the intercept of the same regression with the slope held at 1.

    0 is best; above 0 the probabilities are too low. NaN where one class is missing.
    """
    if labels.all() or not labels.any():
        return math.nan
    x = log_odds(probabilities)
    return _logistic(np.ones((len(x), 1)), labels, x)[0]


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float:
    """Root mean square distance between probability and share of positives in bins of equal count, less its bias.

    The variance that a share of so few cases has is taken off each squared distance, which makes the square unbiased
    for independent cases; 0 where nothing is left. NaN for fewer than ``LEAST_IN_BIN`` cases.

    Args:
        bins: at most; fewer where one would hold less than ``LEAST_IN_BIN`` cases.
    """
    check_scores(probabilities)
    count = min(bins, len(labels) // LEAST_IN_BIN)
    if not count:
        return math.nan
    square = 0.0
    for part in np.array_split(np.argsort(probabilities, kind="stable"), count):
        share = float(labels[part].mean())
        distance = float(probabilities[part].mean()) - share
        square += len(part) / len(labels) * (distance**2 - share * (1 - share) / (len(part) - 1))
    return math.sqrt(max(square, 0.0))


def calibration_test(
    labels: np.ndarray,
    probabilities: np.ndarray,
    clusters: np.ndarray | None = None,
    *,
    seed: int,
    draws: int = TEST_DRAWS,
) -> float:
    """p of the test that the probabilities are right: a score test of intercept 0 and slope 1 of Cox's regression.

    The statistic's distribution comes from outcomes drawn with the model's own probabilities, so that it holds for few
    cases too; nothing is fitted, so separated classes do no harm. With clusters, whose cases may err together, each
    cluster's score keeps its size and draws its sign (the score-based wild bootstrap). NaN without cases, and below
    ``LEAST_CLUSTERS``, whose signs have too few combinations for a small p.

    Args:
        clusters: (cases,) as in ``bootstrap.cluster_draws``; None where the cases are independent.
    """
    if not len(labels):
        return math.nan
    if clusters is not None and len(np.unique(clusters)) < LEAST_CLUSTERS:
        return math.nan
    random = np.random.default_rng(seed)
    x = log_odds(probabilities)
    p = expit(x)
    design = np.stack([np.ones_like(x), x], axis=1)
    inverse = np.linalg.pinv((design * (p * (1 - p))[:, None]).T @ design)
    if clusters is None:
        scores = ((random.random((draws, len(x))) < p) - p) @ design
    else:
        names = np.unique(clusters, return_inverse=True)[1]
        by_cluster = np.zeros((names.max() + 1, 2))
        np.add.at(by_cluster, names, (labels - p)[:, None] * design)
        scores = random.choice([-1.0, 1.0], (draws, len(by_cluster))) @ by_cluster
    observed = (labels - p) @ design
    null, reached = ((each @ inverse * each).sum(axis=-1) for each in (scores, observed))
    return float((1 + np.sum(null >= reached * (1 - 1e-9))) / (draws + 1))


def calibration_bins(
    labels: np.ndarray, probabilities: np.ndarray, clusters: np.ndarray | None = None, bins: int = BINS
) -> list[Bin]:
    """Bins of equal width that hold cases, with intervals of the observed share."""
    check_scores(probabilities)
    places = _places(probabilities, bins)
    parts = [np.flatnonzero(places == place) for place in np.unique(places)]
    return [
        Bin(
            float(probabilities[part].mean()),
            proportion(labels[part], None if clusters is None else clusters[part]),
            len(part),
        )
        for part in parts
    ]


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Log odds of probabilities, (cases,), clipped to ``NEAREST`` from 0 and 1."""
    check_scores(probabilities)
    return logit(np.clip(np.asarray(probabilities, float), NEAREST, 1 - NEAREST))


def _places(probabilities: np.ndarray, bins: int) -> np.ndarray:
    return np.minimum((np.asarray(probabilities) * bins).astype(int), bins - 1)


def _separated(labels: np.ndarray, x: np.ndarray) -> bool:
    """Whether one cut divides the classes, ties on the cut included; also where there is nothing to divide."""
    if labels.all() or not labels.any() or np.ptp(x) == 0:
        return True
    positive, negative = x[labels], x[~labels]
    return bool(negative.max() <= positive.min() or positive.max() <= negative.min())


def _logistic(design: np.ndarray, labels: np.ndarray, offset: np.ndarray) -> list[float]:
    """Maximum likelihood coefficients by Newton's steps, halved while they do not climb.

    Args:
        design: (cases, coefficients), not separated by the labels.
        offset: (cases,), added to the log odds as it is.
    """

    def likelihood(values: np.ndarray) -> float:
        at = design @ values + offset
        return float(np.sum(labels * at - np.logaddexp(0, at)))

    values = np.zeros(design.shape[1])
    reached = likelihood(values)
    for _ in range(100):
        fitted = expit(design @ values + offset)
        gradient = design.T @ (labels - fitted)
        curvature = (design * (fitted * (1 - fitted))[:, None]).T @ design
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        while (now := likelihood(values + step)) < reached and np.abs(step).max() > 1e-12:
            step = step / 2
        values, reached = values + step, now
        if np.abs(step).max() < 1e-9:
            break
    return [float(value) for value in values]
