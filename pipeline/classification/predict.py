"""Predict fibrosis of one case: the ensemble's probability, the members' range, and the weight of each slice."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from models.device import autocast
from models.masked_attention import MaskedAttentionNet
from models.registry import ModelFolder, ModelInfo
from models.weights import load_into
from pipeline.case import Fibrosis, OrganMask, SliceWeight, Step, Volume, run_to_end
from pipeline.classification.ensemble import Ensemble, MemberPrediction
from pipeline.classification.feature_model import load_features
from pipeline.classification.slices import CaseSlices, InputSpec, take_slices
from pipeline.errors import ModelError

MOST_MOVED_MM = 3.0
"""Largest distance by which the mask's edge is moved; it is one voxel in plane where that is less."""


@dataclass(frozen=True)
class Networks:
    """Networks on one device."""

    networks: tuple[MaskedAttentionNet, ...]
    spec: InputSpec
    device: torch.device

    def __len__(self) -> int:
        return len(self.networks)

    def input_of(self, case: CaseSlices) -> Tensor:
        """(slices, 2, y, x), image and soft mask, on the device."""
        return case.tensor(self.spec).to(self.device)

    def predict(self, member: int, x: Tensor) -> MemberPrediction:
        net = self.networks[member]
        features = encode(net, x)
        return MemberPrediction(*_answer(net, features, x), features)


class Classifier:
    """The members of one classifier folder, loaded on a device.

    ``model.json`` describes them: ``network`` (arguments of ``MaskedAttentionNet``) and ``heat_scale``, or ``features``
    and ``feature_names``; ``input`` (``InputSpec``), ``positive_class``, ``threshold`` and, where it has one,
    ``indeterminate``. Not re-entrant, since Grad-CAM hooks into the networks: one case at a time per classifier.

    Raises:
        ModelError: ``model.json`` or the weights do not fit this software.
    """

    def __init__(self, folder: ModelFolder, device: torch.device) -> None:
        self.device = device
        self.info: ModelInfo = folder.model_info()
        self.spec = InputSpec.from_json(folder.info.get("input", {}))
        try:
            self.positive_class = str(folder.info["positive_class"])
            self.threshold = float(folder.info["threshold"])
            has_heat = "features" not in folder.info
            self.heat_scale = float(folder.info["heat_scale"]) if has_heat else None
            self.indeterminate = read_zone(folder.info.get("indeterminate"))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                "The classifier's model.json lacks its class, threshold or heat scale, or they are no numbers."
            ) from error
        self.ensemble: Ensemble = (
            load_networks(folder, self.spec, device) if has_heat else load_features(folder, self.spec)
        )

    def move(self, device: torch.device) -> None:
        """Move the networks, in place; members that predict from features stay on the CPU."""
        self.device = device
        if isinstance(self.ensemble, Networks):
            self.ensemble = replace(
                self.ensemble, networks=tuple(net.to(device) for net in self.ensemble.networks), device=device
            )

    @property
    def networks(self) -> tuple[MaskedAttentionNet, ...]:
        """The networks, which alone have heat maps; empty where the members predict from features."""
        return self.ensemble.networks if isinstance(self.ensemble, Networks) else ()


def load_networks(folder: ModelFolder, spec: InputSpec, device: torch.device) -> Networks:
    """The networks of a classifier folder. Raises ModelError as ``build_network``."""
    networks = (build_network(folder.info.get("network", {}), folder.state(member)) for member in folder.members)
    # A CPU convolves a fifth faster in this memory format.
    return Networks(tuple(net.to(device).to(memory_format=torch.channels_last) for net in networks), spec, device)


def read_zone(stored: Any) -> tuple[float, float] | None:
    """Parse rule-out and rule-in point of ``model.json``; None where it has none.

    Raises:
        TypeError, ValueError: they are not two ascending probabilities.
    """
    if stored is None:
        return None
    low, high = stored
    if not 0 <= float(low) <= float(high) <= 1:
        raise ValueError("The indeterminate zone must be two ascending probabilities.")
    return float(low), float(high)


def build_network(network: Mapping[str, Any], state: dict[str, torch.Tensor]) -> MaskedAttentionNet:
    """Build a network from its arguments and weights, set up for prediction.

    Raises:
        ModelError: the arguments or the weights do not fit this software.
    """
    try:
        net = MaskedAttentionNet(**network)
    except TypeError as error:
        raise ModelError("The classifier's model.json describes a network that this version does not know.") from error
    load_into(net, state)
    return for_prediction(net)


