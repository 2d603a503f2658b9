"""Fit the predictors of a mask's Dice and HD95: monotone additive models on the signs of a single network's own doubt.

What is fitted is what is used: one member that has not seen a case, judged by its own signs. In the app every member
has not seen the case, each is judged so, and the mean counts. The agreement between members takes no part: on the data
that they were trained on, all but one have seen each case.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from models import registry
from models.files import write_json
from pipeline.errors import ManifestError
from pipeline.segmentation.quality_features import SIGNS, Features
from pipeline.segmentation.quality_prediction import FILE, SCHEMA, AdditiveModel, PiecewiseTerm, QualityModel
from pipeline.simulation.corruptions import AND
from pipeline.statistics.bootstrap import bootstrap_interval
from pipeline.statistics.estimate import Estimate
from pipeline.statistics.proportions import proportion
from pipeline.thresholds import EXCELLENT_DICE_FROM, POOR_DICE_BELOW, POOR_HD95_ABOVE_MM
from pipeline.training.quality.robustness import UNCORRUPTED, measure_corruptions
from pipeline.training.segmenter import card as segmenter_card

log = logging.getLogger(__name__)

GOOD_FROM = 0.90
KNOTS = (0.0, 0.1, 0.3, 0.6, 1.0)
"""Quantiles of a sign at which its line may bend."""
SHRINKAGE = 0.3
FALSE_FLAGS = 0.05
"""Share of the good masks of the fitting anatomies that the flag may call poor, half of the aim of 0.10: a needless
look at an outline costs less than a poor one that nobody looks at."""
HIGHEST_FLAG = 0.90
FALSE_FAR_FLAGS = 0.02
"""Share of the masks that are good and near everywhere that the predicted distance may flag besides."""
LOWEST_FAR_FLAG_MM = 12.0
PAIRS_A_CASE = 6
"""Predictions under two corruptions at once: of single ones a good segmenter makes too few poor masks to learn from."""
FOLDS = 5
FEWEST_ANATOMIES = 4


@dataclass(frozen=True)
class Figures:
    """What was measured on anatomies that the predictor had not seen."""

    masks: int
    anatomies: int
    refused: int
    poor: int
    good: int
    rank_correlation: Estimate
    mean_absolute_error: Estimate
    poor_flagged: Estimate
    good_flagged: Estimate
    far: int
    far_flagged: Estimate
    """Masks with an HD95 above 20 mm, whatever their Dice."""
    single: Figures | None = None
    """The same of single corruptions alone."""

    def lines(self) -> list[str]:
        """A line a figure: value, interval, counts, aim, and whether it is met."""
        aims = (
            ("Poor masks (Dice below 0.80)", str(self.poor), "at least 40", self.poor >= 40),
            (
                "Spearman correlation with true Dice",
                _said(self.rank_correlation),
                "at least 0.80",
                self.rank_correlation.value >= 0.80,
            ),
            (
                "Mean absolute error",
                _said(self.mean_absolute_error),
                "at most 0.04",
                self.mean_absolute_error.value <= 0.04,
            ),
            (
                f"Share of {self.poor} poor masks flagged",
                _said(self.poor_flagged),
                "at least 0.95",
                self.poor_flagged.value >= 0.95,
            ),
            (
                f"Share of {self.good} masks with Dice from 0.90 flagged",
                _said(self.good_flagged),
                "at most 0.10",
                self.good_flagged.value <= 0.10,
            ),
        )
        alone = self.single
        return [
            f"{self.masks} masks of {self.anatomies} anatomies, {self.refused} more predictions gave no liver",
            *(f"{name}: {value} (aim: {aim}, {'met' if met else 'NOT met'})" for name, value, aim, met in aims),
            f"Share of {self.far} masks with an HD95 above {POOR_HD95_ABOVE_MM:.0f} mm flagged: "
            f"{_said(self.far_flagged)}",
            *(
                []
                if alone is None
                else [
                    f"Without the pairs of corruptions ({alone.masks} masks, {alone.poor} of them poor): correlation "
                    f"{_said(alone.rank_correlation)}, error {_said(alone.mean_absolute_error)}, flagged of the poor "
                    f"{_said(alone.poor_flagged)}, of the good {_said(alone.good_flagged)}"
                ]
            ),
        ]


def _said(figure: Estimate) -> str:
    if not figure.bounded:
        return "not estimable"
    return f"{figure.value:.3f} (95 % interval {figure.low:.3f} to {figure.high:.3f})"


def fit(rows: pd.DataFrame) -> QualityModel:
    """Both predictors, flags at the cut-offs themselves.

    Args:
        rows: ``measure_corruptions`` without the refused ones.
    """
    near = -np.log(rows["hd95_mm"].clip(1, 200).to_numpy())
    overlap = logit(rows["dice"].clip(0.02, 0.99).to_numpy())
    return QualityModel(fit_sum(rows, overlap), POOR_DICE_BELOW, fit_sum(rows, near), POOR_HD95_ABOVE_MM)


def fit_sum(rows: pd.DataFrame, target: np.ndarray) -> AdditiveModel:
    """Ridge regression of ``target`` on straight pieces of each sign, whose slopes may only go the sign's way.

    Args:
        rows: ``measure_corruptions`` without the refused ones.
        target: (rows,) the more, the better the mask.
    """
    uncorrupted = rows[rows["corruption"] == UNCORRUPTED]
    fingerprint = uncorrupted if len(uncorrupted) else rows
    lines, pieces = [], []
    for name, sign in SIGNS.items():
        reference = float(fingerprint[name].median()) if sign.goes == "near" else None
        values = rows[name].to_numpy(float) if reference is None else np.abs(rows[name].to_numpy(float) - reference)
        at = np.unique(np.quantile(values, KNOTS).round(5))
        if len(at) < 2:
            continue
        share = np.clip((values[:, None] - at[:-1]) / np.diff(at), 0, 1)
        pieces.append(share if sign.goes == "up" else 1 - share)
        lines.append((name, reference, at))
    ridge = Ridge(alpha=SHRINKAGE, positive=True).fit(np.hstack(pieces), target)
    intercept, terms, start = float(ridge.intercept_), [], 0
    for name, reference, at in lines:
        slopes = ridge.coef_[start : start + len(at) - 1]
        start += len(at) - 1
        total, climbed = float(slopes.sum()), np.concatenate([[0.0], np.cumsum(slopes)])
        adds = climbed - total if SIGNS[name].goes == "up" else -climbed
        intercept += total  # of a faultless mask: what is left of each sign is what it takes away
        if total > 1e-4:
            terms.append(PiecewiseTerm(name, reference, tuple(map(float, at)), tuple(float(a) for a in adds.round(5))))
    return AdditiveModel(intercept, tuple(terms))


def predict(model: QualityModel, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) predicted Dice, and HD95 in mm."""
    found: list[Features] = rows[list(SIGNS)].to_dict("records")  # type: ignore[assignment]
    return np.array([model.predict(row) for row in found]), np.array([model.predict_hd95_mm(row) for row in found])


