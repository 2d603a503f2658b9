"""Features of one network's liver mask that predict its quality without ground truth.

Each is computed from a single member of an ensemble on its plan's grid, never from several at once: an ensemble's
members have seen each other's held-out cases, so their agreement on training data says nothing about a new case, while
these features mean the same for a held-out case and for a new one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from pipeline.case import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN
from pipeline.segmentation.coarse_grid import averaged, block_of
from pipeline.segmentation.hard_labels import hard_labels
from pipeline.segmentation.quality import largest_component

Features = dict[str, float]
"""Value by name, the keys of ``SIGNS`` or of ``MASK_SIGNS``."""
RING_MM = 12.0
"""Width of the surroundings that the liver is compared with."""


@dataclass(frozen=True)
class Sign:
    """How a feature relates to quality, and the clause to show where it lowers the prediction."""

    goes: str
    """``up``: the more, the better; ``down``; ``near``: the nearer to the training data's median, the better."""
    words: str


MASK_SIGNS = {
    "expected_dice": Sign("up", "the network is unsure what belongs to the liver"),
    "edges": Sign("up", "the outline does not follow edges in the image"),
    "largest_component": Sign("up", "parts of what was taken for liver lie apart"),
    "dropped_components": Sign("down", "what was taken for liver lies in many pieces"),
    "log_volume": Sign("near", "the liver volume is unlike the training data's"),
    "edge_contact": Sign("down", "the liver reaches the edge of the images"),
    "brightness": Sign("near", "the liver is brighter or darker than in the training data"),
    "contrast": Sign("near", "the liver stands out from its surroundings otherwise than in the training data"),
    "texture": Sign("near", "the tissue inside the outline varies otherwise than in the training data"),
    "roughness": Sign("down", "the liver's area jumps from slice to slice"),
}
"""Signs of a mask and the image under it."""


@dataclass(frozen=True)
class Observation:
    """What the quality of one member's mask is judged by."""

    signs: Features
    """The keys of ``MASK_SIGNS``."""
    channels: Tensor
    """``error_network.CHANNELS``, (5, z, y, x) float on the coarse grid."""


def observe(
    data: Tensor, logits: Tensor, labels: dict[int, int], spacing_mm_zyx: tuple[float, ...]
) -> Observation | None:
    """Observe the liver that one member found; None where it found none.

    Args:
        data: (1, z, y, x) float, the network's preprocessed input.
        logits: (label, z, y, x) float, its output.
        labels: the member's label value by ours; the liver's is needed.
        spacing_mm_zyx: voxel size of ``data``.
    """
    found = hard_labels(logits)
    liver = (found == labels[LIVER]).numpy()
    if not liver.any():
        return None
    share = logits.softmax(0)[labels[LIVER]]
    probability = share.numpy()
    mask, sizes = largest_component(liver)
    kidneys = torch.stack([found == labels.get(kidney, -1) for kidney in (RIGHT_KIDNEY, LEFT_KIDNEY)]).any(0)
    organs = [torch.from_numpy(mask), found == labels.get(SPLEEN, -1), kidneys]
    signs = {
        "expected_dice": float(2 * probability[liver].sum() / (probability.sum() + liver.sum())),
        "largest_component": float(sizes.max() / sizes.sum()),
        "dropped_components": float(np.log1p(len(sizes) - 1)),
        "edge_contact": edge_contact(mask),
        **_local(data[0].numpy(), mask, np.array(spacing_mm_zyx)),
    }
    channels = torch.stack([data[0], share, *(organ.float() for organ in organs)])
    return Observation(signs, averaged(channels, block_of(spacing_mm_zyx)))


def edge_contact(mask: np.ndarray) -> float:
    """The mask's area on a side of the volume as a share of its largest parallel section; the worst side, 0-1."""
    shares = []
    for axis in range(3):
        areas = mask.sum(axis=tuple(a for a in range(3) if a != axis))
        shares += [areas[0] / areas.max(), areas[-1] / areas.max()]
    return float(max(shares))


def _local(image: np.ndarray, mask: np.ndarray, spacing: np.ndarray) -> Features:
    """Features of the mask's neighbourhood: brightness, size, shape. ``image`` and ``mask`` are (z, y, x)."""
    reach = np.ceil(RING_MM / spacing).astype(int)
    own = ndimage.find_objects(mask.astype(np.uint8))[0]
    box = tuple(slice(max(o.start - r, 0), o.stop + r) for o, r in zip(own, reach, strict=True))
    image, mask = image[box], mask[box]
    cross = ndimage.generate_binary_structure(3, 1)
    cross[[0, 2]] = False  # in-plane: slices may be far apart
    inner = ndimage.binary_erosion(mask, cross)
    ring = ndimage.binary_dilation(mask, cross, iterations=int(reach[1])) & ~mask
    core = image[inner] if inner.any() else image[mask]
    around = float(image[ring].mean()) if ring.any() else 0.0
    slopes = np.hypot(*np.gradient(image, axis=(1, 2))) if min(image.shape[1:]) > 1 else np.zeros_like(image)
    outline = mask & ~inner
    areas = np.pad(mask.sum(axis=(1, 2)), 1).astype(float)
    volume = float(mask.sum() * spacing.prod())
    return {
        "brightness": float(core.mean()),
        "contrast": float(core.mean()) - around,
        "texture": float(core.std()),
        "edges": float(np.log((slopes[outline].mean() + 1e-6) / (slopes.mean() + 1e-6))),
        "log_volume": float(np.log(volume / 1000)),
        # 0 where the area rises to one maximum and falls again.
        "roughness": float(np.abs(np.diff(areas)).sum() / (2 * areas.max()) - 1),
    }
