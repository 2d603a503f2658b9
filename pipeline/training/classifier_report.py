"""What a training measured out of fold, and the files that carry it: ``model.json``, ``folds.json``, the model card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import timm
import torch

from models.masked_attention import BACKBONES
from models.registry import save_member, write_model_json
from pipeline.classification.slices import InputSpec
from pipeline.training.classifier_data import CachedCase
from pipeline.training.classifier_scores import auc, auc_with_interval, wilson, youden_threshold
from pipeline.training.licences import licence_tag
from pipeline.training.manifest import Cohort

if TYPE_CHECKING:
    from pipeline.training.classifier import Member, Settings

Interval = tuple[float, float, float]
"""Value, lower and upper end of its 95 % interval."""

SIMULATED_NOTE = (
    "Trained on simulated fibrosis: the probability means nothing for a patient until this site installs weights "
    "trained on its own cohort."
)


@dataclass(frozen=True)
class Measured:
    """Figures on cases that the member concerned has not seen."""

    out_of_fold: pd.DataFrame
    """patient_id, source_anatomy, fold, label, raw_logit, probability (on the common scale), heat_peak."""
    auc: Interval
    """Of the members' own logits, pooled; interval by bootstrap over anatomies."""
    fold_aucs: tuple[float, ...]
    threshold: float
    sensitivity: Interval
    specificity: Interval
    heat_scale: float


def measure(cases: Sequence[CachedCase], members: Sequence[Member], seed: int) -> Measured:
    """AUC, operating point and heat scale from out-of-fold answers."""
    table = pd.concat([out_of_fold(cases, member, fold) for fold, member in enumerate(members)], ignore_index=True)
    labels = table.label.to_numpy(bool)
    probabilities = table.probability.to_numpy(float)
    threshold = youden_threshold(labels, probabilities)
    called = probabilities >= threshold
    by_fold = [part for _, part in table.groupby("fold")]
    return Measured(
        out_of_fold=table,
        auc=auc_with_interval(labels, table.raw_logit.to_numpy(float), table.source_anatomy.to_numpy(str), seed=seed),
        fold_aucs=tuple(auc(part.label.to_numpy(bool), part.raw_logit.to_numpy(float)) for part in by_fold),
        threshold=threshold,
        sensitivity=wilson(int((called & labels).sum()), int(labels.sum())),
        specificity=wilson(int((~called & ~labels).sum()), int((~labels).sum())),
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
            "probability": 1 / (1 + np.exp(-member.logits)),
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
    settings: Settings,
    spec: InputSpec,
    measured: Measured,
    licence: str,
) -> None:
    """Replace what ``out`` holds of an earlier training by this one."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("fold[0-9]*"):
        shutil.rmtree(old)
    for fold, member in enumerate(members):
        state = {key: value.detach().cpu().contiguous() for key, value in member.net.state_dict().items()}
        save_member(out, f"fold{fold}", state)
    unseen = {f"fold{fold}": [cases[i].case_id for i in member.unseen] for fold, member in enumerate(members)}
    (out / "folds.json").write_text(json.dumps(unseen, indent=1) + "\n", encoding="utf-8")
    info = model_info(cohort, cases, settings, spec, measured, licence)
    write_model_json(out, info)
    (out / "MODEL_CARD.md").write_text(model_card(info, measured), encoding="utf-8")


def model_info(
    cohort: Cohort,
    cases: Sequence[CachedCase],
    settings: Settings,
    spec: InputSpec,
    measured: Measured,
    licence: str = "unknown",
) -> dict:
    """The content of ``model.json``: all that code and page know of this model."""
    positives, anatomies = sum(case.label for case in cases), len({case.anatomy for case in cases})
    kind = "simulated" if cohort.simulated else "labelled"
    trained_on = f"{len(cases)} {kind} cases ({positives} positive) from {anatomies} anatomies"
    return {
        "schema": 1,
        "kind": "classifier",
        "trained_on": trained_on,
        "licence": licence,
        "cohort": cohort.description,
        "note": SIMULATED_NOTE if cohort.simulated else "",
        "positive_class": cohort.positive_class,
        "threshold": round(measured.threshold, 4),
        "heat_scale": float(f"{measured.heat_scale:.4g}"),
        "network": {
            "backbone": settings.backbone,
            "mask": settings.mask,
            "stages": list(BACKBONES[settings.backbone][1]),
        },
        "input": spec.to_json(),
        "out_of_fold": {
            "cases": len(cases),
            "positives": positives,
            "auc": rounded(measured.auc),
            "fold_aucs": rounded(measured.fold_aucs),
            "sensitivity": rounded(measured.sensitivity),
            "specificity": rounded(measured.specificity),
        },
        "training": {**asdict(settings), "torch": torch.__version__.split("+")[0], "timm": timm.__version__},
    }


def rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]


def in_words(interval: Sequence[float]) -> str:
    return f"{interval[0]:.3f} (95 % interval {interval[1]:.3f} to {interval[2]:.3f})"


def model_card(info: dict, measured: Measured) -> str:
    """The card in Markdown, every figure measured by the training that wrote the weights."""
    figures, training, shape = info["out_of_fold"], info["training"], info["input"]
    note = f"**{info['note']}**\n\n" if info["note"] else ""
    cohort = f" {info['cohort']}" if info["cohort"] else ""
    return f"""---
