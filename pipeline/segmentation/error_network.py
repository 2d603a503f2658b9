"""A small network that tells where one member's liver mask is probably wrong, and by how much.

A lobe that was missed with confidence leaves no trace in the member's own probabilities, but it looks like liver, is
joined to the mask, and lies where livers are. The network sees each voxel of a grid of about 8 mm through features of
these three kinds. Predicting a mask's errors voxel by voxel: Qiu et al., QCResUNet, MICCAI 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.segmentation.quality_features import Features, Sign
from pipeline.statistics.overlap import compare

CHANNELS = ("image", "probability", "liver", "spleen", "kidneys")
"""What a member saw and found; the last four are shares of each coarse voxel, 0-1."""
WIDTHS_VOXELS = (1, 2, 4)
"""Radii of the boxes over which channels are averaged."""
STEPS_VOXELS = (3, 6)
"""Distances at which the surroundings are looked at along each axis."""
REACHES = (2, 5, 10)
"""Voxels that are walked from the mask through tissue like the liver."""
FEATURES, HIDDEN = 69, 64
"""Number of features of a voxel, and of units in a hidden layer."""


class ErrorNetwork(nn.Module):
    """Features (voxel, feature) to logits (voxel, 2): most of the voxel is missing liver; most of it is no liver."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(FEATURES), requires_grad=False)
        self.scale = nn.Parameter(torch.ones(FEATURES), requires_grad=False)
        self.layers = nn.Sequential(
            nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(((x - self.mean) / self.scale).clamp(-6, 6))


def voxel_features(channels: Tensor, spacing_mm_zyx: tuple[float, ...]) -> Tensor:
    """Features (feature, z, y, x) of each voxel, for ``CHANNELS`` (5, z, y, x) whose liver is not empty."""
    image, _, liver, spleen, kidneys = channels
    inside = image[liver > 0.5] if (liver > 0.5).any() else image[liver > 0]
    low, middle, high = inside.quantile(torch.tensor([0.1, 0.5, 0.9])).tolist()
    contrast = ((image - middle) / max(high - low, 0.1)).clamp(-4, 4)
    like = torch.exp(-(contrast**2))
    shown = torch.stack([contrast, *channels[1:]])
    means = [_mean(shown, radius) for radius in WIDTHS_VOXELS]
    spread = (_mean(contrast[None] ** 2, 1) - means[0][:1] ** 2).clamp_min(0).sqrt()
    steps = [way * step for way in (-1, 1) for step in STEPS_VOXELS]
    around = [_shifted(shown[[0, 2]], axis, step) for axis in (1, 2, 3) for step in steps]
    return torch.cat(
        [
            image[None],
            shown,
            like[None],
            spread,
            *means,
            _mean(like[None], 1),
            *around,
            _reach(liver, like),
            _places(liver, spleen, kidneys, spacing_mm_zyx),
        ]
    )


def _mean(fields: Tensor, radius: int) -> Tensor:
    """Means of fields (channel, z, y, x) over a cube, or over what the grid holds of it."""
    for axis in (1, 2, 3):
        sums = functional.pad(fields.movedim(axis, -1), (radius + 1, radius)).cumsum(-1)
        n, width = fields.shape[axis], 2 * radius + 1
        at = torch.arange(n)
        count = (at + radius).clamp_max(n - 1) - (at - radius).clamp_min(0) + 1
        fields = ((sums[..., width:] - sums[..., :-width]) / count).movedim(-1, axis)
    return fields


def _shifted(fields: Tensor, axis: int, by: int) -> Tensor:
    """Fields moved along an axis, their edge repeated."""
    n = fields.shape[axis]
    return fields.index_select(axis, (torch.arange(n) + by).clamp(0, n - 1))


def _reach(liver: Tensor, like: Tensor) -> Tensor:
    """Likeness to the liver along the best way from the mask, after each of ``REACHES``: (reach, z, y, x), 0-1."""
    reached, found = liver[None, None], []
    for step in range(1, max(REACHES) + 1):
        for width in ((3, 1, 1), (1, 3, 1), (1, 1, 3)):
            pad = [size // 2 for size in width]
            reached = torch.maximum(reached, functional.max_pool3d(reached, width, 1, pad) * like)
        if step in REACHES:
            found.append(reached[0])
    return torch.cat(found)


def _places(liver: Tensor, spleen: Tensor, kidneys: Tensor, spacing_mm_zyx: tuple[float, ...]) -> Tensor:
    """Distances along each axis, in units of 100 mm, from the liver's middle and ends and from other organs' middles;
    and the liver's area across that axis as a share of its largest."""
    found = []
    for axis, (n, step) in enumerate(zip(liver.shape, spacing_mm_zyx, strict=True)):
        at = torch.arange(n) * step / 100
        others = [other for other in range(3) if other != axis]
        area = liver.sum(others)
        ends = at[area > 0.02 * area.max()]
        along = [at - (at * area).sum() / area.sum(), at - ends.min(), at - ends.max(), area / area.max()]
        for organ in (spleen, kidneys):
            size = organ.sum(others)
            along.append(at - (at * size).sum() / size.sum() if size.sum() > 1 else torch.zeros(n))
        shape = [1, 1, 1]
        shape[axis] = n
        found += [line.view(shape).expand(liver.shape) for line in along]
    return torch.stack(found)


@torch.inference_mode()
def predict_errors(network: ErrorNetwork, channels: Tensor, spacing_mm_zyx: tuple[float, ...]) -> Tensor:
    """Probability that most of a voxel is liver but not in the mask, and the reverse: (2, z, y, x).

    Args:
        channels: ``CHANNELS``, (5, z, y, x).
    """
    features = voxel_features(channels, spacing_mm_zyx)
    missing, extra = network(features.flatten(1).T).sigmoid().T.reshape(2, *features.shape[1:])
    liver = channels[CHANNELS.index("liver")]
    return torch.stack([missing * (1 - liver), extra * liver])


ERROR_SIGNS = {
    "expected_missing": Sign("down", "a part of the liver seems to be missing"),
    "expected_extra": Sign("down", "other tissue seems to be included"),
    "expected_overlap": Sign("up", "the outline is unlike the liver that the images suggest"),
    "expected_distance": Sign("down", "the liver seems to end elsewhere than the outline"),
}
"""Signs of the expected errors."""
FARTHEST_MM = 200.0
"""Largest ``expected_distance``; a mask of which nothing is expected to be liver has it."""


def error_signs(liver: Tensor, errors: Tensor, spacing_mm_zyx: tuple[float, ...]) -> Features:
    """The features of ``ERROR_SIGNS``.

    Args:
        liver: (z, y, x) share of each coarse voxel that the mask covers, not all 0.
        errors: as ``predict_errors``.
    """
    missing, extra = errors
    corrected = liver + missing - extra
    volume = float(liver.sum())
    there, wanted = ((share > 0.5).numpy() for share in (liver, corrected))
    distance = compare(wanted, there, spacing_mm_zyx)["hd95_mm"]
    return {
        "expected_missing": float(missing.sum()) / volume,
        "expected_extra": float(extra.sum()) / volume,
        "expected_overlap": 2 * float((liver - extra).sum()) / (volume + float(corrected.sum())),
        "expected_distance": min(distance, FARTHEST_MM),
    }
