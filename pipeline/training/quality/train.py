"""Train the predictor of quality: measure corrupted cases, train the error networks, fit, cross-validate, write."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from models import registry
from models.files import file_sha256, write_json
from pipeline.errors import ManifestError
from pipeline.segmentation.quality_prediction import FILE, SCHEMA, WEIGHTS, AdditiveModel, QualityModel, save_networks
from pipeline.thresholds import EXCELLENT_DICE_FROM
from pipeline.training.quality.corruption_plan import UNCORRUPTED, CorruptionPlan
from pipeline.training.quality.error_training import judge_coarse, train_error_networks
from pipeline.training.quality.figures import QualityFigures, cross_validate
from pipeline.training.quality.fit import fit_with_flags
from pipeline.training.quality.robustness import measure_corruptions, read_coarse
from pipeline.training.segmenter import card as segmenter_card

log = logging.getLogger(__name__)

PAIRS_PER_CASE = 6
"""Predictions under two corruptions at once: of single ones a good segmenter makes too few poor masks to learn from."""
FEWEST_ANATOMIES = 4


def train_quality(
    data: Path,
    model: Path | str,
    *,
    per_corruption: int = 1,
    device: str = "auto",
    resume: bool = True,
    report: Callable[[str], None] = log.info,
) -> QualityFigures:
    """Measure corrupted cases, those of a test split left out, train the error networks, fit the predictor,
    cross-validate it, and write ``quality.json``, ``quality.safetensors`` and the card.

    Args:
        per_corruption: severities per case and corruption, 1 to 3.
        resume: whether to reuse the predictions of an earlier call.

    Raises:
        ManifestError: fewer than four anatomies with a mask, or none of them uncorrupted; or all masks are by one
            member.
    """
    folder = registry.find(model, "segmenter")
    plan = CorruptionPlan(per_corruption, PAIRS_PER_CASE, without=("test",))
    rows = measure_corruptions(data, model, plan, device=device, resume=resume, report=report)
    masks = rows[~rows["refused"].astype(bool)].reset_index(drop=True)
    clean = masks[masks["corruption"] == UNCORRUPTED]
    if clean["anatomy"].nunique() < FEWEST_ANATOMIES:
        raise ManifestError(f"At least {FEWEST_ANATOMIES} anatomies are needed whose uncorrupted image gives a mask.")
    if masks["member"].nunique() < 2:
        raise ManifestError("Masks by at least two members are needed: each error network learns from the others'.")
    predictions: list[dict[str, Any]] = masks.to_dict("records")  # type: ignore[assignment]
    coarse = [read_coarse(folder.folder, row) for row in predictions]
    networks = train_error_networks(coarse, folder.members, report=report)
    masks = masks.join(pd.DataFrame([judge_coarse(mask, networks[mask.member]) for mask in coarse]))
    figures = cross_validate(masks, refused=len(rows) - len(masks))
    fitted = replace(fit_with_flags(masks), networks=networks)
    write(folder.folder, fitted, folder.info["sha256"], figures, per_corruption)
    segmenter_card.write(folder.folder)
    return figures


def write(
    folder: Path, model: QualityModel, weights: Mapping[str, str], figures: QualityFigures, per_corruption: int
) -> None:
    """Write ``quality.safetensors``, the error networks, and ``quality.json``: the predictors, the weights and data
    that they were fitted for, and the figures.

    Args:
        weights: SHA-256 by weight file.
    """
    (folder / FILE).unlink(missing_ok=True)  # it names the networks by their hash: none rather than one of others
    save_networks(folder / WEIGHTS, model.networks)
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "fitted_by": f"python -m pipeline train-quality DATA --segmenter {folder.resolve().name}",
        "predicts": "liver Dice and HD95 of one member's mask; for an ensemble the means over its members",
        "score": f"3 below flag_below or above flag_above_mm, 1 from a Dice of {EXCELLENT_DICE_FROM}, else 2",
        "severities": per_corruption,
        "weights": dict(weights),
        "error_networks": {"sha256": file_sha256(folder / WEIGHTS)},
        "flag_below": model.flag_below,
        **_sum_to_json(model.overlap),
        "hd95": {"flag_above_mm": model.flag_above_mm, **_sum_to_json(model.closeness)},
        "cross_validation": {"by": "anatomy", **figures.to_json(), "in_words": figures.lines()},
    }
    write_json(folder / FILE, content)


def _sum_to_json(predictor: AdditiveModel) -> dict[str, Any]:
    return {"intercept": round(predictor.intercept, 5), "terms": [asdict(term) for term in predictor.terms]}