def folds(rows: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of the rows to fit on and of those to judge, none of one anatomy in both."""
    groups = rows["anatomy"].to_numpy()
    return GroupKFold(min(FOLDS, len(set(groups)))).split(rows, groups=groups)


def held_out_predictions(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) Dice and HD95 in mm, predicted by models that have seen none of the row's anatomy."""
    predicted = np.empty((2, len(rows)))
    for train, test in folds(rows):
        predicted[:, test] = predict(fit(rows.iloc[train]), rows.iloc[test])
    return predicted[0], predicted[1]


def with_flag(rows: pd.DataFrame) -> QualityModel:
    """Fit, and choose the flags' margins on these rows alone: as wide as ``FALSE_FLAGS`` and ``FALSE_FAR_FLAGS`` of
    their good masks allow."""
    poor, good = (rows["dice"] < POOR_DICE_BELOW).to_numpy(), (rows["dice"] >= GOOD_FROM).to_numpy()
    near = good & (rows["hd95_mm"] <= POOR_HD95_ABOVE_MM).to_numpy()
    flag, far_flag = POOR_DICE_BELOW, POOR_HD95_ABOVE_MM
    overlap, distance = held_out_predictions(rows)
    if poor.any() and good.any():
        flag = float(np.clip(np.quantile(overlap[good], FALSE_FLAGS), POOR_DICE_BELOW, HIGHEST_FLAG))
    if near.any():
        cut = np.quantile(distance[near], 1 - FALSE_FAR_FLAGS)
        far_flag = float(np.clip(cut, LOWEST_FAR_FLAG_MM, POOR_HD95_ABOVE_MM))
    return replace(fit(rows), flag_below=round(flag, 4), flag_above_mm=round(far_flag, 2))


def judge_left_out(rows: pd.DataFrame) -> pd.DataFrame:
    """``rows`` with ``predicted`` Dice and ``flagged``, by models that were fitted, and their flags chosen, without the
    row's anatomy."""
    predicted, flagged = np.empty(len(rows)), np.zeros(len(rows), bool)
    for train, test in folds(rows):
        model = with_flag(rows.iloc[train])
        predicted[test], distance = predict(model, rows.iloc[test])
        flagged[test] = (predicted[test] < model.flag_below) | (distance > model.flag_above_mm)
    return rows.assign(predicted=predicted, flagged=flagged)


def cross_validate(rows: pd.DataFrame, refused: int) -> Figures:
    """What ``judge_left_out`` is worth; intervals over anatomies."""
    judged = judge_left_out(rows)
    single = judged[~judged["corruption"].str.contains(AND)]
    alone = figures_of(single, refused) if len(single) < len(judged) else None
    return replace(figures_of(judged, refused), single=alone)


def figures_of(judged: pd.DataFrame, refused: int) -> Figures:
    groups, truth, predicted = (judged[name].to_numpy() for name in ("anatomy", "dice", "predicted"))
    flagged = judged["flagged"].to_numpy(bool)
    far = (judged["hd95_mm"] > POOR_HD95_ABOVE_MM).to_numpy()
    poor, good = truth < POOR_DICE_BELOW, truth >= GOOD_FROM
    return Figures(
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
    )


def train_quality(
    data: Path,
    model: Path | str,
    *,
    per_corruption: int = 1,
    device: str = "auto",
    resume: bool = True,
    report: Callable[[str], None] = log.info,
) -> Figures:
    """Measure corrupted cases, those of a test split left out, fit the predictor, cross-validate it, and write
    ``quality.json`` and the card.

    Raises:
        ManifestError: fewer than four anatomies with a mask, or none of them uncorrupted.
    """
    folder = registry.find(model, "segmenter")
    rows = measure_corruptions(
        data,
        model,
        per_corruption=per_corruption,
        pairs=PAIRS_A_CASE,
        without=("test",),
        device=device,
        resume=resume,
        report=report,
    )
    masks = rows[~rows["refused"].astype(bool)].reset_index(drop=True)
    clean = masks[masks["corruption"] == UNCORRUPTED]
    if clean["anatomy"].nunique() < FEWEST_ANATOMIES:
        raise ManifestError(f"At least {FEWEST_ANATOMIES} anatomies are needed whose uncorrupted image gives a mask.")
    figures = cross_validate(masks, refused=len(rows) - len(masks))
    write(folder.folder, with_flag(masks), folder.info["sha256"], figures, per_corruption)
    segmenter_card.write(folder.folder)
    return figures


def write(folder: Path, model: QualityModel, weights: Mapping[str, str], figures: Figures, per_corruption: int) -> None:
    """Write ``quality.json``: the predictors, what they were fitted for and on, and what was measured."""
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "fitted_by": f"python -m pipeline train-quality DATA --segmenter {folder.resolve().name}",
        "predicts": "liver Dice and HD95 of one member's mask; for an ensemble the means over its members",
        "score": f"3 below flag_below or above flag_above_mm, 1 from a Dice of {EXCELLENT_DICE_FROM}, else 2",
        "severities": per_corruption,
        "weights": dict(weights),
        "flag_below": model.flag_below,
        **_sum(model.overlap),
        "hd95": {"flag_above_mm": model.flag_above_mm, **_sum(model.closeness)},
        "cross_validation": {"by": "anatomy", **_plain(figures), "in_words": figures.lines()},
    }
    write_json(folder / FILE, content)


def _sum(predictor: AdditiveModel) -> dict[str, Any]:
    return {"intercept": round(predictor.intercept, 5), "terms": [asdict(term) for term in predictor.terms]}


def _plain(figures: Figures) -> dict[str, Any]:
    """Figures as JSON types; what cannot be estimated is null."""
    plain = {}
    for name, value in vars(figures).items():
        ends = [round(float(v), 4) if np.isfinite(v) else None for v in value] if isinstance(value, tuple) else None
        plain[name] = value if ends is None else dict(zip(("value", "low", "high"), ends, strict=True))
        if isinstance(value, Figures):
            plain[name] = _plain(value)
    return plain
