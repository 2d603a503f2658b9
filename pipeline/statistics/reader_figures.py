"""Figure of merit of every reader with every modality, and the covariances that the cases give them.

All figures here are means over the cases of a class, so each case has a deviation in every figure, and both covariance
estimates are sums of products of these deviations. DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988) 837; the
jackknife leaves out one case at a time, of either class (Quenouille, Biometrika 43 (1956) 353; as in Dorfman, Berbaum &
Metz, Invest Radiol 27 (1992) 723). Sensitivity depends on the positive cases only, specificity on the negative ones:
the other class is no part of their sample, and for them both methods give the unbiased binomial covariance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from pipeline.errors import ReadingsError
from pipeline.statistics.auc import placements
from pipeline.statistics.scores import check_scores

FigureOfMerit = Literal["auc", "sensitivity", "specificity"]
Method = Literal["jackknife", "delong"]
LEAST_CASES = 2
"""Fewest cases of a class: with one there is no covariance, and leaving it out leaves no figure."""


@dataclass(frozen=True)
class Readings:
    """A fully crossed study: every reader read every case with every modality."""

    modalities: tuple[str, ...]
    readers: tuple[str, ...]
    positive: np.ndarray
    """(cases,) bool, the reference standard."""
    ratings: np.ndarray
    """(modalities, readers, cases), higher is more suspicious."""


@dataclass(frozen=True)
class ReaderFigures:
    """Estimates of the figure of merit with the covariances of their errors, readers and modalities being fixed."""

    values: np.ndarray
    """(modalities, readers)."""
    covariance: np.ndarray
    """(modalities, readers, modalities, readers)."""


def reader_figures(
    readings: Readings, fom: FigureOfMerit = "auc", method: Method = "jackknife", threshold: float | None = None
) -> ReaderFigures:
    """Estimate the figures and their covariances.

    Args:
        threshold: for sensitivity and specificity, the least rating that calls a case positive; not needed where all
            ratings are 0 or 1.

    Raises:
        ReadingsError: fewer than two cases of a class that the figure needs, or no threshold where there must be one.
        ScoreError: a rating is not finite.
    """
    check_scores(readings.ratings)
    if fom not in get_args(FigureOfMerit) or method not in get_args(Method):
        raise ReadingsError("The figure of merit is auc, sensitivity or specificity, the method jackknife or delong.")
    _check_classes(readings.positive, fom)
    shape, cases = readings.ratings.shape[:2], readings.ratings.shape[2]
    flat = readings.ratings.reshape(-1, cases)
    per_case = _per_case(flat, readings.positive, fom, threshold)
    classes = [group for group in (readings.positive, ~readings.positive) if _used(group, readings.positive, fom)]
    values = per_case[:, classes[0]].mean(axis=1)
    sample = sum(int(group.sum()) for group in classes)
    covariance = np.zeros((len(flat), len(flat)))
    for group in classes:
        deviations = per_case[:, group] - values[:, None]
        covariance += deviations @ deviations.T * WEIGHTS[method](int(group.sum()), sample)
    return ReaderFigures(values.reshape(shape), covariance.reshape(*shape, *shape))


WEIGHTS: dict[Method, Callable[[int, int], float]] = {
    "delong": lambda of_class, of_sample: 1 / (of_class * (of_class - 1)),
    # Without case k the figure is off by deviation / (of_class - 1), whose mean over the class is 0.
    "jackknife": lambda of_class, of_sample: (of_sample - 1) / of_sample / (of_class - 1) ** 2,
}
"""What a product of two deviations counts, from the cases of the class and of both."""


def called_positive(ratings: np.ndarray, threshold: float | None) -> np.ndarray:
    """Ratings of any shape at or above the threshold, bool; without one, ratings that are 0 or 1 already.

    Raises:
        ReadingsError: there is no threshold and a rating is neither 0 nor 1, or the threshold is not finite.
    """
    if threshold is None:
        if not np.isin(ratings, (0, 1)).all():
            raise ReadingsError(
                "Sensitivity and specificity need ratings of 0 and 1, or the rating from which a case counts as "
                "positive: add --threshold."
            )
        return ratings == 1
    if not np.isfinite(threshold):
        raise ReadingsError("The threshold is not a finite number.")
    return ratings >= threshold


def _check_classes(positive: np.ndarray, fom: FigureOfMerit) -> None:
    for group, words in ((positive, "with"), (~positive, "without")):
        if _used(group, positive, fom) and group.sum() < LEAST_CASES:
            count = int(group.sum())
            there = "There are no cases" if count == 0 else "There is only one case"
            raise ReadingsError(f"{there} {words} the condition: {NAMES[fom]} needs at least two of them.")


NAMES: dict[FigureOfMerit, str] = {"auc": "an AUC", "sensitivity": "a sensitivity", "specificity": "a specificity"}


def _used(group: np.ndarray, positive: np.ndarray, fom: FigureOfMerit) -> bool:
    """Whether the figure depends on the cases of this class, ``positive`` or its complement."""
    return fom == "auc" or (group is positive) == (fom == "sensitivity")


def _per_case(flat: np.ndarray, positive: np.ndarray, fom: FigureOfMerit, threshold: float | None) -> np.ndarray:
    """(figures, cases): what each case contributes, so that its mean over a class is the figure."""
    if fom == "auc":
        return np.array([placements(positive, row) for row in flat])
    called = called_positive(flat, threshold)
    return np.asarray(called if fom == "sensitivity" else ~called, float)
