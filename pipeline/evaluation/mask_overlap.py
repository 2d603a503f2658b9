"""Summary of the liver masks in use against the true ones, over the cases of a cohort."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.statistics import Estimate
from pipeline.statistics.estimate import UNKNOWN
from pipeline.statistics.means import mean_interval
from pipeline.statistics.overlap import MEASURES

POSSIBLE = {"dice": (0.0, 1.0), "iou": (0.0, 1.0), "volume_error_percent": (-100.0, math.inf)}
"""Range of the mean of a measure; a distance, in mm, cannot be negative."""


@dataclass(frozen=True)
class OverlapSummary:
    """One measure over the cases where it is finite; all figures NaN without such cases."""

    cases: int = 0
    anatomies: int = 0
    mean: Estimate = UNKNOWN
    """With its 95 % interval, clustered by anatomy."""
    sd: float = math.nan
    median: float = math.nan
    lowest: float = math.nan
    highest: float = math.nan

    def to_json(self) -> dict[str, Any]:
        if not self.cases:
            return {"cases": 0}
        counts = {"cases": self.cases, "anatomies": self.anatomies}
        mean = {"mean": self.mean.value, "low": self.mean.low, "high": self.mean.high}
        return counts | mean | {"sd": self.sd, "median": self.median, "lowest": self.lowest, "highest": self.highest}


@dataclass(frozen=True)
class SegmentationSummary:
    """The masks in use against the true ones, over the cases that have both."""

    measures: Mapping[str, OverlapSummary]
    """By name, in the order of ``MEASURES``."""
    not_found: int
    """Cases with an empty mask, whose distances are infinite; they count in Dice and IoU, not in the distances."""

    def to_json(self) -> dict[str, Any]:
        content = {name: summary.to_json() for name, summary in self.measures.items()}
        content["dice"]["not_found"] = self.not_found
        return content


def segmentation_summary(cases: pd.DataFrame) -> SegmentationSummary | None:
    """Summarise the cases that have a true mask; None without any.

    Args:
        cases: ``anatomy`` and ``MEASURES``, NaN without a true mask.
    """
    known = cases[cases["dice"].notna()]
    if known.empty:
        return None
    summaries = {name: _summary(known, name) for name in MEASURES}
    return SegmentationSummary(summaries, int(np.isinf(known["hd95_mm"].to_numpy(float)).sum()))


def _summary(cases: pd.DataFrame, name: str) -> OverlapSummary:
    finite = cases[np.isfinite(cases[name].to_numpy(float))]
    values, names = finite[name].to_numpy(float), finite["anatomy"].to_numpy(str)
    if not len(values):
        return OverlapSummary()
    return OverlapSummary(
        cases=len(values),
        anatomies=len(set(names)),
        mean=mean_interval(values, names, POSSIBLE.get(name, (0.0, math.inf))),
        sd=float(values.std(ddof=1)) if len(values) > 1 else math.nan,
        median=float(np.median(values)),
        lowest=float(values.min()),
        highest=float(values.max()),
    )
