"""The scale and the operating points of a classifier, from its scores of cases that it has not seen."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve

from pipeline.thresholds import RULE_IN_SPECIFICITY, RULE_OUT_SENSITIVITY


def youden_threshold(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The probability at which sensitivity + specificity is largest, midway to the next lower case.

    Midway, since a cut exactly on a case of the training cohort would favour that case. At least one case is called:
    the curve's first cut, which calls none, is infinite and no probability.
    """
    false_rate, true_rate, cuts = roc_curve(labels, probabilities, drop_intermediate=False)
    best = float(cuts[1:][np.argmax((true_rate - false_rate)[1:])])
    lower = probabilities[probabilities < best]
    return float((best + lower.max()) / 2) if len(lower) else best


def threshold_at_sensitivity(labels: np.ndarray, probabilities: np.ndarray, sensitivity: float) -> float:
    """The highest cut that still calls this share of the positives; (cases,) bool and probabilities."""
    cuts = cuts_between(probabilities)
    called = (probabilities[labels][:, None] >= cuts).mean(axis=0)  # (cuts,)
    return float(cuts[called >= sensitivity - 1e-9].max())


def threshold_at_specificity(labels: np.ndarray, probabilities: np.ndarray, specificity: float) -> float:
    """The lowest cut that still leaves this share of the negatives; (cases,) bool and probabilities."""
    cuts = cuts_between(probabilities)
    left = (probabilities[~labels][:, None] < cuts).mean(axis=0)  # (cuts,)
    return float(cuts[left >= specificity - 1e-9].min())


def cuts_between(probabilities: np.ndarray) -> np.ndarray:
    """All cuts that differ: 0, midway between neighbouring cases, and 1."""
    values = np.unique(probabilities)
    return np.concatenate([[0.0], (values[:-1] + values[1:]) / 2, [1.0]])


def indeterminate_zone(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> tuple[float, float] | None:
    """From the rule-out to the rule-in point: probabilities there say neither.

    The zone is widened to hold ``threshold``, so that no case is called on the other side of a point that rules it in
    or out. None where the points have passed each other: then a single cut keeps both promises.
    """
    low = threshold_at_sensitivity(labels, probabilities, RULE_OUT_SENSITIVITY)
    high = threshold_at_specificity(labels, probabilities, RULE_IN_SPECIFICITY)
    return (min(low, threshold), max(high, threshold)) if low < high else None


def platt(labels: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    """Scale (above 0) and shift that turn a member's logits into log odds, from cases it has not seen.

    Platt scaling (Platt, Advances in Large Margin Classifiers (1999) 61). Temperature scaling is the same without the
    shift, which is needed here: training counts both classes alike, so that its logits miss the cohort's own odds by a
    constant, and the members' by different ones.

    A member without any skill would get a scale near or below 0; it is then left as it is, not turned round.
    """
    spread = float(logits.std()) or 1.0
    fit = LogisticRegression(C=1.0).fit((logits / spread)[:, None], labels)
    scale = float(fit.coef_[0, 0]) / spread
    return (scale, float(fit.intercept_[0])) if scale * spread > 0.05 else (1.0, 0.0)