def for_prediction(net: MaskedAttentionNet) -> MaskedAttentionNet:
    """Set a network up for prediction, in place: no parameter keeps gradients; Grad-CAM takes those of features."""
    return net.eval().requires_grad_(False)


@dataclass
class Encoded:
    """What ``classify_steps`` computed of one case and ``explain_steps`` needs again."""

    case: CaseSlices | None = None
    """The slices, with the mask as it is."""
    features: list[Tensor] = field(default_factory=list)
    """(slices, C, h, w) of each network."""


def classify_steps(
    volume: Volume, organs: OrganMask, classifier: Classifier, encoded: Encoded | None = None
) -> Generator[Step, None, Fibrosis]:
    """``classify``, as one step per member and mask; the generator's return value is the prediction.

    Besides the mask as it is, the members predict with the mask eroded and dilated by one voxel in plane: the range
    shows how far the probability depends on the outline.

    Args:
        encoded: is filled for ``explain_steps``.

    Raises:
        SegmentationError: the liver mask is empty, or lacks what the classifier needs.
    """
    spec = classifier.spec
    case = take_slices(volume, organs.liver, spec, spleen_ml=organs.spleen_ml)
    kept = encoded or Encoded()
    kept.case = case
    moved_mm = min(max(volume.spacing_mm_xyz[:2]), MOST_MOVED_MM)
    masks = {
        "": case,
        ", mask eroded": case.with_edge_moved(-moved_mm, spec),
        ", mask dilated": case.with_edge_moved(moved_mm, spec),
    }
    ensemble, members = classifier.ensemble, len(classifier.ensemble)
    probabilities = np.zeros((len(masks), members))
    weights = []
    for row, (words, masked) in enumerate(masks.items()):
        x = ensemble.input_of(masked)
        for column in range(members):
            answer = ensemble.predict(column, x)
            probabilities[row, column] = expit(answer.logit)
            if masked is case:
                weights.append(answer.weights)
                kept.features += [] if answer.features is None else [answer.features]
            done = (row * members + column + 1) / (len(masks) * members)
            yield Step(f"Estimating fibrosis, model {column + 1} of {members}{words}", done)
    means = probabilities.mean(axis=1)  # (masks,)
    return Fibrosis(
        positive_class=classifier.positive_class,
        probability=float(means[0]),
        ensemble_range=(float(probabilities[0].min()), float(probabilities[0].max())),
        threshold=classifier.threshold,
        slices=tuple(SliceWeight(z, float(w)) for z, w in zip(case.z, np.mean(weights, axis=0), strict=True)),
        indeterminate=classifier.indeterminate,
        mask_sensitivity=(float(means.min()), float(means.max())),
    )


def probability_of(case: CaseSlices, classifier: Classifier) -> float:
    """The ensemble's probability alone, 0-1, equal to that of ``classify`` on the same slices; a third of its work.

    Raises:
        SegmentationError: the mask lacks what the classifier needs.
    """
    ensemble = classifier.ensemble
    x = ensemble.input_of(case)
    logits = np.array([ensemble.predict(member, x).logit for member in range(len(ensemble))])
    return float(np.mean(expit(logits)))


def classify(volume: Volume, organs: OrganMask, classifier: Classifier) -> Fibrosis:
    """The probability of the classifier's positive class for one case. Raises as ``classify_steps``."""
    return run_to_end(classify_steps(volume, organs, classifier))


@torch.no_grad()
def encode(net: MaskedAttentionNet, x: Tensor) -> Tensor:
    """The last stage's features of one case, (slices, 2, y, x) -> (slices, C, h, w) float32."""
    image, mask = net.split(x)
    with autocast(x.device):
        return net.encode(image, mask).float()


def predict_member(net: MaskedAttentionNet, x: Tensor) -> tuple[float, np.ndarray]:
    """Predict one case, (slices, 2, y, x), with one network: its logit, and weights, (slices,), that sum to 1."""
    return _answer(net, encode(net, x), x)


@torch.no_grad()
def _answer(net: MaskedAttentionNet, features: Tensor, x: Tensor) -> tuple[float, np.ndarray]:
    logits, weights = net.from_features(features, net.split(x)[1])
    return float(logits[0, 0]), weights.cpu().numpy()
