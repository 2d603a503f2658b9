"""Calibration and operating points of a classifier, from its scores of cases that it has not seen."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve

from pipeline.thresholds import RULE_IN_SPECIFICITY, RULE_OUT_SENSITIVITY


def youden_threshold(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The threshold that maximises sensitivity + specificity, midway to the next lower case.

    Midway, since a threshold exactly on a case would favour that case. At least one case is positive: the ROC curve's
    first threshold, at which none is, is infinite and no probability.

    Args:
        labels: (cases,) bool.
        probabilities: (cases,).
    """
    false_rate, true_rate, cuts = roc_curve(labels, probabilities, drop_intermediate=False)
    best = float(cuts[1:][np.argmax((true_rate - false_rate)[1:])])
    lower = probabilities[probabilities < best]
    return float((best + lower.max()) / 2) if len(lower) else best


def threshold_at_sensitivity(labels: np.ndarray, probabilities: np.ndarray, sensitivity: float) -> float:
    """The highest threshold with at least this sensitivity; labels (cases,) bool, probabilities (cases,)."""
    cuts = cuts_between(probabilities)
    sensitivities = (probabilities[labels][:, None] >= cuts).mean(axis=0)  # (cuts,)
    return float(cuts[sensitivities >= sensitivity - 1e-9].max())


def threshold_at_specificity(labels: np.ndarray, probabilities: np.ndarray, specificity: float) -> float:
    """The lowest threshold with at least this specificity; labels (cases,) bool, probabilities (cases,)."""
    cuts = cuts_between(probabilities)
    specificities = (probabilities[~labels][:, None] < cuts).mean(axis=0)  # (cuts,)
    return float(cuts[specificities >= specificity - 1e-9].min())


def cuts_between(probabilities: np.ndarray) -> np.ndarray:
    """All thresholds that differ, (cuts,), ascending: 0, midway between neighbouring cases, and 1."""
    values = np.unique(probabilities)
    return np.concatenate([[0.0], (values[:-1] + values[1:]) / 2, [1.0]])


def indeterminate_zone(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> tuple[float, float] | None:
    """Rule-out and rule-in point, between which a probability is indeterminate.

    The zone is widened to hold ``threshold``, so that no case below it is ruled in and none above it is ruled out.
    None where the rule-out point is not below the rule-in point: a single threshold then has both the sensitivity and
    the specificity.
    """
    low = threshold_at_sensitivity(labels, probabilities, RULE_OUT_SENSITIVITY)
    high = threshold_at_specificity(labels, probabilities, RULE_IN_SPECIFICITY)
    return (min(low, threshold), max(high, threshold)) if low < high else None


def platt(labels: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    """Scale (above 0) and shift that turn a member's logits, (cases,), into log odds, from cases it has not seen.

    Platt scaling (Platt, Advances in Large Margin Classifiers (1999) 61). Temperature scaling is the same without the
    shift, which is needed here: training weighs both classes equally, so that logits miss the cohort's own odds by a
    constant that differs between members.

    A member without any skill would get a scale near or below 0; its logits are then kept, not inverted.
    """
    spread = float(logits.std()) or 1.0
    fit = LogisticRegression(C=1.0).fit((logits / spread)[:, None], labels)
    scale = float(fit.coef_[0, 0]) / spread
    return (scale, float(fit.intercept_[0])) if scale * spread > 0.05 else (1.0, 0.0)
