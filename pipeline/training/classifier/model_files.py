"""What a training measured out of fold, and the files that carry it: weights, ``model.json``, ``folds.json``, card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import timm
import torch
from scipy.special import expit

from models.masked_attention import BACKBONES, MaskedAttentionNet
from models.registry import write_model_json
from models.replacement import drafted
from models.weights import WEIGHT_BITS, save_member
from pipeline.classification.slices import InputSpec
from pipeline.cohort.manifest import Cohort
from pipeline.statistics import Estimate
from pipeline.statistics.auc import auc, auc_with_interval
from pipeline.statistics.proportions import proportion
from pipeline.training.classifier import card as classifier_card
from pipeline.training.classifier.data import CachedCase
from pipeline.training.classifier.fold import Settings
from pipeline.training.classifier.operating_point import indeterminate_zone, threshold_at_sensitivity, youden_threshold

SIMULATED_NOTE = (
    "Trained on simulated fibrosis: the probability means nothing for a patient until this site installs weights "
    "trained on its own cohort."
)
LEAK_NOTES = {
    "shuffled": "Trained on shuffled labels, to test for leaks: the probability means nothing at all.",
    "site": "Trained to tell the first site, to test for leaks: the probability says nothing of fibrosis.",
}


@dataclass(frozen=True)
class Member:
    """One fold's network, and what it says of the cases that it has not seen."""

    net: MaskedAttentionNet
    unseen: np.ndarray
    """Indices of those cases."""
    raw_logits: np.ndarray
    """Before the member was put on the common scale."""
    logits: np.ndarray
    """After it."""
    scale_and_shift: tuple[float, float]
    """That made these logits of the raw ones (Platt's); the scale is one over the temperature."""
    heat_peaks: np.ndarray
    """Strongest heat in the liver, after it."""
    epochs: int
    """Trained, until the end or until the inner fold stopped it."""
    seconds: float
    """That took."""


@dataclass(frozen=True)
class Measured:
    """Figures on cases that the member concerned has not seen."""

    out_of_fold: pd.DataFrame
    """patient_id, source_anatomy, fold, label, raw_logit, probability (on the common scale), heat_peak."""
    auc: Estimate
    """Of the members' own logits, pooled; interval by bootstrap over anatomies."""
    fold_aucs: tuple[float, ...]
    threshold: float
    rule: str
    """How the threshold was chosen, in words."""
    sensitivity: Estimate
    specificity: Estimate
    indeterminate: tuple[float, float] | None
    """Rule-out and rule-in point; None where one cut keeps the promises of both."""
    rule_out_sensitivity: Estimate
    rule_in_specificity: Estimate
    """At the ends of the indeterminate zone, at the threshold where there is none."""
    heat_scale: float


def measure(
    cases: Sequence[CachedCase], members: Sequence[Member], seed: int, sensitivity: float | None = None
) -> Measured:
    """AUC, operating point, indeterminate zone and heat scale from out-of-fold answers alone.

    Args:
        sensitivity: wished of the operating point; Youden's index where it is not given.
    """
    table = pd.concat([out_of_fold(cases, member, fold) for fold, member in enumerate(members)], ignore_index=True)
    labels, probabilities = table.label.to_numpy(bool), table.probability.to_numpy(float)
    anatomies = table.source_anatomy.to_numpy(str)
    if sensitivity is None:
        threshold, rule = youden_threshold(labels, probabilities), "maximises Youden's index"
    else:
        threshold = threshold_at_sensitivity(labels, probabilities, sensitivity)
        rule = f"is the highest with a sensitivity of {sensitivity:g}"
    zone = indeterminate_zone(labels, probabilities, threshold)
    low, high = zone or (threshold, threshold)

    def sensitivity_at(cut: float) -> Estimate:
        return proportion(probabilities[labels] >= cut, anatomies[labels])

    def specificity_at(cut: float) -> Estimate:
        return proportion(probabilities[~labels] < cut, anatomies[~labels])

    by_fold = [part for _, part in table.groupby("fold")]
    return Measured(
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
        heat_scale=heat_scale(table),
    )


def out_of_fold(cases: Sequence[CachedCase], member: Member, fold: int) -> pd.DataFrame:
    unseen = [cases[i] for i in member.unseen]
    return pd.DataFrame(
        {
            "patient_id": [case.case_id for case in unseen],
            "source_anatomy": [case.anatomy for case in unseen],
            "fold": fold,
            "label": [case.label for case in unseen],
            "raw_logit": member.raw_logits,
            "probability": expit(member.logits),
            "heat_peak": member.heat_peaks,
        }
    )


