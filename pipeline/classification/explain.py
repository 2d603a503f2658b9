"""Grad-CAM of the classifier on the volume's grid, on one scale for all cases.

Source: Selvaraju et al., Int J Comput Vis 128 (2020) 336. The others of ``METHODS`` are for comparison: HiResCAM,
Draelos and Carin, arXiv 2011.08891; LayerCAM, Jiang et al., IEEE Trans Image Process 30 (2021) 5875;
Grad-CAM++, Chattopadhay et al., WACV 2018, 839.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as F
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Tensor, nn

from models.masked_attention import MaskedAttentionNet
from pipeline.case import HeatMap, OrganMask, Step, Volume, run_to_end
from pipeline.classification.predict import Classifier, Encoded, encode
from pipeline.classification.slices import take_slices, to_volume
from pipeline.errors import ModelError

VISIBLE = 0.02
"""Share of the scale that the hottest voxel must reach; below it the map counts as without positive evidence."""

CUT_MM = 5.0
"""Distance outside the liver at which the map is cut, since its cells are coarser than the liver's edge."""


class FixedScale(BaseCAM):
    """A method without the package's scaling of every slice to its own maximum, so that slices can be compared."""

    def compute_cam_per_layer(
        self, input_tensor: torch.Tensor, targets: Sequence, eigen_smooth: bool
    ) -> list[np.ndarray]:
        """One (slices, y, x) float32 map for the one target layer, 0 or more, in units of the logit."""
        activations = self.activations_and_grads.activations[0].numpy()  # (slices, C, h, w)
        gradients = self.activations_and_grads.gradients[0].numpy()  # (slices, C, h, w)
        layer = self.target_layers[0]
        cam = np.maximum(self.get_cam_image(input_tensor, layer, targets, activations, gradients, eigen_smooth), 0)
        maps = torch.from_numpy(np.ascontiguousarray(cam, np.float32))[:, None]  # (slices, 1, h, w)
        size = input_tensor.shape[-2:]
        return [F.interpolate(maps, size, mode="bilinear", align_corners=False)[:, 0].numpy()]

    def aggregate_multi_layers(self, cam_per_target_layer: list[np.ndarray]) -> np.ndarray:
        """The map of the only layer, (slices, y, x)."""
        return cam_per_target_layer[0]


class FixedScaleGradCAM(FixedScale, GradCAM):
    pass


class FixedScaleHiResCAM(FixedScale, HiResCAM):
    pass


class FixedScaleLayerCAM(FixedScale, LayerCAM):
    pass


class FixedScaleGradCAMPlusPlus(FixedScale, GradCAMPlusPlus):
    pass


METHODS: Mapping[str, type[FixedScale]] = {
    "gradcam": FixedScaleGradCAM,
    "hirescam": FixedScaleHiResCAM,
    "layercam": FixedScaleLayerCAM,
    "gradcam++": FixedScaleGradCAMPlusPlus,
}


class HeatTarget(NamedTuple):
    """Which features are explained, and how."""

    stage: str = ""
    """One of ``stages`` of the network, such as ``layer2``; empty for the last one."""
    method: str = "gradcam"
    """A name of ``METHODS``."""


SHOWN = HeatTarget()
"""What ``explain`` shows."""


def logit_sum(output: torch.Tensor) -> torch.Tensor:
    """The explained quantity: the logit itself, so that the map shows evidence for the positive class only."""
    return output.sum()


class FromFeatures(nn.Module):
    """A network from its last stage on, whose features of the case are given; the logit depends on nothing else."""

    def __init__(self, net: MaskedAttentionNet, features: Tensor) -> None:
        super().__init__()
        self.net = net
        self.features = features.detach().requires_grad_(True)

    def forward(self, x: Tensor) -> Tensor:
        """(slices, 2, y, x), of which the mask is used -> logit (1, 1)."""
        return self.net.from_features(self.features, self.net.split(x)[1])[0]


def member_heat(
    net: MaskedAttentionNet, x: Tensor, features: Tensor | None = None, target: HeatTarget = SHOWN
) -> np.ndarray:
    """Grad-CAM of one network on one case: (slices, 2, y, x) -> (slices, y, x) float32, 0 or more, in logits.

    In the last stage the target layer is ``Focus``: the features from which the logit is pooled. The map is cut by the
    soft mask, as the pooling is. A cell of a large liver in many slices contributes less to the logit than one of a
    small liver, so the map is multiplied by the number of liver cells: it is the logit's gain if the whole liver
    resembled this cell.

    In an earlier stage the target layer is the stage itself, before its mask attention, its map is cut by the soft
    mask, and the unit holds within a network and stage only. It takes a pass of the whole network, and gradients from
    that stage on.

    Args:
        features: what ``encode`` returned for the network and ``x``; computed where it is not given. Only the last
            stage uses them.

    Raises:
        ModelError: the network has no such stage.
    """
    stage = target.stage or net.last_stage
    _, mask = net.split(x)
    cells = mask[:, 0].cpu().numpy() * (float(mask.sum()) / cell_pixels(net, stage) ** 2)
    if stage == net.last_stage:
        given = encode(net, x) if features is None else features
        return cells * _cam(METHODS[target.method], FromFeatures(net, given), net.focus, x)
    layer = net.backbone.get_submodule(stage)
    with gradients_from(layer):
        return cells * _cam(METHODS[target.method], net, layer, x, net.channels_first)


