"""The classifier's model card, as model hubs read it: terms and results in its header, every figure measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from models.cards import licence_tag
from pipeline import RESEARCH_USE
from pipeline.training.classifier.fold import Settings

TEMPLATE = """---
{header}
---

# Fibrosis classifier

{note}{research_use}

Written by `python -m pipeline train-classifier`; do not edit by hand.

## What it does
It reads axial T2-weighted slices through the liver with a liver mask and gives the probability of
**{positive_class}**, at the share of positives of its training cohort.

## Intended use
For research on readers and models, on adults with an axial T2-weighted MRI of the whole liver. Not for diagnosis, not
for deciding on a biopsy or a treatment, and not for populations, scanners or protocols that its cohort does not hold.

## Data and terms
{trained_on}.{cohort} SHA-256 of the training manifest: `{manifest_sha256}`. Licence of these weights: {licence}.

## Network
{backbone} without its last stage, mask use `{mask}`: mask attention after each stage, masked average pooling, learned
slice attention, one logit. {folds} members, one per fold.
In-plane spacing {spacing_mm} mm, crop {rows} x {columns} pixels or more, at most {max_slices} slices; brightness in
units of the liver's median.

## Training
`{command}`

{hours} hours on {device}, summed over the members; {epochs_done} epochs, {slices} slices a case, {batch} cases a step,
AdamW at {learning_rate} with warm-up and cosine, weights averaged over the last steps ({averaging} a step),
seed {seed}, from {start}; torch {torch}, timm {timm}. {stopping}
Varied in training: geometry, gain, gamma, shading, resolution, noise, the mask's edge, missing parts of the mask, no
mask.

## Measured out of fold
Each case is read by the one member that has not seen its anatomy ({cases} cases, {positives} positive).

| | value |
|---|---|
| AUC, pooled | {auc}; bootstrap over anatomies |
| AUC by fold | {fold_aucs} |
| sensitivity at the threshold | {sensitivity} |
| specificity at the threshold | {specificity} |
| threshold | {threshold} |
| indeterminate zone | {zone} |
| sensitivity at the rule-out point | {rule_out_sensitivity} |
| specificity at the rule-in point | {rule_in_specificity} |
| heat scale | {heat_scale} |

- Intervals of proportions are Wilson's, with cases of one anatomy counted as related.
- The threshold {threshold_rule}. No case is unseen by the whole ensemble, so it is fitted on the members'
  out-of-fold probabilities after each member was put on one scale (Platt scaling, written into its last layer). An
  average of members is a little less extreme than one member, so the ensemble's true operating point may differ
  slightly. Sensitivity and specificity are of the cases that chose the threshold, so they flatter.
- The indeterminate zone reaches from the highest cut with a sensitivity of 0.90 to the lowest with a specificity of
  0.90, and is widened to hold the threshold.
- The pooled AUC uses the members' logits as they were before scaling.
{unscaled}- The heat scale is the upper quartile of the positives' strongest out-of-fold heat; the same for every case.

## Limits
- Cross-validation within one cohort says nothing about sites, scanners, protocols or causes of disease outside it.
- The answer depends on the liver mask: the app shows by how much, and warns.
- It was not measured on images corrupted by noise, motion or shading.
- Whether the classifier reads the liver or the scanner is measured by trainings with `--mask background-only`,
  `background-only-without-spleen` or `mask-only`, and with `--labels site` or `shuffled`. Only the last must have an
  AUC of 0.5: outline and spleen are signs themselves, and a scanner can always be told.
- The heat map shows where the score comes from, not where fibrosis is.
"""


def model_card(info: Mapping[str, Any], name: str) -> str:
    """The card in Markdown.

    Args:
        info: the content of ``model.json``.
        name: of the model, for the header.
    """
    figures, training, shape = info["out_of_fold"], info["training"], info["input"]
    patience, zone = training["patience"], info.get("indeterminate")
    stopped = f"A member stopped after {patience} epochs without a better inner fold (anatomies of its own part)."
    estimates = {key: in_words(value) for key, value in figures.items() if key not in ("cases", "positives")}
    return TEMPLATE.format(
        **{
            **training,
            **info,
            **estimates,
            "header": header(info, name),
            "note": f"**{info['note']}**\n\n" if info["note"] else "",
            "research_use": RESEARCH_USE,
            "cohort": f" {info['cohort']}" if info["cohort"] else "",
            "spacing_mm": shape["spacing_mm"],
            "rows": shape["size_yx"][0],
            "columns": shape["size_yx"][1],
            "max_slices": shape["max_slices"],
            "epochs_done": ", ".join(map(str, training["epochs_done"])),
            "start": f"pretrained weights ({training['pretrained']})" if training["pretrained"] else "random weights",
            "stopping": "All epochs on all cases of the part." if patience is None else stopped,
            "cases": figures["cases"],
            "positives": figures["positives"],
            "fold_aucs": ", ".join(f"{value:.3f}" for value in figures["fold_aucs"]),
            "unscaled": unscaled(info.get("calibration", {})),
            "zone": f"{zone[0]} to {zone[1]}" if zone else "none: one cut keeps both promises",
        }
    )


def unscaled(calibration: Mapping[str, Mapping[str, float]]) -> str:
    """Which members kept their scale, since their answers did not rise with the label."""
    members = [name for name, fitted in calibration.items() if (fitted["scale"], fitted["shift"]) == (1, 0)]
    if not members:
        return ""
    return (
        f"- No scale could be fitted for {', '.join(members)}, whose answers did not rise with the label: their\n"
        "  probabilities are not at the share of positives of the cohort.\n"
    )


def header(info: Mapping[str, Any], name: str) -> str:
    """The YAML that a hub reads: licence, library, task, tags, and the results with their names."""
    figures = info["out_of_fold"]
    cohort = "simulated" if info["simulated"] else "cohort of the site that trained it"
    results = [
        EvalResult("image-classification", "cohort", cohort, kind, figures[kind][0], metric_name=f"{kind}, out of fold")
        for kind in ("auc", "sensitivity", "specificity")
    ]
    return ModelCardData(
        license=licence_tag(info["licence"]),
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["liver", "MRI", "T2", "fibrosis", "research-only"],
        model_name=name,
        eval_results=results,
    ).to_yaml()


def in_words(interval: Sequence[float]) -> str:
    return f"{interval[0]:.3f} (95 % interval {interval[1]:.3f} to {interval[2]:.3f})" if len(interval) == 3 else ""


def command(settings: Settings) -> str:
    """The command of a training, with every option that differs from its default; paths stay at the site."""
    usual, said = Settings(), ["python -m pipeline train-classifier MANIFEST -o MODEL"]
    for name in ("backbone", "mask", "labels", "folds", "members", "epochs", "patience", "seed"):
        value = getattr(settings, name)
        if value != getattr(usual, name):
            said.append(f"--{name} {str(value).replace('_', '-')}")
    if settings.cut_offs != usual.cut_offs:
        said.append(f"--lsm-cut {settings.cut_offs.lsm_kpa:g} --metavir-cut {settings.cut_offs.metavir}")
    if settings.pretrained:
        said.append("--pretrained " + (settings.pretrained if settings.pretrained == "imagenet" else "FILE"))
    return " ".join(said)
