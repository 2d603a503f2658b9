"""Calibration of probabilities.

Sources: Brier, Mon Weather Rev 78 (1950) 1; Cox, Biometrika 45 (1958) 562 and Van Calster et al., BMC Med 17 (2019)
230 for slope and intercept; Guo et al., ICML 2017 for the expected calibration error.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from pipeline.statistics.estimate import Estimate
from pipeline.statistics.proportions import proportion

BINS = 10
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


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float:
    """Mean distance between probability and share of positives in bins of equal width, weighted by cases.

    It is above 0 for a perfect model too, the more so the fewer cases there are.
    """
    if not len(labels):
        return math.nan
    places = _places(probabilities, bins)
    gaps = np.bincount(places, weights=probabilities - labels, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def calibration_bins(
    labels: np.ndarray, probabilities: np.ndarray, clusters: np.ndarray | None = None, bins: int = BINS
) -> list[Bin]:
    """The bins of ``expected_calibration_error`` that hold cases, with intervals of the observed share."""
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
