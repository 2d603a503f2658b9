"""Predict a mask's Dice, HD95, score and reasons from its features, by the segmenter's ``quality.json``.

Each predictor is an additive model: one piecewise linear term per feature, monotone and at most 0, is added to the
logit of a faultless mask's Dice, or to the negative logarithm of its HD95 in mm. ``pipeline.training.quality.fit`` fits
them.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy.special import expit
from torch import Tensor

from models.files import atomic_path, file_sha256
from models.weights import load_into
from pipeline.errors import ModelError
from pipeline.segmentation.error_network import CHANNELS, ERROR_SIGNS, ErrorNetwork, error_signs, predict_errors
from pipeline.segmentation.quality_features import MASK_SIGNS, Features, Observation
from pipeline.thresholds import segmentation_score

log = logging.getLogger(__name__)

FILE, WEIGHTS = "quality.json", "quality.safetensors"
"""The predictors, and the parameters of the error networks, each named ``MEMBER.PARAMETER``."""
SCHEMA = 3
"""Version of these files and of the features' formulas; raised whenever one changes. Version 2 had no error networks.
"""
SIGNS = MASK_SIGNS | ERROR_SIGNS
REASON_BELOW = -0.25
"""Largest contribution, to the logit of the Dice or to the negative log HD95, that is named as a reason."""


@dataclass(frozen=True)
class PiecewiseTerm:
    """One feature's contribution: piecewise linear between knots, constant beyond them."""

    sign: str
    """Name of the feature, a key of ``SIGNS``."""
    reference: float | None
    """Median of the training data, where the feature enters as its distance from it; else None."""
    at: tuple[float, ...]
    """Values of the feature at the knots, ascending."""
    adds: tuple[float, ...]
    """Contribution at each knot, at most 0."""

    def of(self, found: Features) -> float:
        """The contribution of a mask with these features."""
        value = found[self.sign]
        return float(np.interp(value if self.reference is None else abs(value - self.reference), self.at, self.adds))


@dataclass(frozen=True)
class AdditiveModel:
    """A fitted predictor: the value of a faultless mask and the terms that lower it."""

    intercept: float
    """Value of a faultless mask."""
    terms: tuple[PiecewiseTerm, ...]

    def of(self, found: Features) -> float:
        """The value of a mask with these features."""
        return self.intercept + sum(term.of(found) for term in self.terms)


@dataclass(frozen=True)
class QualityEstimate:
    """Predicted quality of an ensemble's liver mask."""

    predicted_dice: float
    """Liver Dice, 0-1."""
    predicted_hd95_mm: float | None
    """95th percentile of surface distances, mm; None where no member found a liver."""
    score: int
    """1 excellent, 2 acceptable, 3 poor, as ``thresholds.segmentation_score``."""
    reasons: tuple[str, ...]
    """At most three clauses on what lowers the prediction, the heaviest first; empty at score 1."""


@dataclass(frozen=True)
class JudgedMask:
    """One member's mask as its error network sees it."""

    signs: Features
    """The keys of ``SIGNS``."""
    expected: Tensor
    """Share of each coarse voxel, (z, y, x) 0-1, that is expected to be liver."""


