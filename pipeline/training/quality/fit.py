"""Fit the predictors of a mask's Dice and HD95: monotone additive models on the signs of a single network's own doubt.

What is fitted is what is used: one member that has not seen a case, judged by its own signs. In the app every member
has not seen the case, each is judged so, and the mean counts. The agreement between members takes no part: on the data
that they were trained on, all but one have seen each case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from pipeline.segmentation.quality_features import Features
from pipeline.segmentation.quality_prediction import SIGNS, AdditiveModel, PiecewiseTerm, QualityModel
from pipeline.thresholds import POOR_DICE_BELOW, POOR_HD95_ABOVE_MM
from pipeline.training.quality.corruption_plan import UNCORRUPTED

GOOD_FROM = 0.90
"""Dice from which a mask is good."""
KNOTS = (0.0, 0.1, 0.3, 0.6, 1.0)
"""Quantiles of a sign at which its line may bend."""
SHRINKAGE = 0.3
FALSE_FLAGS = 0.08
"""Share of the good masks of the fitting anatomies that the flag may call poor, a little below the aim of 0.10: a
needless second look at an outline costs less than a poor one that is used unchecked."""
HIGHEST_FLAG = 0.90
FALSE_FAR_FLAGS = 0.03
"""Share of the masks with a good Dice and a small HD95 that the predicted HD95 may flag."""
LOWEST_FAR_FLAG_MM = 12.0
FOLDS = 5


def fit(rows: pd.DataFrame) -> QualityModel:
    """Fit both predictors; their flags are the cut-offs themselves, without a margin.

    Args:
        rows: ``measure_corruptions`` without the refused ones.
    """
    near = -np.log(rows["hd95_mm"].clip(1, 200).to_numpy())
    overlap = logit(rows["dice"].clip(0.02, 0.99).to_numpy())
    return QualityModel(fit_sum(rows, overlap), POOR_DICE_BELOW, fit_sum(rows, near), POOR_HD95_ABOVE_MM)


def fit_sum(rows: pd.DataFrame, target: np.ndarray) -> AdditiveModel:
    """Ridge regression of ``target`` on straight pieces of each sign, whose slopes may only go the sign's way.

    Args:
        rows: ``measure_corruptions`` without the refused ones.
        target: (rows,) greater for a better mask.
    """
    uncorrupted = rows[rows["corruption"] == UNCORRUPTED]
    fingerprint = uncorrupted if len(uncorrupted) else rows
    lines, pieces = [], []
    for name, sign in SIGNS.items():
        reference = float(fingerprint[name].median()) if sign.goes == "near" else None
        values = rows[name].to_numpy(float) if reference is None else np.abs(rows[name].to_numpy(float) - reference)
        at = np.unique(np.quantile(values, KNOTS).round(5))
        if len(at) < 2:
            continue
        share = np.clip((values[:, None] - at[:-1]) / np.diff(at), 0, 1)
        pieces.append(share if sign.goes == "up" else 1 - share)
        lines.append((name, reference, at))
    ridge = Ridge(alpha=SHRINKAGE, positive=True).fit(np.hstack(pieces), target)
    intercept, terms, start = float(ridge.intercept_), [], 0
    for name, reference, at in lines:
        slopes = ridge.coef_[start : start + len(at) - 1]
        start += len(at) - 1
        total, climbed = float(slopes.sum()), np.concatenate([[0.0], np.cumsum(slopes)])
        adds = climbed - total if SIGNS[name].goes == "up" else -climbed
        intercept += total  # of a faultless mask: what is left of each sign is what it takes away
        if total > 1e-4:
            terms.append(PiecewiseTerm(name, reference, tuple(map(float, at)), tuple(float(a) for a in adds.round(5))))
    return AdditiveModel(intercept, tuple(terms))


def predict(model: QualityModel, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Predicted Dice, (rows,), and predicted HD95 in mm, (rows,)."""
    signs: list[Features] = rows[list(SIGNS)].to_dict("records")  # type: ignore[assignment]
    return np.array([model.predict(row) for row in signs]), np.array([model.predict_hd95_mm(row) for row in signs])


def anatomy_folds(rows: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Row indices of the fitting and the testing part of each fold; no anatomy is in both."""
    groups = rows["anatomy"].to_numpy()
    return GroupKFold(min(FOLDS, len(set(groups)))).split(rows, groups=groups)


def held_out_predictions(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Dice, (rows,), and HD95 in mm, (rows,), predicted by models that were fitted without the row's anatomy."""
    predicted = np.empty((2, len(rows)))
    for train, test in anatomy_folds(rows):
        predicted[:, test] = predict(fit(rows.iloc[train]), rows.iloc[test])
    return predicted[0], predicted[1]


def fit_with_flags(rows: pd.DataFrame) -> QualityModel:
    """Fit both predictors and choose the flags' margins on the same rows.

    The margins are as wide as the shares ``FALSE_FLAGS`` and ``FALSE_FAR_FLAGS`` of the good masks allow.
    """
    poor, good = (rows["dice"] < POOR_DICE_BELOW).to_numpy(), (rows["dice"] >= GOOD_FROM).to_numpy()
    near = good & (rows["hd95_mm"] <= POOR_HD95_ABOVE_MM).to_numpy()
    flag, far_flag = POOR_DICE_BELOW, POOR_HD95_ABOVE_MM
    overlap, distance = held_out_predictions(rows)
    if poor.any() and good.any():
        flag = float(np.clip(np.quantile(overlap[good], FALSE_FLAGS), POOR_DICE_BELOW, HIGHEST_FLAG))
    if near.any():
        cut = np.quantile(distance[near], 1 - FALSE_FAR_FLAGS)
        far_flag = float(np.clip(cut, LOWEST_FAR_FLAG_MM, POOR_HD95_ABOVE_MM))
    return replace(fit(rows), flag_below=round(flag, 4), flag_above_mm=round(far_flag, 2))
