"""Fit of one member on features: logistic regression whose penalty is chosen by inner cross-validation by anatomy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from pipeline.classification.feature_model import LogisticMember, standardised
from pipeline.training.classifier.data import CachedCase
from pipeline.training.classifier.split import INNER_FOLDS, anatomies_per_class

PENALTIES = tuple(float(c) for c in np.logspace(-4, 1, 11))
"""Values of C, the inverse strength of the L2 penalty, to choose from, the strongest penalty first."""


def fit_member(cases: Sequence[CachedCase], values: np.ndarray, seed: int) -> tuple[LogisticMember, float]:
    """A member and its C, chosen by the log loss of an inner cross-validation; the unseen cases have no part in it.

    Inner folds of one class are left out; without any other the strongest penalty is taken.

    Args:
        cases: that the member may see.
        values: their features, (cases, features).
        seed: of the inner folds.
    """
    labels = np.array([case.label for case in cases])
    groups = np.array([case.anatomy for case in cases])
    folds = min(INNER_FOLDS, anatomies_per_class(cases))
    if folds < 2:
        return fit(labels, values, PENALTIES[0]), PENALTIES[0]
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    splits = [
        split for split in splitter.split(values, labels, groups) if all(len(set(labels[part])) == 2 for part in split)
    ]
    losses = [sum(inner_loss(labels, values, split, c) for split in splits) for c in PENALTIES]
    chosen = PENALTIES[int(np.argmin(losses))]
    return fit(labels, values, chosen), chosen


def inner_loss(labels: np.ndarray, values: np.ndarray, split: tuple[np.ndarray, np.ndarray], c: float) -> float:
    """Log loss on the second part of a split, both classes weighing equally, of a fit on the first."""
    seen, unseen = split
    logits = fit(labels[seen], values[seen], c).logits(values[unseen])
    positive = labels[unseen]
    losses = np.logaddexp(0, np.where(positive, -logits, logits))
    return float((losses[positive].mean() + losses[~positive].mean()) / 2)


def fit(labels: np.ndarray, values: np.ndarray, c: float) -> LogisticMember:
    """Standardise features, (cases, features), and fit a logistic regression in which both classes weigh equally."""
    mean, spread = values.mean(axis=0), values.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    model = LogisticRegression(C=c, class_weight="balanced", solver="newton-cholesky")
    model.fit(standardised(values, mean, scale), labels)
    return LogisticMember(mean, scale, model.coef_[0].astype(float), float(model.intercept_[0]))
