"""Agreement of raters: weighted kappa, Fleiss' kappa and the intraclass correlation, each with its interval.

Sources: Cohen, Psychol Bull 70 (1968) 213 with the variance of Fleiss, Cohen & Everitt, Psychol Bull 72 (1969) 323,
and Fleiss, Psychol Bull 76 (1971) 378, all by statsmodels, Fleiss' interval by bootstrap over cases; Shrout & Fleiss,
Psychol Bull 86 (1979) 420 for ICC(2,1), its interval by McGraw & Wong, Psychol Methods 1 (1996) 30.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import f

from pipeline.statistics.bootstrap import bootstrap_interval
from pipeline.statistics.estimate import UNKNOWN, Estimate
from pipeline.statistics.obuchowski_rockette import mean_squares
from pipeline.statistics.scores import check_scores

Weights = Literal["none", "linear", "quadratic"]
LEAST_CASES = 2
FEW = "fewer than two cases were rated by all of them"


class Agreement(NamedTuple):
    """A measure of agreement, and what it is computed from."""

    estimate: Estimate
    """NaN where it is undefined."""
    cases: int
    undefined: str = ""
    """Why there is no figure, in words; empty where there is one."""


def weighted_kappa(first: np.ndarray, second: np.ndarray, levels: Sequence[int], weights: Weights) -> Agreement:
    """Cohen's kappa of two raters on a scale's full set of levels, with a normal interval.

    With four or more levels the distance of two levels depends on which levels there are, so that a weighted kappa
    changes where an unused one is dropped.

    Args:
        first, second: (cases,) levels.
        levels: all levels of the scale in their order, used or not.
        weights: by the distance of the levels' places: none, its size, or its square.
    """
    from statsmodels.stats.inter_rater import cohens_kappa  # loads slowly

    cases = len(first)
    if reason := _undefined([first, second]):
        return Agreement(UNKNOWN, cases, reason)
    place = {level: number for number, level in enumerate(levels)}
    table = np.zeros((len(levels), len(levels)))
    np.add.at(table, ([place[level] for level in first.tolist()], [place[level] for level in second.tolist()]), 1)
    found = cohens_kappa(table, wt=None if weights == "none" else weights)
    value, half = float(found.kappa), 1.959963984540054 * math.sqrt(max(float(found.var_kappa), 0.0))
    if not half > 0:  # perfect agreement leaves no variance to estimate
        return Agreement(Estimate(value, math.nan, math.nan), cases)
    return Agreement(Estimate(value, max(value - half, -1.0), min(value + half, 1.0)), cases)


def fleiss_kappa(ratings: np.ndarray, levels: Sequence[int], *, seed: int) -> Agreement:
    """Fleiss' kappa of (cases, raters) nominal ratings, with a percentile interval by bootstrap over cases."""
    from statsmodels.stats import inter_rater

    cases, raters = ratings.shape
    if raters < 2:
        return Agreement(UNKNOWN, cases, "there is only one rater")
    if cases < LEAST_CASES:
        return Agreement(UNKNOWN, cases, FEW)
    counts = (ratings[:, :, None] == np.asarray(levels)).sum(axis=1)  # (cases, levels)
    if (counts.sum(axis=0) > 0).sum() < 2:
        return Agreement(UNKNOWN, cases, "all raters gave every case the same level")

    def kappa(chosen: np.ndarray) -> float:
        drawn = counts[chosen]
        if (drawn.sum(axis=0) > 0).sum() < 2:
            return math.nan
        return float(inter_rater.fleiss_kappa(drawn, method="fleiss"))

    return Agreement(bootstrap_interval(kappa, np.arange(cases), seed=seed), cases)


def icc_agreement(ratings: np.ndarray) -> Agreement:
    """ICC(2,1) of (cases, raters): absolute agreement of single ratings, raters drawn from a population.

    Its interval is the F-based one of McGraw & Wong for ICC(A,1). It needs at least two cases and two raters.
    """
    check_scores(ratings)
    n, k = ratings.shape
    if k < 2:
        return Agreement(UNKNOWN, n, "there is only one rater")
    if n < LEAST_CASES:
        return Agreement(UNKNOWN, n, FEW)
    if np.ptp(ratings) == 0:
        return Agreement(UNKNOWN, n, "all raters gave every case the same rating")
    of_cases, of_raters, rest = mean_squares(np.asarray(ratings, float))
    value = (of_cases - rest) / (of_cases + (k - 1) * rest + k * (of_raters - rest) / n)
    if not rest > 0:
        return Agreement(Estimate(value, math.nan, math.nan), n)
    # Satterthwaite's degrees of freedom of the mix of raters' and residual mean squares.
    a, b = k * value / (n * (1 - value)), 1 + k * value * (n - 1) / (n * (1 - value))
    parts = (a * of_raters) ** 2 / (k - 1) + (b * rest) ** 2 / ((n - 1) * (k - 1))
    df = (a * of_raters + b * rest) ** 2 / parts
    upper, lower = f.isf(0.025, n - 1, df), f.isf(0.025, df, n - 1)
    mixed = k * of_raters + (k * n - k - n) * rest
    low = n * (of_cases - upper * rest) / (upper * mixed + n * of_cases)
    high = n * (lower * of_cases - rest) / (mixed + n * lower * of_cases)
    return Agreement(Estimate(float(value), float(low), float(high)), n)


def _undefined(ratings: Sequence[np.ndarray]) -> str:
    """Why a kappa of raters has no value; empty where it has one."""
    if len(ratings[0]) < LEAST_CASES:
        return FEW
    constant = [np.ptp(one) == 0 for one in ratings]
    if all(constant):
        return "both raters gave every case one level"
    return "one rater gave every case the same level" if any(constant) else ""