def heat_scale(table: pd.DataFrame) -> float:
    """The heat that is shown as 1: three of four positives peak below it, and so does nearly every negative."""
    peaks = table.heat_peak[table.label & (table.heat_peak > 0)]
    return float(np.percentile(peaks, 75)) if len(peaks) else 1.0


def write_model(
    out: Path,
    cohort: Cohort,
    cases: Sequence[CachedCase],
    members: Sequence[Member],
    unseen_by: Sequence[Sequence[CachedCase]],
    settings: Settings,
    spec: InputSpec,
    measured: Measured,
    licence: str,
    manifest_sha256: str,
    device: torch.device,
) -> None:
    """Replace what ``out`` holds of an earlier training by this one.

    Args:
        unseen_by: the cases that each fold leaves out, with a member or without.
    """
    unseen = {f"fold{fold}": [case.case_id for case in part] for fold, part in enumerate(unseen_by)}
    info = model_info(cohort, cases, settings, spec, measured, licence)
    info["manifest_sha256"] = manifest_sha256
    info["unseen_anatomies"] = {
        f"fold{fold}": sorted({case.anatomy for case in part}) for fold, part in enumerate(unseen_by)
    }
    info["training"] |= {
        "epochs_done": [member.epochs for member in members],
        "hours": round(sum(member.seconds for member in members) / 3600, 3),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "command": classifier_card.command(settings),
    }
    info["calibration"] = {
        f"fold{fold}": dict(zip(("scale", "shift"), (round(value, 5) for value in member.scale_and_shift), strict=True))
        for fold, member in enumerate(members)
    }
    with drafted(out) as draft:
        for fold, member in enumerate(members):
            state = {key: value.detach().cpu().contiguous() for key, value in member.net.state_dict().items()}
            save_member(draft, f"fold{fold}", state, bits=WEIGHT_BITS)
        (draft / "folds.json").write_text(json.dumps(unseen, indent=1) + "\n", encoding="utf-8")
        write_model_json(draft, info)
        (draft / "MODEL_CARD.md").write_text(classifier_card.model_card(info, draft.name), encoding="utf-8")


def model_info(
    cohort: Cohort,
    cases: Sequence[CachedCase],
    settings: Settings,
    spec: InputSpec,
    measured: Measured,
    licence: str = "unknown",
) -> dict:
    """The content of ``model.json``: all that code, page and card know of this model, but for its making."""
    positives, anatomies = sum(case.label for case in cases), len({case.anatomy for case in cases})
    kind = "simulated" if cohort.simulated else "labelled"
    leak = LEAK_NOTES.get(settings.labels)
    notes = [SIMULATED_NOTE] * cohort.simulated + ([leak] if leak else [])
    if not leak and not measured.auc.low > 0.5:
        notes.append(f"Out of fold it was not shown to tell more than chance (AUC {measured.auc.value:.2f}).")
    zone = {"indeterminate": [round(cut, 4) for cut in measured.indeterminate]} if measured.indeterminate else {}
    return {
        "schema": 1,
        "kind": "classifier",
        "trained_on": f"{len(cases)} {kind} cases ({positives} positive) from {anatomies} anatomies",
        "simulated": cohort.simulated,
        "licence": licence,
        "cohort": cohort.description,
        "note": " ".join(notes),
        "positive_class": "the first site" if settings.labels == "site" else cohort.positive_class,
        "threshold": round(measured.threshold, 4),
        "threshold_rule": measured.rule,
        **zone,
        "heat_scale": float(f"{measured.heat_scale:.4g}"),
        "network": {
            "backbone": settings.backbone,
            "mask": settings.mask,
            "stages": list(BACKBONES[settings.backbone][1]),
        },
        "input": spec.to_json(),
        "out_of_fold": {
            "cases": len(measured.out_of_fold),
            "positives": int(measured.out_of_fold.label.sum()),
            "auc": rounded(measured.auc),
            "fold_aucs": rounded(measured.fold_aucs),
            "sensitivity": rounded(measured.sensitivity),
            "specificity": rounded(measured.specificity),
            "rule_out_sensitivity": rounded(measured.rule_out_sensitivity),
            "rule_in_specificity": rounded(measured.rule_in_specificity),
        },
        "training": {**asdict(settings), "torch": torch.__version__.split("+")[0], "timm": timm.__version__},
    }


def rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]
