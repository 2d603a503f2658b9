"""A trained network of the ensemble as it ships: calibrated, rounded, and run on the cases that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from models.masked_attention import MaskedAttentionNet
from models.weights import WEIGHT_BITS, as_stored
from pipeline.classification.explain import member_heat
from pipeline.classification.predict import for_prediction, predict_member
from pipeline.training.classifier.data import CachedCase
from pipeline.training.classifier.diagnostics import diagnostics
from pipeline.training.classifier.fold import MemberTraining
from pipeline.training.classifier.member_predictions import MemberPredictions
from pipeline.training.classifier.operating_point import platt

DIAGNOSED_CASES = 16
"""Largest number of unseen cases of the diagnostics."""


@dataclass(frozen=True)
class TrainedMember(MemberPredictions):
    """One fold's network, and its predictions for the cases that it has not seen."""

    net: MaskedAttentionNet
    epochs: int
    """Number of epochs trained."""
    seconds: float
    """Training time, s."""
    diagnostics: dict[str, float] = field(default_factory=dict)
    """Measured on some of ``unseen``, by stage and ``LOGIT_CHANGE``."""


def finish_member(run: MemberTraining, unseen: Sequence[CachedCase]) -> TrainedMember:
    """Predict the cases that a member has not seen, after putting its logits on the scale that all members share.

    Platt scaling is written into the last layer: members then give the same log odds, so that their mean probability,
    and a threshold on it, mean something.
    """
    net = for_prediction(run.result().to(memory_format=torch.contiguous_format))
    spec, device = run.task.spec, run.task.device

    def predict_unseen() -> np.ndarray:
        return np.array([predict_member(net, case.tensor(spec).to(device))[0] for case in unseen])

    round_as_stored(net)
    raw_logits = predict_unseen()
    scale, shift = platt(np.array([case.label for case in unseen]), raw_logits)
    with torch.no_grad():
        net.head.weight.mul_(scale)
        net.head.bias.mul_(scale).add_(shift)
    round_as_stored(net)  # the scaled layer is rounded too; a steep scale makes that visible
    logits = predict_unseen()
    peaks = np.array([heat_peak(net, case.tensor(spec).to(device)) for case in unseen])
    measured = diagnostics(net, [case.tensor(spec).to(device) for case in unseen[:DIAGNOSED_CASES]])
    return TrainedMember(unseen, raw_logits, logits, (scale, shift), peaks, net, run.epochs, run.seconds, measured)


def round_as_stored(net: MaskedAttentionNet) -> None:
    """Round the weights, in place, to the precision in which they are stored, so that what ships is measured."""
    net.load_state_dict({name: as_stored(value, WEIGHT_BITS) for name, value in net.state_dict().items()})


def heat_peak(net: MaskedAttentionNet, x: torch.Tensor) -> float:
    """The 99th percentile of a case's heat in the liver: its peak without outliers.

    Args:
        x: (slices, 2, y, x), image and soft liver mask.
    """
    liver = x[:, 1].cpu().numpy() > 0.5
    return float(np.percentile(member_heat(net, x)[liver], 99)) if liver.any() else 0.0
