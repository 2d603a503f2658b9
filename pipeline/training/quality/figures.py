"""What the predictors of a mask's Dice and HD95 are worth on anatomies that they were not fitted on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from pipeline.simulation.corruptions import AND
from pipeline.statistics.bootstrap import bootstrap_interval
from pipeline.statistics.estimate import NOT_ESTIMABLE, Estimate
from pipeline.statistics.proportions import proportion
from pipeline.thresholds import EXCELLENT_DICE_FROM, POOR_DICE_BELOW, POOR_HD95_ABOVE_MM
from pipeline.training.quality.fit import GOOD_FROM, anatomy_folds, fit_with_flags, predict

USABLE_BELOW_MM = 15.0
"""HD95 below which a mask with an excellent Dice needs no second look."""


@dataclass(frozen=True)
class QualityFigures:
    """Cross-validated figures, in the order of ``cross_validation`` in ``quality.json``."""

    masks: int
    """Number of predictions that gave a mask."""
    anatomies: int
    refused: int
    """Number of predictions that gave no liver."""
    poor: int
    """Number of masks with a Dice below ``POOR_DICE_BELOW``."""
    good: int
    """Number of masks with a Dice from ``GOOD_FROM``."""
    rank_correlation: Estimate
    """Spearman's, of predicted and true Dice."""
    mean_absolute_error: Estimate
    """Of the predicted Dice."""
    poor_flagged: Estimate
    """Share of the poor masks that were flagged."""
    good_flagged: Estimate
    """Share of the good masks that were flagged."""
    far: int
    """Number of masks with an HD95 above ``POOR_HD95_ABOVE_MM``, whatever their Dice."""
    far_flagged: Estimate
    """Share of these that were flagged."""
    usable: int
    """Number of masks with a Dice from ``EXCELLENT_DICE_FROM`` and an HD95 below ``USABLE_BELOW_MM``."""
    usable_flagged: Estimate
    """Share of these that were flagged."""
    flagged: int
    located: Estimate
    """Share of the flagged masks whose largest named region overlaps a true error of its kind."""
    single: QualityFigures | None = None
    """Figures without the pairs of corruptions; None where there are no pairs."""

    def lines(self) -> list[str]:
        """A line per figure: value, interval, counts, aim, and whether it is met."""
        correlation, error = self.rank_correlation, self.mean_absolute_error
        lines = [
            f"{self.masks} masks of {self.anatomies} anatomies, {self.refused} more predictions gave no liver",
            _with_aim("Poor masks (Dice below 0.80)", str(self.poor), "at least 40", self.poor >= 40),
            _with_aim(
                "Spearman correlation with true Dice",
                _with_interval(correlation),
                "at least 0.80",
                correlation.value >= 0.80,
            ),
            _with_aim("Mean absolute error", _with_interval(error), "at most 0.04", error.value <= 0.04),
            _with_aim(
                f"Share of {self.poor} poor masks flagged",
                _with_interval(self.poor_flagged),
                "at least 0.95",
                self.poor_flagged.value >= 0.95,
            ),
            _with_aim(
                f"Share of {self.good} masks with Dice from 0.90 flagged",
                _with_interval(self.good_flagged),
                "at most 0.10",
                self.good_flagged.value <= 0.10,
            ),
            _with_aim(
                f"Share of {self.far} masks with an HD95 above {POOR_HD95_ABOVE_MM:.0f} mm flagged",
                _with_interval(self.far_flagged),
                "at least 0.90",
                self.far_flagged.value >= 0.90,
            ),
            _with_aim(
                f"Share of {self.usable} masks with Dice from {EXCELLENT_DICE_FROM} and HD95 below "
                f"{USABLE_BELOW_MM:.0f} mm flagged",
                _with_interval(self.usable_flagged),
                "at most 0.10",
                self.usable_flagged.value <= 0.10,
            ),
            _with_aim(
                f"Share of {self.flagged} flagged masks whose largest named region overlaps a true error",
                _with_interval(self.located),
                "at least 0.80",
                self.located.value >= 0.80,
            ),
        ]
        if self.single is not None:
            lines.append(self.single._line_without_pairs())
        return lines

    def _line_without_pairs(self) -> str:
        return (
            f"Without the pairs of corruptions ({self.masks} masks, {self.poor} of them poor): correlation "
            f"{_with_interval(self.rank_correlation)}, error {_with_interval(self.mean_absolute_error)}, flagged of "
            f"the poor {_with_interval(self.poor_flagged)}, of the good {_with_interval(self.good_flagged)}"
        )

    def to_json(self) -> dict[str, Any]:
        """The figures by name; an estimate as its value and the ends of its interval, null where unknown."""
        return {name: _to_json(value) for name, value in vars(self).items()}


