"""The segmenter's model card: what it is, its terms, how it was trained, and what was measured with its weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import ModelCardData

from models import registry
from models.cards import licence_tag, render_card
from models.files import write_text
from models.measured import BEFORE, CORRUPTIONS, EVALUATION, read_measured
from pipeline.segmentation.quality_prediction import FILE, SCHEMA
from pipeline.training.curve import PICTURE
from pipeline.training.segmenter.tables import markdown, summarise

UNRECORDED = {"steps": 0, "hours": 0.0, "device": "an unknown device", "seed": 0, "parameters": 0}
"""Shown for what ``model.json`` does not record of a training."""


@dataclass(frozen=True)
class CrossValidation:
    """Markdown tables of the cross-validation."""

    summary: str
    """A row per organ."""
    cases: str
    """A row per case and organ."""


@dataclass(frozen=True)
class EarlierWeights:
    """The weights that a training started from."""

    weights: str
    """First digits of their SHA-256."""
    predictions: int
    """Number of predictions per corruption measured with them."""


@dataclass(frozen=True)
class Corruptions:
    """Liver Dice by corruption."""

    table: str
    """Markdown, a row per corruption."""
    before: EarlierWeights | None
    """Source of the table's column ``before``, if there is one."""


@dataclass(frozen=True)
class PredictedQuality:
    """Flags of the predictor of quality, and what was measured of it."""

    flag_below: float
    """Predicted Dice."""
    flag_above_mm: float
    """Predicted HD95."""
    severities: int
    """Number of severities per case and corruption that it was fitted on."""
    figures: list[str]
    """A line per figure."""


def write(folder: Path) -> None:
    """Write ``MODEL_CARD.md`` of a model that was trained here, from the files in its folder."""
    info = registry.read(folder).info
    training = UNRECORDED | {"degraded": False, "blended": False, "anatomies": None} | info.get("training", {})
    card = render_card(
        "segmenter.md.j2",
        _header(info["licence"], ["liver", "MRI", "T2", "segmentation", "nnU-Net"]),
        **_identity(folder, info),
        training=training,
        curve=PICTURE if (folder / PICTURE).is_file() else None,
        cross_validation=cross_validation(folder),
        corruptions=corruptions(folder),
        quality=predicted_quality(folder),
    )
    write_text(folder / "MODEL_CARD.md", card)


def write_exported(folder: Path) -> None:
    """Write ``MODEL_CARD.md`` of a model that was trained elsewhere, of which nothing was measured here.

    The model is not checked: that is the next step of an export, and its errors name what is wrong.
    """
    info = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    header = _header(info["licence"], ["liver", "MRI", "segmentation", "nnU-Net"])
    write_text(folder / "MODEL_CARD.md", render_card("exported_segmenter.md.j2", header, **_identity(folder, info)))


def _header(licence: str, tags: list[str]) -> ModelCardData:
    return ModelCardData(
        license=licence_tag(licence), library_name="nnunetv2", pipeline_tag="image-segmentation", tags=tags
    )


def _identity(folder: Path, info: dict[str, Any]) -> dict[str, object]:
    """Variables that both templates take."""
    return {
        "name": folder.resolve().name,
        "organs": organs_of(folder),
        "members": len(info["members"]),
        "configuration": info["configuration"],
        "trained_on": info["trained_on"],
        "licence": info["licence"],
    }


def organs_of(folder: Path) -> str:
    """The labels of a segmenter in words: ``liver and spleen``."""
    labels = json.loads((folder / "dataset.json").read_text())["labels"]
    names = [str(name).replace("_", " ") for name, value in labels.items() if value != 0]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def cross_validation(folder: Path) -> CrossValidation | None:
    """Tables of ``evaluation.csv``; None if it was not measured with these weights."""
    table = read_measured(folder, EVALUATION)
    return None if table is None else CrossValidation(markdown(summarise(table)), markdown(table))


def corruptions(folder: Path) -> Corruptions | None:
    """Table of ``corruptions.csv``; None if it was not measured with these weights."""
    table = read_measured(folder, CORRUPTIONS)
    if table is None:
        return None
    before = None
    if (folder / BEFORE).is_file():
        earlier = pd.read_csv(folder / BEFORE, dtype={"weights": str})
        table.insert(2, "before", table["corruption"].map(earlier.set_index("corruption")["mean Dice"]))
        before = EarlierWeights(earlier["weights"][0], int(earlier["predictions"][0]))
    return Corruptions(markdown(table), before)


def predicted_quality(folder: Path) -> PredictedQuality | None:
    """Figures of ``quality.json``; None if there is none for these weights."""
    file = folder / FILE
    if not file.is_file():
        return None
    content = json.loads(file.read_text(encoding="utf-8"))
    if content["schema"] != SCHEMA or content["weights"] != registry.read(folder).info["sha256"]:
        return None
    return PredictedQuality(
        content["flag_below"],
        content["hd95"]["flag_above_mm"],
        content["severities"],
        content["cross_validation"]["in_words"],
    )