def _cam(
    method: type[FixedScale],
    model: nn.Module,
    layer: nn.Module,
    x: Tensor,
    channels_first: Callable[[Tensor], Tensor] | None = None,
) -> np.ndarray:
    """(slices, y, x) float32, 0 or more: the method at one layer of a model that gives the logit of ``x``."""
    cam = method(model, [layer], channels_first)
    try:
        with torch.enable_grad():
            return cam(input_tensor=x, targets=[logit_sum])
    finally:
        cam.activations_and_grads.release()  # as a context manager the package would swallow an IndexError
        model.zero_grad(set_to_none=True)


def stages(net: MaskedAttentionNet) -> tuple[str, ...]:
    """Names of the stages that can be explained; the last one is pooled."""
    return tuple(net.backbone.return_layers)


def cell_pixels(net: MaskedAttentionNet, stage: str) -> int:
    """Side of a cell of a stage's features, pixels of the network's input.

    Raises:
        ModelError: the network has no such stage.
    """
    sides = dict(zip(stages(net), net.backbone.feature_info.reduction(), strict=True))
    if stage not in sides:
        raise ModelError(f"The classifier has no stage {stage}; name one of {', '.join(sides)}.")
    return int(sides[stage])


@contextmanager
def gradients_from(layer: nn.Module) -> Iterator[None]:
    """Let gradients begin at a layer's output, whatever parameters come before it."""
    handle = layer.register_forward_hook(lambda module, inputs, output: output.detach().requires_grad_(True))
    try:
        yield
    finally:
        handle.remove()


def explain_steps(
    volume: Volume, organs: OrganMask, classifier: Classifier, encoded: Encoded | None = None
) -> Generator[Step, None, HeatMap | None]:
    """``explain``, as one step per member; the generator's return value is the map.

    Args:
        encoded: as ``classify_steps`` has filled it for the same case and mask; else computed.

    Raises:
        SegmentationError: the liver mask is empty.
    """
    if classifier.heat_scale is None:
        return None
    liver = organs.liver
    case = (encoded and encoded.case) or take_slices(volume, liver, classifier.spec)
    features = encoded.features if encoded else []
    x = classifier.ensemble.input_of(case)
    members = len(classifier.networks)
    heat = np.zeros(case.images.shape, np.float32)
    for number, (net, given) in enumerate(zip_longest(classifier.networks, features), start=1):
        heat += member_heat(net, x, given) / members
        yield Step(f"Explaining, model {number} of {members}", number / members)
    return heat_map(to_volume(heat / classifier.heat_scale, case, volume), liver)


def explain(volume: Volume, organs: OrganMask, classifier: Classifier) -> HeatMap | None:
    """Grad-CAM of the ensemble (mean of its members) on the volume's grid; None where the members are no networks.

    Raises as ``explain_steps``.
    """
    return run_to_end(explain_steps(volume, organs, classifier))


def heat_map(scaled: sitk.Image, liver: np.ndarray) -> HeatMap:
    """Measure the heat outside the liver, then cut the map to the dilated liver and to 0-1.

    Args:
        scaled: float32 on the volume's grid; 1 is the classifier's ``heat_scale``.
        liver: (z, y, x) bool on the same grid.
    """
    heat = sitk.GetArrayFromImage(scaled)
    if heat.shape != liver.shape:
        raise AssertionError(f"The heat map is {heat.shape}, the volume {liver.shape}.")
    visible = float(heat.max()) >= VISIBLE
    outside = 1 - float(heat[liver].sum(dtype=float) / heat.sum(dtype=float)) if visible else None
    if visible:
        np.clip(heat, 0, 1, out=heat)
        heat[~dilated(liver, scaled.GetSpacing())] = 0
    else:
        heat[:] = 0
    image = sitk.GetImageFromArray(heat)
    image.CopyInformation(scaled)
    return HeatMap(image, outside)


def dilated(liver: np.ndarray, spacing_mm_xyz: Sequence[float]) -> np.ndarray:
    """Dilate a (z, y, x) bool mask by ``CUT_MM`` in plane; slices are too thick to dilate along z."""
    wide, high = (max(1, round(CUT_MM / spacing_mm_xyz[axis])) for axis in (0, 1))
    grown = np.zeros_like(liver)
    there = [np.flatnonzero(liver.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    if not len(there[0]):
        return grown
    box = tuple(
        slice(max(int(index[0]) - by, 0), int(index[-1]) + by + 1)
        for index, by in zip(there, (0, high, wide), strict=True)
    )
    part = sitk.GetImageFromArray(liver[box].astype(np.uint8))
    grown[box] = sitk.GetArrayFromImage(sitk.BinaryDilate(part, [wide, high, 0])).astype(bool)
    return grown
