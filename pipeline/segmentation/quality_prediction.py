"""From the signs of a mask to its predicted Dice and HD95, score and reasons, by the segmenter's ``quality.json``.

Each predictor is a sum that can be read and drawn: for each sign a line of straight pieces, monotone and at most 0, is
added to the logit of a faultless mask's Dice, or to the negative logarithm of its HD95 in mm.
``pipeline.training.quality.fit`` fits them.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from pipeline.errors import ModelError
from pipeline.segmentation.quality_features import SIGNS, Features
from pipeline.thresholds import segmentation_score

log = logging.getLogger(__name__)

FILE = "quality.json"
SCHEMA = 2
"""Of that file and of the signs' formulas: counted up whenever either changes. The first had no distances."""
TELLING = -0.25
"""What a sign must take from the logit of the Dice to be named as a reason."""


@dataclass(frozen=True)
class Term:
    """One sign's share: ``adds`` to the logit at the values ``at``, straight in between, constant beyond."""

    sign: str
    reference: float | None
    """Where given, the sign enters as its distance from this value: the median of the training data."""
    at: tuple[float, ...]
    adds: tuple[float, ...]

    def of(self, found: Features) -> float:
        value = found[self.sign]
        return float(np.interp(value if self.reference is None else abs(value - self.reference), self.at, self.adds))


@dataclass(frozen=True)
class Sum:
    """A fitted predictor: what a faultless mask has, and what each sign takes from it."""

    intercept: float
    terms: tuple[Term, ...]

    def of(self, found: Features) -> float:
        return self.intercept + sum(term.of(found) for term in self.terms)


@dataclass(frozen=True)
class Judgement:
    predicted_dice: float
    predicted_hd95_mm: float | None
    """None where no member found a liver."""
    score: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class QualityModel:
    """Fitted predictors of one member's liver Dice and HD95."""

    overlap: Sum
    flag_below: float
    """Predicted Dice below which the score is 3: ``POOR_DICE_BELOW`` and a safety margin."""
    closeness: Sum
    flag_above_mm: float
    """Predicted HD95 above which the score is 3: ``POOR_HD95_ABOVE_MM`` less a safety margin."""

    def predict(self, found: Features | None) -> float:
        """Dice of one member's mask; 0 for a member that found no liver."""
        return 0.0 if found is None else float(expit(self.overlap.of(found)))

    def predict_hd95_mm(self, found: Features) -> float:
        """HD95 of one member's mask in mm."""
        return math.exp(-self.closeness.of(found))

    def judge(self, members: Sequence[Features | None]) -> Judgement:
        """Judge an ensemble's mask by the mean of its members' predictions, each as it was fitted: on its own.

        The average of the members is as good as a typical one of them, and mostly better, so this errs towards doubt.
        """
        predicted = float(np.mean([self.predict(found) for found in members]))
        there = [found for found in members if found is not None]
        hd95 = float(np.mean([self.predict_hd95_mm(found) for found in there])) if there else None
        far = hd95 is not None and hd95 > self.flag_above_mm
        score = segmentation_score(
            predicted, 0.0 if hd95 is None else hd95, poor_below=self.flag_below, poor_above_mm=self.flag_above_mm
        )
        speaks = self.closeness if far and predicted >= self.flag_below else self.overlap
        return Judgement(predicted, hd95, score, () if score == 1 else self._reasons(speaks, there))

    @staticmethod
    def _reasons(predictor: Sum, members: Sequence[Features]) -> tuple[str, ...]:
        if not members:
            return ()
        taken = {term.sign: float(np.mean([term.of(found) for found in members])) for term in predictor.terms}
        telling = sorted((value, sign) for sign, value in taken.items() if value <= TELLING)
        return tuple(SIGNS[sign].words for _, sign in telling[:3])


def load(folder: Path, weights: Mapping[str, str]) -> QualityModel | None:
    """The predictor of a segmenter's folder; None where there is none for its weights (sha256 by file) and these signs.

    Raises:
        ModelError: ``quality.json`` is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            log.warning("quality.json is of another version and is left out; fit it again with train-quality")
            return None
        distance = content["hd95"]
        model = QualityModel(
            _sum(content), float(content["flag_below"]), _sum(distance), float(distance["flag_above_mm"])
        )
        fitted_for = dict(content["weights"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError("The segmenter's quality.json is damaged; fit it again or remove it.") from error
    if {term.sign for term in (*model.overlap.terms, *model.closeness.terms)} - set(SIGNS):
        log.warning("quality.json names signs of another version and is left out; fit it again with train-quality")
        return None
    if fitted_for != dict(weights):
        log.warning("quality.json was fitted for other weights and is left out; fit it again with train-quality")
        return None
    return model


def _sum(content: dict[str, Any]) -> Sum:
    """A predictor as ``quality.json`` holds it; raises ValueError, KeyError or TypeError on anything else."""
    terms = tuple(
        Term(t["sign"], t["reference"], tuple(map(float, t["at"])), tuple(map(float, t["adds"])))
        for t in content["terms"]
    )
    if any(len(term.at) != len(term.adds) or list(term.at) != sorted(set(term.at)) for term in terms):
        raise ValueError("a term's line is none")
    return Sum(float(content["intercept"]), terms)
