"""A figure with its interval."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import t

NOT_ESTIMABLE = "not estimable"
Z95 = 1.959963984540054


def freedom(clusters: np.ndarray | None) -> float:
    """Degrees of freedom of Student's t: clusters less one, at least one; infinite, and so normal, without clusters.

    A variance that is itself estimated from ten clusters is often too small, so that a normal interval would hold the
    truth too rarely. Cameron and Miller, J Hum Resour 50 (2015) 317.
    """
    return math.inf if clusters is None else max(len(np.unique(clusters)) - 1, 1)


def reach95(clusters: np.ndarray | None) -> float:
    """Half width of a 95 % interval in standard errors, by Student's t with ``freedom`` degrees of freedom."""
    return float(t.ppf(0.975, freedom(clusters)))


class Estimate(NamedTuple):
    """A figure and its two-sided 95 % interval; all three NaN where the figure cannot be estimated."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether the figure could be estimated."""
        return math.isfinite(self.value)

    @property
    def bounded(self) -> bool:
        """Whether the figure and its interval could be estimated."""
        return self.known and math.isfinite(self.low) and math.isfinite(self.high)

    def __str__(self) -> str:
        """``0.721 (0.676 to 0.761)``, the figure alone where there is no interval, or ``not estimable``."""
        if not self.known:
            return NOT_ESTIMABLE
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})" if self.bounded else f"{self.value:.3f}"


UNKNOWN = Estimate(math.nan, math.nan, math.nan)
