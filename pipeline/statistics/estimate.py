"""A figure with its interval."""

from __future__ import annotations

import math
from typing import NamedTuple

Z95 = 1.959963984540054


class Estimate(NamedTuple):
    """A figure and its two-sided 95 % interval; all three NaN where the figure cannot be estimated."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        return math.isfinite(self.value)

    @property
    def bounded(self) -> bool:
        """Whether there is an interval too."""
        return self.known and math.isfinite(self.low) and math.isfinite(self.high)


UNKNOWN = Estimate(math.nan, math.nan, math.nan)