license: {licence_tag(info["licence"])}
library_name: timm
pipeline_tag: image-classification
tags: [liver, MRI, T2, fibrosis]
---

# Fibrosis classifier

{note}Research use only. Not a medical device.

Written by `python -m pipeline train-classifier`; do not edit by hand.

## What it does
It reads axial T2-weighted slices through the liver with a liver mask and gives the probability of
**{info["positive_class"]}**, at the share of positives of its training cohort.

## Data
{info["trained_on"]}.{cohort} Licence of these weights: {info["licence"]}.

## Network
{training["backbone"]} without its last stage, mask use `{training["mask"]}`: mask attention after each stage, masked
average pooling, learned slice attention, one logit. {training["folds"]} members, one per fold.
In-plane spacing {shape["spacing_mm"]} mm, crop {shape["size_yx"][0]} x {shape["size_yx"][1]} pixels or more,
at most {shape["max_slices"]} slices; brightness in units of the liver's median.

## Measured out of fold
Each case is read by the one member that has not seen its anatomy ({figures["cases"]} cases,
{figures["positives"]} positive).

| | value |
|---|---|
| AUC, pooled | {in_words(measured.auc)}; bootstrap over anatomies |
| AUC by fold | {", ".join(f"{value:.3f}" for value in measured.fold_aucs)} |
| sensitivity at the threshold | {in_words(measured.sensitivity)}; Wilson |
| specificity at the threshold | {in_words(measured.specificity)}; Wilson |
| threshold | {info["threshold"]} |
| heat scale | {info["heat_scale"]} |

- The threshold maximises Youden's index. No case is unseen by the whole ensemble, so it is fitted on the members'
  out-of-fold probabilities after each member was put on one scale (Platt scaling, written into its last layer). An
  average of three members is a little less extreme than one member, so the ensemble's true operating point may differ
  slightly. Sensitivity and specificity are of the cases that chose the threshold, so they flatter.
- The pooled AUC uses the members' logits as they were before scaling.
- The heat scale is the upper quartile of the positives' strongest out-of-fold heat; the same for every case.

## Training
{training["epochs"]} epochs, {training["slices"]} slices a case, {training["batch"]} cases a step, AdamW at
{training["learning_rate"]} with warm-up and cosine, bfloat16, seed {training["seed"]}, from random weights;
torch {training["torch"]}, timm {training["timm"]}. Varied in training: geometry, gain, gamma, shading, resolution,
noise, the mask's edge, missing parts of the mask, no mask.
"""
