"""The segmenter's model card: what it is, its terms, how it was trained, and its measured cross-validation."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from models import registry
from pipeline.errors import ModelError
from pipeline.segmentation.quality_prediction import FILE
from pipeline.training.licences import licence_tag

CORRUPTIONS = "corruptions.csv"

TEMPLATE = """---
license: {licence_tag}
library_name: nnunetv2
pipeline_tag: image-segmentation
tags: [liver, MRI, T2, segmentation, nnU-Net]
---

# {name}: liver, kidneys and spleen on axial T2-weighted MRI

An ensemble of {count} nnU-Net v2 networks ({configuration}, {parameters:.1f} million parameters each), in float16
safetensors. Research use only; not a medical device.

## Data and terms
Trained on {trained_on}. Licence of these weights: {licence}.

## Training
`{command}`: {training}.
Each member was trained without the cases that `folds.json` names for it. nnU-Net's own planning, preprocessing,
augmentation, network and loss; AdamW and an averaged network; brightness and contrast redrawn organ by organ.

## Cross-validation
Each case predicted by the one member that has not seen it, on its own voxel grid, after the largest component was kept
and holes were filled. HD95 is the larger of the two directed 95th percentiles. Written by
`{evaluation_command}`.

{summary}

{table}
{sections}
## Limits
- Dice on these cases says nothing about subjects, protocols or vendors that are not among them.
- Slices much thinner or thicker, other planes, a liver cut by the field of view: expect less; the app warns.
- The agreement of the ensemble that the app shows is a hint at quality, not a measure of it.
"""


def folds(folder: Path) -> dict[str, list[str]]:
    """The cases that each member has not seen, from ``folds.json``; empty for a model without it."""
    file = folder / "folds.json"
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text())
        return {str(member): [str(case) for case in cases] for member, cases in content.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise ModelError("The model's folds.json is damaged; train or install the model again.") from error


def unseen_by(folder: Path) -> dict[str, str]:
    """The member that has not seen a case, by case."""
    return {case: member for member, cases in folds(folder).items() for case in cases}


def write(folder: Path, table: pd.DataFrame) -> None:
    """Write ``MODEL_CARD.md`` from ``model.json`` and a cross-validation by ``evaluate_segmenter``."""
    info = json.loads((folder / "model.json").read_text())
    training = info.get("training", {})
    said = "{steps} steps a member, {hours:.1f} hours on {device} summed over the members, seed {seed}".format(
        **{"steps": 0, "hours": 0.0, "device": "an unknown device", "seed": 0} | training
    )
    text = TEMPLATE.format(
        name=folder.resolve().name,
        count=len(info["members"]),
        configuration=info["configuration"],
        parameters=training.get("parameters", 0) / 1e6,
        trained_on=info["trained_on"],
        licence=info["licence"],
        licence_tag=licence_tag(info["licence"]),
        training=said,
        command=training.get("command", "python -m pipeline train-segmenter"),
        evaluation_command="python -m pipeline evaluate-segmenter DATA --segmenter " + folder.resolve().name,
        summary=markdown(summarise(table)),
        table=markdown(table),
        sections=corruption_section(folder) + quality_section(folder),
    )
    (folder / "MODEL_CARD.md").write_text(text)


def rewrite(folder: Path) -> None:
    """Write the card anew around the cross-validation that stands in the folder; without one there is no card yet."""
    if (folder / "evaluation.csv").is_file():
        write(folder, pd.read_csv(folder / "evaluation.csv"))


def corruption_section(folder: Path) -> str:
    """Dice by corruption; nothing where it was not measured with these weights."""
    file = folder / CORRUPTIONS
    if not file.is_file():
        return ""
    table = pd.read_csv(file)
    if set(table.pop("weights")) != {registry.find(folder, "segmenter").sha256[:12]}:
        return ""
    return f"""
## Corrupted images
Mean liver Dice of members that have not seen the case, by corruption and severity (1 is worse than a reader
should accept); a case where no liver was found counts as 0. Written by `python -m pipeline evaluate-corruptions DATA`.

{markdown(table)}
"""


def quality_section(folder: Path) -> str:
    """What the predictor of quality is worth; nothing where there is none for these weights."""
    file = folder / FILE
    if not file.is_file():
        return ""
    content = json.loads(file.read_text(encoding="utf-8"))
    if content["weights"] != registry.find(folder, "segmenter").info["sha256"]:
        return ""
    lines = "\n".join(f"- {line}" for line in content["cross_validation"]["in_words"])
    return f"""
## Predicted quality
The app predicts the Dice of each mask from signs of the networks' own doubt. A mask below {content["flag_below"]:.2f}
is flagged as poor (score 3) by Dice alone; HD95 is not predicted. The ensemble's agreement takes no part, since all
members but one have seen each case that there was to fit on. Measured on anatomies left out, under the corruptions
above, and therefore nothing about other scanners or cirrhotic livers. Written by `python -m pipeline train-quality`.

{lines}
"""


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation, worst and median Dice, and mean distances, by organ."""
    rows = []
    for organ, part in table.groupby("organ", sort=False):
        rows.append({
            "organ": organ, "cases": len(part), "mean Dice": part["dice"].mean(), "SD": part["dice"].std(),
            "median": part["dice"].median(), "worst": part["dice"].min(), "mean IoU": part["iou"].mean(),
            "mean HD95 mm": part["hd95_mm"].mean(), "mean ASSD mm": part["assd_mm"].mean(),
            "mean absolute volume error %": part["volume_error_percent"].abs().mean(),
        })  # fmt: skip
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """A Markdown table; figures with three digits below 2 and one above."""

    def shown(value: object) -> str:
        if not isinstance(value, float):
            return str(value)
        return f"{value:.3f}" if abs(value) < 2 else f"{value:.1f}"

    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(shown(value) for value in row) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)
