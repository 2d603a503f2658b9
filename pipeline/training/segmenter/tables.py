"""Tables of a segmenter's measures, summed up and as Markdown."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from pipeline.statistics.means import mean_interval


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation, worst and median Dice, and mean distances in mm, by organ."""
    rows = []
    for organ, part in table.groupby("organ", sort=False):
        rows.append(
            {
                "organ": organ,
                "cases": len(part),
                "mean Dice": part["dice"].mean(),
                "95 % interval": interval_of_mean(part["dice"]),
                "SD": part["dice"].std(),
                "median": part["dice"].median(),
                "worst": part["dice"].min(),
                "mean IoU": part["iou"].mean(),
                "mean HD95 mm": part["hd95_mm"].mean(),
                "mean ASSD mm": part["assd_mm"].mean(),
                "mean absolute volume error %": part["volume_error_percent"].abs().mean(),
            }
        )
    return pd.DataFrame(rows)


def interval_of_mean(values: pd.Series) -> str:
    """Student's 95 % interval of the mean of independent cases, in words; empty for fewer than two."""
    mean = mean_interval(values.to_numpy(float), np.arange(len(values)), (-math.inf, 1.0))
    return f"{mean.low:.3f} to {mean.high:.3f}" if mean.bounded else ""


def markdown(table: pd.DataFrame) -> str:
    """The table in Markdown; numbers below 2 with three decimals, others with one."""
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return ""
    return f"{value:.3f}" if abs(value) < 2 else f"{value:.1f}"