@dataclass(frozen=True)
class QualityModel:
    """Fitted predictors of one member's liver Dice and HD95."""

    overlap: AdditiveModel
    """Logit of the Dice."""
    flag_below: float
    """Predicted Dice below which the score is 3: ``POOR_DICE_BELOW`` and a safety margin."""
    closeness: AdditiveModel
    """Negative natural logarithm of the HD95 in mm."""
    flag_above_mm: float
    """Predicted HD95, mm, above which the score is 3: ``POOR_HD95_ABOVE_MM`` less a safety margin."""
    networks: Mapping[str, ErrorNetwork] = field(default_factory=dict)
    """The error network of each member."""

    def judge(self, member: str, seen: Observation | None, spacing_mm_zyx: tuple[float, ...]) -> JudgedMask | None:
        """The signs of one member's mask and the liver that its error network expects; None where it found no liver.

        Args:
            spacing_mm_zyx: of the coarse grid.
        """
        if seen is None:
            return None
        liver = seen.channels[CHANNELS.index("liver")]
        errors = predict_errors(self.networks[member], seen.channels, spacing_mm_zyx)
        return JudgedMask(seen.signs | error_signs(liver, errors, spacing_mm_zyx), liver + errors[0] - errors[1])

    def predict(self, found: Features | None) -> float:
        """Predicted Dice, 0-1, of one member's mask; 0 for a member that found no liver."""
        return 0.0 if found is None else float(expit(self.overlap.of(found)))

    def predict_hd95_mm(self, found: Features) -> float:
        """Predicted HD95, mm, of one member's mask."""
        return math.exp(-self.closeness.of(found))

    def estimate(self, members: Sequence[Features | None]) -> QualityEstimate:
        """Predict the quality of an ensemble's mask: the mean of its members' predictions.

        The predictors were fitted to single members. An ensemble's mask is at least as good as a typical member's, so
        this errs towards doubt.

        Args:
            members: the features of each member's mask; None for a member that found no liver.
        """
        predicted = float(np.mean([self.predict(found) for found in members]))
        there = [found for found in members if found is not None]
        hd95 = float(np.mean([self.predict_hd95_mm(found) for found in there])) if there else None
        far = hd95 is not None and hd95 > self.flag_above_mm
        score = segmentation_score(
            predicted, 0.0 if hd95 is None else hd95, poor_below=self.flag_below, poor_above_mm=self.flag_above_mm
        )
        decisive = self.closeness if far and predicted >= self.flag_below else self.overlap
        return QualityEstimate(predicted, hd95, score, () if score == 1 else self._reasons(decisive, there))

    @staticmethod
    def _reasons(predictor: AdditiveModel, members: Sequence[Features]) -> tuple[str, ...]:
        if not members:
            return ()
        taken = {term.sign: float(np.mean([term.of(found) for found in members])) for term in predictor.terms}
        heaviest = sorted((value, sign) for sign, value in taken.items() if value <= REASON_BELOW)
        return tuple(SIGNS[sign].words for _, sign in heaviest[:3])


def load(folder: Path, weights: Mapping[str, str]) -> QualityModel | None:
    """Read the predictor from a segmenter's folder.

    Args:
        weights: sha256 of the segmenter's weights by file.

    Returns:
        None where the folder has no ``quality.json``, or one for other weights or other features.

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
            _additive_model(content),
            float(content["flag_below"]),
            _additive_model(distance),
            float(distance["flag_above_mm"]),
        )
        fitted_for, digest = dict(content["weights"]), str(content["error_networks"]["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError("The segmenter's quality.json is damaged; fit it again or remove it.") from error
    if {term.sign for term in (*model.overlap.terms, *model.closeness.terms)} - set(SIGNS):
        log.warning("quality.json names signs of another version and is left out; fit it again with train-quality")
        return None
    if fitted_for != dict(weights):
        log.warning("quality.json was fitted for other weights and is left out; fit it again with train-quality")
        return None
    members = sorted({name.split("/")[0] for name in weights})
    return replace(model, networks=load_networks(folder / WEIGHTS, digest, members))


def save_networks(file: Path, networks: Mapping[str, ErrorNetwork]) -> None:
    """Write the error network of each member as float16; atomic."""
    state = {
        f"{member}.{name}": value.half()
        for member, network in networks.items()
        for name, value in network.state_dict().items()
    }
    with atomic_path(file) as partial:
        save_file(state, partial)


def load_networks(file: Path, digest: str, members: Sequence[str]) -> dict[str, ErrorNetwork]:
    """The error network of each member.

    Args:
        digest: sha256 of the file, as ``quality.json`` states it.

    Raises:
        ModelError: the file is missing, was changed, or does not hold these networks.
    """
    if not file.is_file() or file_sha256(file) != digest:
        raise ModelError(f"The segmenter's {WEIGHTS} is missing or damaged; install the model or fit it again.")
    try:
        state = load_file(file)
    except SafetensorError as error:
        raise ModelError(f"The segmenter's {WEIGHTS} is no safetensors file.") from error
    networks = {}
    for member in members:
        networks[member] = ErrorNetwork().eval()
        start = f"{member}."
        own = {name.removeprefix(start): value.float() for name, value in state.items() if name.startswith(start)}
        load_into(networks[member], own)
    return networks


def _additive_model(content: dict[str, Any]) -> AdditiveModel:
    """Parse one predictor of ``quality.json``.

    Raises:
        ValueError, KeyError, TypeError: it is no such predictor.
    """
    terms = tuple(
        PiecewiseTerm(t["sign"], t["reference"], tuple(map(float, t["at"])), tuple(map(float, t["adds"])))
        for t in content["terms"]
    )
    if any(len(term.at) != len(term.adds) or list(term.at) != sorted(set(term.at)) for term in terms):
        raise ValueError("a term needs as many contributions as knots, in ascending order")
    return AdditiveModel(float(content["intercept"]), terms)
