"""How good a binary classifier is, with intervals: plain functions on labels and scores."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve

Z95 = 1.959964


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Share of (positive, negative) pairs in the right order, ties counted half. By ranks: bootstraps need it fast."""
    positives = int(labels.sum())
    ranks = rankdata(scores)[labels].sum() - positives * (positives + 1) / 2
    return float(ranks / (positives * (len(labels) - positives)))


def auc_with_interval(
    labels: np.ndarray, scores: np.ndarray, groups: np.ndarray, *, seed: int, draws: int = 2000
) -> tuple[float, float, float]:
    """AUC and its 95 % interval by bootstrap over groups.

    Whole groups are drawn, since cases of one anatomy are not independent; draws with one class only are left out.

    Args:
        labels: (cases,) bool.
        scores: (cases,), higher is more likely positive.
        groups: (cases,) names of the source anatomies.
    """
    random = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == name) for name in np.unique(groups)]
    aucs = []
    for _ in range(draws):
        cases = np.concatenate([members[i] for i in random.integers(0, len(members), len(members))])
        if 0 < labels[cases].mean() < 1:
            aucs.append(auc(labels[cases], scores[cases]))
    low, high = np.percentile(aucs, [2.5, 97.5]) if aucs else (0.0, 1.0)
    return auc(labels, scores), float(low), float(high)


def youden_threshold(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The probability at which sensitivity + specificity is largest, midway to the next lower case.

    Midway, since a cut exactly on a case of the training cohort would favour that case.
    """
    false_rate, true_rate, cuts = roc_curve(labels, probabilities, drop_intermediate=False)
    best = float(cuts[np.argmax(true_rate - false_rate)])
    lower = probabilities[probabilities < best]
    return float((best + lower.max()) / 2) if len(lower) else best


def platt(labels: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    """Scale (above 0) and shift that turn a member's logits into log odds, from cases it has not seen.

    A member without any skill would get a scale near or below 0; it is then left as it is, not turned round.
    """
    spread = float(logits.std()) or 1.0
    fit = LogisticRegression(C=1.0).fit((logits / spread)[:, None], labels)
    scale = float(fit.coef_[0, 0]) / spread
    return (scale, float(fit.intercept_[0])) if scale * spread > 0.05 else (1.0, 0.0)


def wilson(right: int, of: int) -> tuple[float, float, float]:
    """A proportion and its 95 % Wilson interval."""
    if of == 0:
        return float("nan"), 0.0, 1.0
    p = right / of
    centre = (p + Z95**2 / (2 * of)) / (1 + Z95**2 / of)
    half = Z95 / (1 + Z95**2 / of) * np.sqrt(p * (1 - p) / of + Z95**2 / (4 * of**2))
    return p, float(max(0.0, centre - half)), float(min(1.0, centre + half))
