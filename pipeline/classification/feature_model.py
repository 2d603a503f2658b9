"""Logistic regression on hand-crafted features: one member of a classifier without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

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