def _to_json(value: int | Estimate | QualityFigures | None) -> int | dict[str, Any] | None:
    if isinstance(value, QualityFigures):
        return value.to_json()
    if isinstance(value, Estimate):
        return {name: round(float(end), 4) if np.isfinite(end) else None for name, end in value._asdict().items()}
    return value


def _with_aim(name: str, value: str, aim: str, met: bool) -> str:
    return f"{name}: {value} (aim: {aim}, {'met' if met else 'NOT met'})"


def _with_interval(figure: Estimate) -> str:
    if not figure.bounded:
        return NOT_ESTIMABLE
    return f"{figure.value:.3f} (95 % interval {figure.low:.3f} to {figure.high:.3f})"


def judge_left_out(rows: pd.DataFrame) -> pd.DataFrame:
    """``rows`` with the columns ``predicted`` (Dice) and ``flagged``.

    The models were fitted, and their flags chosen, without the row's anatomy.
    """
    predicted, flagged = np.empty(len(rows)), np.zeros(len(rows), bool)
    for train, test in anatomy_folds(rows):
        model = fit_with_flags(rows.iloc[train])
        predicted[test], distance = predict(model, rows.iloc[test])
        flagged[test] = (predicted[test] < model.flag_below) | (distance > model.flag_above_mm)
    return rows.assign(predicted=predicted, flagged=flagged | rows["large_region"].to_numpy(bool))


def cross_validate(rows: pd.DataFrame, refused: int) -> QualityFigures:
    """Measure the predictions of ``judge_left_out``; intervals are over anatomies.

    Args:
        refused: number of further predictions that gave no liver.
    """
    judged = judge_left_out(rows)
    single = judged[~judged["corruption"].str.contains(AND)]
    alone = figures_of(single, refused) if len(single) < len(judged) else None
    return replace(figures_of(judged, refused), single=alone)


def figures_of(judged: pd.DataFrame, refused: int) -> QualityFigures:
    """Measure rows that ``judge_left_out`` has completed."""
    groups, truth, predicted = (judged[name].to_numpy() for name in ("anatomy", "dice", "predicted"))
    flagged = judged["flagged"].to_numpy(bool)
    far = (judged["hd95_mm"] > POOR_HD95_ABOVE_MM).to_numpy()
    poor, good = truth < POOR_DICE_BELOW, truth >= GOOD_FROM
    usable = (truth >= EXCELLENT_DICE_FROM) & (judged["hd95_mm"] < USABLE_BELOW_MM).to_numpy()
    located = judged["located"].to_numpy(bool)
    return QualityFigures(
        masks=len(judged),
        anatomies=len(set(groups)),
        refused=refused,
        poor=int(poor.sum()),
        good=int(good.sum()),
        rank_correlation=bootstrap_interval(
            lambda i: float(spearmanr(predicted[i], truth[i]).statistic), groups, seed=0, draws=500
        ),
        mean_absolute_error=bootstrap_interval(
            lambda i: float(np.abs(predicted[i] - truth[i]).mean()), groups, seed=0, draws=500
        ),
        poor_flagged=proportion(flagged[poor], groups[poor]),
        good_flagged=proportion(flagged[good], groups[good]),
        far=int(far.sum()),
        far_flagged=proportion(flagged[far], groups[far]),
        usable=int(usable.sum()),
        usable_flagged=proportion(flagged[usable], groups[usable]),
        flagged=int(flagged.sum()),
        located=proportion(located[flagged], groups[flagged]),
    )
