"""Bootstrap over cases or over whole clusters of cases."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from pipeline.statistics.estimate import Estimate

DRAWS = 2000
LEAST_USABLE = 0.5
"""Share of the draws that must give a figure for an interval; fewer would be a biased selection."""


def cluster_draws(clusters: np.ndarray, *, seed: int, draws: int = DRAWS, fewer: int = 0) -> Iterator[np.ndarray]:
    """Indices of the cases of each draw: whole clusters with replacement, as many as there are, or ``fewer`` less.

    Args:
        clusters: (cases,) a patient's or anatomy's name for each case; all different for a bootstrap over cases.
    """
    random = np.random.default_rng(seed)
    names = np.unique(clusters, return_inverse=True)[1]
    members = [np.flatnonzero(names == name) for name in range(names.max() + 1)]
    for _ in range(draws):
        yield np.concatenate([members[i] for i in random.integers(0, len(members), len(members) - fewer)])


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float], clusters: np.ndarray, *, seed: int, draws: int = DRAWS
) -> Estimate:
    """A statistic of all cases with its percentile interval, 95 %.

    Args:
        statistic: takes the indices of the cases; NaN where they do not determine it. Such draws are left out, and
            without half of the draws there is no interval.
        clusters: as ``cluster_draws`` takes them.
    """
    value = statistic(np.arange(len(clusters)))
    if not math.isfinite(value):
        return Estimate(math.nan, math.nan, math.nan)
    found = np.array([statistic(cases) for cases in cluster_draws(clusters, seed=seed, draws=draws)])
    usable = found[np.isfinite(found)]
    if len(usable) < LEAST_USABLE * draws:
        return Estimate(value, math.nan, math.nan)
    low, high = np.percentile(usable, [2.5, 97.5])
    return Estimate(value, float(low), float(high))
