"""Statistics of diagnostic tests, each with its interval: plain functions on arrays, by numpy, scipy and statsmodels.

What cannot be estimated (a class without cases, separated classes) is NaN with the widest interval, never an error: a
report then says "not estimable".
"""

from pipeline.statistics.estimate import Estimate

__all__ = ["Estimate"]
