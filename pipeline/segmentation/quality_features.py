"""Features of one network's liver mask that predict its quality without ground truth.

Each is computed from a single member of an ensemble on its plan's grid, never from several at once: an ensemble's
members have seen each other's held-out cases, so their agreement on training data says nothing about a new case, while
these features mean the same for a held-out case and for a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from pipeline.segmentation.hard_labels import hard_labels
from pipeline.segmentation.quality import largest_component
from pipeline.statistics.overlap import dice

Features = dict[str, float]
"""Value by name, the keys of ``SIGNS``."""
Box = tuple[slice, ...]
"""Slices along (z, y, x)."""
RING_MM = 12.0
"""Width of the surroundings that the liver is compared with."""


@dataclass(frozen=True)
class Sign:
    """How a feature relates to quality, and the clause to show where it lowers the prediction."""

    goes: str
    """``up``: the more, the better; ``down``; ``near``: the nearer to the training data's median, the better."""
    words: str


SIGNS = {
    "second_look": Sign("up", "the network outlines a slightly altered image differently"),
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


def features(
    data: Tensor,
    logits: Tensor,
    liver: int,
    patch: tuple[int, int, int],
    spacing_mm_zyx: tuple[float, ...],
    predict_tile: Callable[[Tensor], Tensor],
) -> Features | None:
    """The features of the liver that one member found; None where it found none.

    Args:
        data: (1, z, y, x) float, the network's preprocessed input.
        logits: (label, z, y, x) float, its output; ``liver`` is the index of the liver.
        patch: (z, y, x) size in voxels of the tile for the second prediction.
        spacing_mm_zyx: voxel size of ``data``.
        predict_tile: the same network on one tile (1, z, y, x), returning logits (label, z, y, x). It is called once,
            which adds one tile to the many that a volume of an abdomen takes (one in eight for the shipped plan).
    """
    found = (hard_labels(logits) == liver).numpy()
    if not found.any():
        return None
    probability = logits.softmax(0)[liver].numpy()
    mask, sizes = largest_component(found)
    tile = tile_around(mask, patch)
    second = (hard_labels(second_look(data, tile, patch, predict_tile)) == liver).numpy()
    return {
        "second_look": dice(found[tile], second),
        "expected_dice": float(2 * probability[found].sum() / (probability.sum() + found.sum())),
        "largest_component": float(sizes.max() / sizes.sum()),
        "dropped_components": float(np.log1p(len(sizes) - 1)),
        "edge_contact": edge_contact(mask),
        **_local(data[0].numpy(), mask, np.array(spacing_mm_zyx)),
    }


def tile_around(mask: np.ndarray, patch: tuple[int, int, int]) -> Box:
    """The box (z, y, x) of the patch's size, or the volume's where that is less, centred on the mask's own box."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    starts = [
        int(np.clip((own.start + own.stop - size) // 2, 0, max(n - size, 0)))
        for own, size, n in zip(box, patch, mask.shape, strict=True)
    ]
    return tuple(slice(start, min(start + size, n)) for start, size, n in zip(starts, patch, mask.shape, strict=True))


def second_look(
    data: Tensor, tile: Box, patch: tuple[int, int, int], predict_tile: Callable[[Tensor], Tensor]
) -> Tensor:
    """Predict a tile again with other surroundings, another gamma and a little noise: logits (label, z, y, x).

    A reliable outline hardly moves. Test-time augmentation as a measure of uncertainty: Wang et al., Neurocomputing 338
    (2019) 34. The noise is the same for every case.
    """
    part = data[(slice(None), *tile)]
    low, span = part.min(), part.max() - part.min() + 1e-6
    bent = ((part - low) / span) ** 1.3
    bent = (bent - bent.mean()) / (bent.std() + 1e-6) * part.std() + part.mean()  # nnU-Net would normalise it so
    noise = torch.randn(part.shape, generator=torch.Generator().manual_seed(0))
    altered = bent + 0.1 * part.std() * noise
    padded = torch.zeros(1, *patch)
    inside = tuple(slice(0, n) for n in part.shape[1:])
    padded[(slice(None), *inside)] = altered
    return predict_tile(padded)[(slice(None), *inside)]


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
