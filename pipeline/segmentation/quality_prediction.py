"""From the signs of a mask to its predicted Dice, score and reasons, by the segmenter's ``quality.json``.

The predictor is a sum that can be read and drawn: for each sign a line of straight pieces, monotone and at most 0, is
added to the logit of a faultless mask's Dice. ``pipeline.training.quality_fit`` fits it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from pipeline.case import EXCELLENT_FROM
from pipeline.errors import ModelError
from pipeline.segmentation.quality_features import SIGNS, Features

log = logging.getLogger(__name__)

FILE = "quality.json"
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
class Judgement:
    predicted_dice: float
    score: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class QualityModel:
    """A fitted predictor of one member's liver Dice."""

    intercept: float
    terms: tuple[Term, ...]
    flag_below: float
    """Predicted Dice below which the score is 3: ``POOR_BELOW`` and a safety margin."""

    def predict(self, found: Features | None) -> float:
        """Dice of one member's mask; 0 for a member that found no liver."""
        return 0.0 if found is None else float(expit(self.intercept + sum(term.of(found) for term in self.terms)))

    def judge(self, members: Sequence[Features | None]) -> Judgement:
        """Judge an ensemble's mask by the mean of its members' predicted Dice, each as it was fitted: on its own.

        The average of the members is as good as a typical one of them, and mostly better, so this errs towards doubt.
        """
        predicted = float(np.mean([self.predict(found) for found in members]))
        score = 3 if predicted < self.flag_below else 1 if predicted >= EXCELLENT_FROM else 2
        return Judgement(predicted, score, () if score == 1 else self._reasons([m for m in members if m is not None]))

    def _reasons(self, members: Sequence[Features]) -> tuple[str, ...]:
        if not members:
            return ()
        taken = {term.sign: float(np.mean([term.of(found) for found in members])) for term in self.terms}
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
        terms = tuple(
            Term(t["sign"], t["reference"], tuple(map(float, t["at"])), tuple(map(float, t["adds"])))
            for t in content["terms"]
        )
        model = QualityModel(float(content["intercept"]), terms, float(content["flag_below"]))
        if any(len(term.at) != len(term.adds) or list(term.at) != sorted(set(term.at)) for term in terms):
            raise ValueError
        fitted_for = dict(content["weights"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError("The segmenter's quality.json is damaged; fit it again or remove it.") from error
    if {term.sign for term in terms} - set(SIGNS):
        log.warning("quality.json names signs of another version and is left out; fit it again with train-quality")
        return None
    if fitted_for != dict(weights):
        log.warning("quality.json was fitted for other weights and is left out; fit it again with train-quality")
        return None
    return model
