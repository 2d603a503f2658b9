"""The segmenter's model card: what it is, its terms, how it was trained, and its measured cross-validation."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import numpy as np
import pandas as pd

from models import registry
from models.cards import licence_tag
from models.measured import BEFORE, CORRUPTIONS, EVALUATION, read_measured
from pipeline.segmentation.quality_prediction import FILE
from pipeline.statistics.means import mean_interval

log = logging.getLogger(__name__)

TEMPLATE = """---
license: {licence_tag}
library_name: nnunetv2
pipeline_tag: image-segmentation
tags: [liver, MRI, T2, segmentation, nnU-Net]
---

# {name}: {organs} on axial T2-weighted MRI

An ensemble of {count} nnU-Net v2 networks ({configuration}, {parameters:.1f} million parameters each), in float16
safetensors. Research use only; not a medical device.

## Intended use
To outline the {organs} of adults on an axial T2-weighted series of the whole abdomen, for research, with a reader who
looks at every outline. Not for diagnosis or treatment, and not for volumes that nobody has checked.

## Data and terms
Trained on {trained_on}. Licence of these weights: {licence}.

## Training
`python -m pipeline train-segmenter`: {training}.
Each member was trained without the cases that `folds.json` names for it. nnU-Net's own planning, preprocessing,
augmentation, network and loss; AdamW and an averaged network. In a share of the samples brightness and contrast are
redrawn organ by organ, and pools of bright fluid put around the organs.{degraded}

## Cross-validation
{cross_validation}
{sections}
## Limits
- Dice on these cases says nothing about subjects, protocols or vendors that are not among them.
- Slices much thinner or thicker, other planes, a liver cut by the field of view: expect less; the app warns.
- The agreement of the ensemble that the app shows is a hint at quality, not a measure of it.
"""


BLENDED = """
The last part of the training began with an earlier version's weights; these lie halfway between that version's and its
own."""

EXPORTED = """---
license: {licence_tag}
library_name: nnunetv2
pipeline_tag: image-segmentation
tags: [liver, MRI, segmentation, nnU-Net]
---

# {name}: {organs}

{count} nnU-Net v2 network(s) ({configuration}), trained elsewhere and exported by `python -m pipeline models export`.
Research use only; not a medical device.

## Data and terms
Trained on {trained_on}. Licence of these weights: {licence}.

## Measured
Nothing here: run `python -m pipeline evaluate-segmenter DATA --segmenter {name}` on cases that it has not seen.
"""

DEGRADED = """
Half of the samples are corrupted at a random severity in one of the ways that `evaluate-corruptions` tries, but for the
cropped field of view: what that finds is about anatomies that a member has not seen, not about kinds of fault."""

CROSS_VALIDATION = """\
Each case predicted by the one member that has not seen it, on its own voxel grid, after the largest component was kept
and holes were filled. HD95 is the larger of the two directed 95th percentiles. Written by
`{command}`.

{summary}

