"""Figures of an ensemble out of fold: each case is predicted by the one member that has not seen its anatomy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from pipeline.statistics import Estimate
from pipeline.statistics.auc import auc, auc_with_interval
from pipeline.statistics.proportions import proportion
from pipeline.training.classifier.member_predictions import MemberPredictions
from pipeline.training.classifier.operating_point import indeterminate_zone, threshold_at_sensitivity, youden_threshold


@dataclass(frozen=True)
class OutOfFoldFigures:
    """AUC, operating point, indeterminate zone and heat scale, from out-of-fold predictions alone."""

    out_of_fold: pd.DataFrame
    """Predictions, a row per case: patient_id, source_anatomy, fold, label, raw_logit, probability (after Platt
    scaling) and, where there are heat maps, heat_peak."""
    auc: Estimate
    """Pooled AUC of the members' raw logits; interval by bootstrap over anatomies."""
    fold_aucs: tuple[float, ...]
    """AUC of each member on its own unseen cases, (members,)."""
    threshold: float
    """Probability from which a case counts as positive."""
    rule: str
    """Criterion of the threshold, in words."""
    sensitivity: Estimate
    """Sensitivity at the threshold."""
    specificity: Estimate
    """Specificity at the threshold."""
    indeterminate: tuple[float, float] | None
    """Rule-out and rule-in point, probabilities; None where one cut has the sensitivity and specificity of both."""
    rule_out_sensitivity: Estimate
    """Sensitivity at the lower end of the indeterminate zone; at the threshold where there is none."""
    rule_in_specificity: Estimate
    """Specificity at the upper end of the indeterminate zone; at the threshold where there is none."""
    heat_scale: float | None
    """Heat that is shown as 1, see ``heat_scale``; None for a classifier without heat maps."""


def measure(
    members: Sequence[MemberPredictions], seed: int, target_sensitivity: float | None = None
) -> OutOfFoldFigures:
    """Measure an ensemble on its out-of-fold predictions.

    Args:
        members: of fold 0, 1 and so on.
        seed: of the bootstrap.
        target_sensitivity: of the operating point, 0-1; None maximises Youden's index.
    """
    table = pd.concat([predictions(member, fold) for fold, member in enumerate(members)], ignore_index=True)
    labels, probabilities = table.label.to_numpy(bool), table.probability.to_numpy(float)
    anatomies = table.source_anatomy.to_numpy(str)
    threshold, rule = operating_point(labels, probabilities, target_sensitivity)
    zone = indeterminate_zone(labels, probabilities, threshold)
    low, high = zone or (threshold, threshold)

    def sensitivity_at(cut: float) -> Estimate:
        return proportion(probabilities[labels] >= cut, anatomies[labels])

    def specificity_at(cut: float) -> Estimate:
        return proportion(probabilities[~labels] < cut, anatomies[~labels])

    by_fold = [part for _, part in table.groupby("fold")]
    return OutOfFoldFigures(
        out_of_fold=table,
        auc=auc_with_interval(labels, table.raw_logit.to_numpy(float), anatomies, seed=seed),
        fold_aucs=tuple(auc(part.label.to_numpy(bool), part.raw_logit.to_numpy(float)) for part in by_fold),
        threshold=threshold,
        rule=rule,
        sensitivity=sensitivity_at(threshold),
        specificity=specificity_at(threshold),
        indeterminate=zone,
        rule_out_sensitivity=sensitivity_at(low),
        rule_in_specificity=specificity_at(high),
        heat_scale=heat_scale(table) if "heat_peak" in table else None,
    )


def operating_point(
    labels: np.ndarray, probabilities: np.ndarray, target_sensitivity: float | None
) -> tuple[float, str]:
    """The threshold and its criterion in words; (cases,) bool and probabilities."""
    if target_sensitivity is None:
        return youden_threshold(labels, probabilities), "maximises Youden's index"
    threshold = threshold_at_sensitivity(labels, probabilities, target_sensitivity)
    return threshold, f"is the highest with a sensitivity of {target_sensitivity:g}"


def predictions(member: MemberPredictions, fold: int) -> pd.DataFrame:
    """A member's unseen cases as rows of ``OutOfFoldFigures.out_of_fold``."""
    return pd.DataFrame(
        {
            "patient_id": [case.case_id for case in member.unseen],
            "source_anatomy": [case.anatomy for case in member.unseen],
            "fold": fold,
            "label": [case.label for case in member.unseen],
            "raw_logit": member.raw_logits,
            "probability": expit(member.logits),
        }
        | ({} if member.heat_peaks is None else {"heat_peak": member.heat_peaks})
    )


def heat_scale(table: pd.DataFrame) -> float:
    """The upper quartile of the positives' heat peaks: three of four peak below it, and so does nearly every negative.

    1 where no positive case has any heat.
    """
    peaks = table.heat_peak[table.label & (table.heat_peak > 0)]
    return float(np.percentile(peaks, 75)) if len(peaks) else 1.0
