"""Figures of several trainings of one network: their mean, with an interval that holds cases and seeds.

The hierarchical bootstrap draws whole clusters of cases and, within each draw, trainings. Both levels have few units
(ten anatomies, three seeds), where a percentile interval is too narrow: its variance lacks a factor of units / (units -
1), and so few units do not determine a variance well. So one cluster and one training less than there are is drawn,
which makes the variance unbiased (Rao and Wu, J Am Stat Assoc 83 (1988) 231), and the interval is Student's, with
Satterthwaite's degrees of freedom for the two parts (Biometrics Bull 2 (1946) 110), on the logit scale for a figure
between 0 and 1. Coverage: ``benchmarks/coverage.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t

from pipeline.statistics.bootstrap import DRAWS, LEAST_USABLE, cluster_draws
from pipeline.statistics.estimate import UNKNOWN, Estimate

Statistic = Callable[[int, np.ndarray], float]
"""A figure by the number of the training and the indices of the cases; NaN where they do not determine it."""


class Part(NamedTuple):
    """A part of the variance of a mean, and the degrees of freedom that it is known with."""

    variance: float
    freedom: int


@dataclass(frozen=True)
class Trainings:
    """A figure of each training, on all cases and on each draw of clusters."""

    values: np.ndarray
    """(trainings,) on all cases."""
    drawn: np.ndarray
    """(draws, trainings) on the draws that determine the figure."""
    clusters: int
    """Number of clusters."""
    usable: bool
    """Whether enough draws determine the figure, and there are at least two clusters."""

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def sd(self) -> float:
        """Standard deviation over trainings, on the same cases; NaN for a single one."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else math.nan

    def cases_part(self) -> Part:
        """What the choice of clusters adds to the variance of the mean over trainings."""
        return Part(float(self.drawn.mean(axis=1).var(ddof=1)), self.clusters - 1)

    def seeds_part(self) -> Part | None:
        """What the choice of seeds adds: the mean over draws of the variance over trainings, divided by their number.

        This is what drawing one training less than there are within each draw comes to, without its chance. None for a
        single training, or a score that is not trained.
        """
        trainings = len(self.values)
        if trainings < 2:
            return None
        return Part(float(self.drawn.var(axis=1, ddof=1).mean()) / trainings, trainings - 1)


class Difference(NamedTuple):
    """Difference of two networks' means on the same cases."""

    estimate: Estimate
    """First minus second."""
    p: float
    """Two-sided; NaN where the difference has no variance."""


def draw_trainings(
    statistic: Statistic, trainings: int, clusters: np.ndarray, *, seed: int, draws: int = DRAWS
) -> Trainings:
    """A statistic of every training on all cases and on draws of clusters.

    Args:
        trainings: number of trainings.
        clusters: (cases,) as in ``bootstrap.cluster_draws``.
        seed: of the draws; equal seeds draw equal clusters, which makes two networks' draws paired.
    """
    numbers, count = range(trainings), len(np.unique(clusters))
    values = np.array([statistic(number, np.arange(len(clusters))) for number in numbers])
    drawn = np.full((draws, trainings), np.nan)
    if count > 1 and np.isfinite(values).all():
        for place, cases in enumerate(cluster_draws(clusters, seed=seed, draws=draws, fewer=1)):
            drawn[place] = [statistic(number, cases) for number in numbers]
    determined = np.isfinite(drawn).all(axis=1)
    return Trainings(values, drawn[determined], count, bool(determined.sum() >= max(2, LEAST_USABLE * draws)))


def mean_over_trainings(found: Trainings) -> Estimate:
    """Mean over trainings of a figure between 0 and 1, with the interval that holds cases and seeds.

    Of one training the interval holds cases only. At 0 and 1, or without enough draws, there is none.
    """
    if not math.isfinite(found.mean):
        return UNKNOWN
    half = _half_width([found.cases_part(), found.seeds_part()]) if found.usable else math.nan
    if not (0 < found.mean < 1 and half > 0):
        return Estimate(found.mean, math.nan, math.nan)
    reach = half / (found.mean * (1 - found.mean))
    low, high = (float(expit(logit(found.mean) + sign * reach)) for sign in (-1, 1))
    return Estimate(found.mean, low, high)


def difference_over_trainings(first: Trainings, second: Trainings) -> Difference:
    """Difference of the means of two networks: clusters drawn for both alike, seeds for each network on its own."""
    value = first.mean - second.mean
    if not math.isfinite(value):
        return Difference(UNKNOWN, math.nan)
    if not (first.usable and second.usable) or len(first.drawn) != len(second.drawn):
        return Difference(Estimate(value, math.nan, math.nan), math.nan)
    paired = first.drawn.mean(axis=1) - second.drawn.mean(axis=1)
    cases = Part(float(paired.var(ddof=1)), first.clusters - 1)
    parts = [cases, first.seeds_part(), second.seeds_part()]
    half = _half_width(parts)
    if not half > 0:
        return Difference(Estimate(value, math.nan, math.nan), math.nan)
    error, freedom = _error_and_freedom(parts)
    return Difference(Estimate(value, value - half, value + half), float(2 * t.sf(abs(value) / error, freedom)))


def _error_and_freedom(parts: list[Part | None]) -> tuple[float, float]:
    known = [part for part in parts if part is not None and part.variance > 0]
    variance = sum(part.variance for part in known)
    if not variance > 0:
        return math.nan, math.nan
    return math.sqrt(variance), variance**2 / sum(part.variance**2 / part.freedom for part in known)


def _half_width(parts: list[Part | None]) -> float:
    error, freedom = _error_and_freedom(parts)
    return float(t.ppf(0.975, freedom)) * error
