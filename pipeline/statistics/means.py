"""A mean with its interval, for cases that may be related."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import t

from pipeline.statistics.estimate import UNKNOWN, Estimate
from pipeline.statistics.scores import check_scores


def mean_interval(
    values: np.ndarray, clusters: np.ndarray, within: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
    """Mean of cases, with Student's 95 % interval from the spread between clusters (linearised, as of a ratio of sums).

    With one case a cluster it is the usual interval of a mean. Cochran, Sampling Techniques (1977), section 11.7.

    Args:
        values: (cases,) finite.
        clusters: (cases,) as in ``bootstrap.cluster_draws``.
        within: range of possible means, to which the interval is clipped.

    Returns:
        NaN ends for a single cluster; all NaN without cases.

    Raises:
        ScoreError: a value is not finite.
    """
    check_scores(values)
    if not len(values):
        return UNKNOWN
    names = np.unique(clusters, return_inverse=True)[1]
    count, mean = int(names.max()) + 1, float(np.mean(values))
    if count < 2:
        return Estimate(mean, math.nan, math.nan)
    residuals = np.bincount(names, weights=values - mean)
    error = math.sqrt(count / (count - 1) * float((residuals**2).sum())) / len(values)
    reach = float(t.ppf(0.975, count - 1)) * error
    return Estimate(mean, max(mean - reach, within[0]), min(mean + reach, within[1]))
