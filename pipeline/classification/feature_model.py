"""Logistic regression on hand-crafted features: the members of a classifier without networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from models.network_names import FeatureGroup
from models.registry import ModelFolder
from pipeline.classification.ensemble import MemberPrediction
from pipeline.classification.feature_groups import case_features
from pipeline.classification.slices import CaseSlices, InputSpec
from pipeline.errors import ModelError

MOST_SD = 4.0
"""Standardised features are clipped to this range, so that one odd feature cannot decide a case."""
PARTS = ("mean", "scale", "coefficients", "intercept")


def standardised(values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Features, (..., features), in standard deviations of the training cases, clipped to ``MOST_SD``."""
    return np.clip((values - mean) / scale, -MOST_SD, MOST_SD)


@dataclass(frozen=True)
class LogisticMember:
    """Coefficients of one member, and what standardises its features."""

    mean: np.ndarray
    """(features,) over the training cases."""
    scale: np.ndarray
    """Standard deviation, (features,), above 0."""
    coefficients: np.ndarray
    """(features,)."""
    intercept: float

    def logits(self, values: np.ndarray) -> np.ndarray:
        """Log odds, (...,), of features, (..., features)."""
        logits: np.ndarray = standardised(values, self.mean, self.scale) @ self.coefficients + self.intercept
        return logits

    def scaled(self, scale: float, shift: float) -> LogisticMember:
        """The member whose logits are ``scale`` times its own, plus ``shift``."""
        return LogisticMember(self.mean, self.scale, scale * self.coefficients, scale * self.intercept + shift)

    def state(self) -> dict[str, Tensor]:
        """Float32 tensors by name; half precision would round the means of large features away."""
        return {part: torch.tensor(np.atleast_1d(getattr(self, part)), dtype=torch.float32) for part in PARTS}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], features: Sequence[str]) -> LogisticMember:
        """The member that ``state`` returned.

        Args:
            features: names of the features.

        Raises:
            ModelError: a part is missing, unknown, of another length or no number.
        """
        sizes = {part: len(features) for part in PARTS} | {"intercept": 1}
        if {name: tuple(value.shape) for name, value in state.items()} != {part: (n,) for part, n in sizes.items()}:
            raise ModelError("The coefficients do not fit the features that model.json names.")
        mean, scale, coefficients, intercept = (state[part].numpy().astype(float) for part in PARTS)
        if not all(np.isfinite(value).all() for value in (mean, scale, coefficients, intercept)) or scale.min() <= 0:
            raise ModelError("The coefficients are not finite, or a scale is not above 0.")
        return cls(mean, scale, coefficients, float(intercept[0]))

    def as_stored(self) -> LogisticMember:
        """The member rounded as a model folder holds it, so that what ships is measured."""
        return LogisticMember.from_state(self.state(), [""] * len(self.mean))


@dataclass(frozen=True)
class FeatureInput:
    """Features of one case, and the share of each slice in the liver."""

    values: np.ndarray
    """(features,)."""
    weights: np.ndarray
    """(slices,), of which the sum is 1."""


@dataclass(frozen=True)
class LogisticEnsemble:
    """Members that predict from the same features."""

    members: tuple[LogisticMember, ...]
    groups: tuple[FeatureGroup, ...]
    names: tuple[str, ...]
    """Names of the features, in the order of the coefficients."""
    spec: InputSpec

    def __len__(self) -> int:
        return len(self.members)

    def input_of(self, case: CaseSlices) -> FeatureInput:
        """The features of a case; slices weigh as much as they hold liver.

        Raises:
            SegmentationError: no pixel is liver, or a group needs what was not segmented.
            ModelError: this version computes other features.
        """
        found = case_features(case, self.groups, self.spec)
        if tuple(found) != self.names:
            raise ModelError("The classifier was trained on other features than this version computes.")
        area = (case.distance_mm <= 0).sum(axis=(1, 2))
        return FeatureInput(np.array([*found.values()]), area / area.sum())

    def predict(self, member: int, x: FeatureInput) -> MemberPrediction:
        return MemberPrediction(float(self.members[member].logits(x.values)), x.weights)


def load_features(folder: ModelFolder, spec: InputSpec) -> LogisticEnsemble:
    """The members of a classifier folder that predict from features.

    Raises:
        ModelError: ``model.json`` names a group that there is not, or the coefficients do not fit.
    """
    groups, names = folder.info["features"], folder.info.get("feature_names")
    if not isinstance(groups, list) or not set(groups) <= set(get_args(FeatureGroup)) or not isinstance(names, list):
        raise ModelError("The classifier's model.json names features that this version does not know.")
    members = tuple(LogisticMember.from_state(folder.state(member), names) for member in folder.members)
    return LogisticEnsemble(members, tuple(groups), tuple(names), spec)
