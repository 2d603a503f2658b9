"""What the members of every classifier have in common, networks or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from pipeline.classification.slices import CaseSlices


@dataclass(frozen=True)
class MemberPrediction:
    """What one member says of one case."""

    logit: float
    weights: np.ndarray
    """Weight of each slice in the logit, (slices,); their sum is 1."""
    features: Tensor | None = None
    """Features of the last stage, (slices, C, h, w), for Grad-CAM; None where the member is no network."""


class Ensemble(Protocol):
    """The members of a classifier. They share one input per case, of whatever type they take."""

    def __len__(self) -> int:
        """Number of members."""

    def input_of(self, case: CaseSlices) -> Any:
        """What every member predicts from.

        Raises:
            SegmentationError: the mask lacks what the members need.
        """

    def predict(self, member: int, x: Any) -> MemberPrediction:
        """The prediction of one member, by its number, from what ``input_of`` returned."""