{table}"""


def write_exported(folder: Path) -> None:
    """Write a card of a model that was trained elsewhere: what is known of it here, which is not how well it does."""
    info = json.loads((folder / "model.json").read_text())
    (folder / "MODEL_CARD.md").write_text(
        EXPORTED.format(
            name=folder.resolve().name,
            count=len(info["members"]),
            organs=organs_of(folder),
            configuration=info["configuration"],
            trained_on=info["trained_on"],
            licence=info["licence"],
            licence_tag=licence_tag(info["licence"]),
        )
    )


def organs_of(folder: Path) -> str:
    """The labels of a segmenter in words: ``liver and spleen``."""
    labels = json.loads((folder / "dataset.json").read_text())["labels"]
    names = [str(name).replace("_", " ") for name, value in labels.items() if value != 0]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def write(folder: Path) -> None:
    """Write ``MODEL_CARD.md`` of a model that was trained here from what stands in its folder."""
    info = json.loads((folder / "model.json").read_text())
    training = info.get("training", {})
    said = "{steps} steps a member, {hours:.1f} hours on {device} summed over the members, seed {seed}".format(
        **{"steps": 0, "hours": 0.0, "device": "an unknown device", "seed": 0} | training
    )
    text = TEMPLATE.format(
        name=folder.resolve().name,
        organs=organs_of(folder),
        count=len(info["members"]),
        configuration=info["configuration"],
        parameters=training.get("parameters", 0) / 1e6,
        trained_on=info["trained_on"],
        licence=info["licence"],
        licence_tag=licence_tag(info["licence"]),
        cross_validation=cross_validation(folder),
        sections=corruption_section(folder) + quality_section(folder),
        training=said,
        degraded=(DEGRADED if training.get("degraded") else "") + (BLENDED if training.get("blended") else ""),
    )
    (folder / "MODEL_CARD.md").write_text(text)


def cross_validation(folder: Path) -> str:
    """Figures of the members of now; without them the command that measures."""
    command = f"python -m pipeline evaluate-segmenter DATA --segmenter {folder.resolve().name}"
    table = read_measured(folder, EVALUATION)
    if table is None:
        return f"These weights have not been measured yet: run `{command}`."
    return CROSS_VALIDATION.format(command=command, summary=markdown(summarise(table)), table=markdown(table))


def corruption_section(folder: Path) -> str:
    """Dice by corruption; nothing where it was not measured with these weights."""
    table = read_measured(folder, CORRUPTIONS)
    if table is None:
        return ""
    told = ""
    if (folder / BEFORE).is_file():
        before = pd.read_csv(folder / BEFORE, dtype={"weights": str})
        table.insert(2, "before", table["corruption"].map(before.set_index("corruption")["mean Dice"]))
        told = f"""
"Before" is the mean Dice of the weights that this training started from (SHA-256 {before["weights"][0]}...), over
{before["predictions"][0]} predictions a corruption."""
    return f"""
## Corrupted images
Mean liver Dice of members that have not seen the case, by corruption and severity (1 is worse than a reader
should accept); a case where no liver was found counts as 0. Written by
`python -m pipeline evaluate-corruptions DATA`.{told}

{markdown(table)}
"""


def quality_section(folder: Path) -> str:
    """What the predictor of quality is worth; nothing where there is none for these weights."""
    file = folder / FILE
    if not file.is_file():
        return ""
    content = json.loads(file.read_text(encoding="utf-8"))
    if content["weights"] != registry.read(folder).info["sha256"]:
        return ""
    lines = "\n".join(f"- {line}" for line in content["cross_validation"]["in_words"])
    far, severities = content["hd95"]["flag_above_mm"], content["severities"]
    return f"""
## Predicted quality
The app predicts Dice and HD95 of each mask from signs of the networks' own doubt. A mask is flagged as poor (score 3)
below a predicted Dice of {content["flag_below"]:.2f} or above a predicted HD95 of {far:.0f} mm. The ensemble's
agreement takes no part, since all members but one have seen each case that there was to fit on. Measured on anatomies
left out, under the corruptions above and two of them at once: nothing about other scanners or cirrhotic livers.
Written by `python -m pipeline train-quality DATA --severities {severities}`.

{lines}
"""


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation, worst and median Dice, and mean distances, by organ."""
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
    found = mean_interval(values.to_numpy(float), np.arange(len(values)), (-math.inf, 1.0))
    return f"{found.low:.3f} to {found.high:.3f}" if found.bounded else ""


def markdown(table: pd.DataFrame) -> str:
    """A Markdown table; figures with three digits below 2 and one above."""

    def shown(value: object) -> str:
        if not isinstance(value, float):
            return str(value)
        if math.isnan(value):
            return ""
        return f"{value:.3f}" if abs(value) < 2 else f"{value:.1f}"

    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(shown(value) for value in row) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)
