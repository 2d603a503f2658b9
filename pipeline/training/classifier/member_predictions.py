"""Predictions of one member of an ensemble for the cases that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.training.classifier.data import CachedCase


@dataclass(frozen=True)
class MemberPredictions:
    """What a member of any kind predicts for the cases that it has not seen."""

    unseen: Sequence[CachedCase]
    """Cases that the member has not seen."""
    raw_logits: np.ndarray
    """Logits before Platt scaling, (cases,)."""
    logits: np.ndarray
    """Logits after Platt scaling, (cases,)."""
    scale_and_shift: tuple[float, float]
    """Platt scaling, from raw logits to log odds."""
    heat_peaks: np.ndarray | None
    """Strongest heat in the liver after Platt scaling, (cases,); None for a member without heat maps."""
