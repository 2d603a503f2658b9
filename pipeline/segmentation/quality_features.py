"""Signs of how good one network's liver mask is, without ground truth.

Each is taken from a single member of an ensemble on its plan's grid, never from several at once: an ensemble's members
have seen each other's held-out cases, so their agreement on training data says nothing about a new case, while these
signs mean the same for a held-out case and for a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from pipeline.segmentation.quality import dice, largest_component, percentile_95, surface_distances

Features = dict[str, float]
Box = tuple[slice, ...]
RING_MM = 12.0
SURE, POSSIBLE = 0.8, 0.2
"""Probabilities of the inner and the outer outline whose distance is a sign of doubt."""


@dataclass(frozen=True)
class Sign:
    """How a feature goes with quality, and what to say where it speaks against a mask."""

    goes: str
    """``up``: the more, the better; ``down``; ``near``: the nearer to the training data's median, the better."""
    words: str


SIGNS = {
    "second_look": Sign("up", "the network outlines a slightly altered image differently"),
    "expected_dice": Sign("up", "the network is unsure what belongs to the liver"),
    "worst_slices": Sign("up", "in some slices the network is unsure what belongs to the liver"),
    "second_look_mm": Sign("down", "the outline moves far when the image is slightly altered"),
    "doubt_mm": Sign("down", "the network's sure and its possible outline lie far apart"),
    "other_organs": Sign("up", "the network is unsure about the organs around the liver too"),
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
    data: Tensor, logits: Tensor, liver: int, patch: tuple[int, int, int], spacing_mm_zyx: tuple[float, ...],
    look: Callable[[Tensor], Tensor],
) -> Features | None:  # fmt: skip
    """The signs of ``SIGNS`` for the liver that one member found; None where it found none.

    Args:
        data: (1, z, y, x) float, as the network saw it.
        logits: (label, z, y, x) float, what it answered; ``liver`` is the index of the liver.
        patch: (z, y, x) size of the tile for the second look.
        look: the same network on one tile (1, z, y, x); called once, which costs one tile of the many that a volume of
            an abdomen takes (one in eight for the shipped plan).
    """
    found = (logits.argmax(0) == liver).numpy()
    if not found.any():
        return None
    shares = logits.softmax(0).numpy()
    probability = shares[liver]
    mask, sizes = largest_component(found)
    tile = tile_around(mask, patch)
    second = (second_look(data, tile, patch, look).argmax(0) == liver).numpy()
    return {
        "second_look": dice(found[tile], second),
        "second_look_mm": log_hd95(mask[tile], largest_component(second)[0], spacing_mm_zyx),
        "doubt_mm": log_hd95(probability > SURE, largest_component(probability > POSSIBLE)[0], spacing_mm_zyx),
        "expected_dice": float(expected_dice(probability, found)),
        "worst_slices": float(np.quantile(expected_dice(probability, found, axis=(1, 2))[found.any((1, 2))], 0.1)),
        "largest_component": float(sizes.max() / sizes.sum()),
        "dropped_components": float(np.log1p(len(sizes) - 1)),
        "edge_contact": edge_contact(mask),
        "other_organs": other_organs(shares, liver),
        **_local(data[0].numpy(), mask, np.array(spacing_mm_zyx)),
    }


def expected_dice(probability: np.ndarray, found: np.ndarray, axis: tuple[int, ...] | None = None) -> np.ndarray:
    """Dice to be expected of ``found``, were the network's probability right; over ``axis``, by default all."""
    both = probability.sum(axis) + found.sum(axis)
    return 2 * (probability * found).sum(axis) / np.maximum(both, 1e-6)


def other_organs(shares: np.ndarray, liver: int) -> float:
    """``expected_dice`` of what is neither liver nor background; 1 where the network knows no such labels.

    ``shares``: (label, z, y, x) probabilities, background first.
    """
    others = [label for label in range(1, len(shares)) if label != liver]
    if not others:
        return 1.0
    return float(expected_dice(shares[others].sum(0), np.isin(shares.argmax(0), others)))


def log_hd95(a: np.ndarray, b: np.ndarray, spacing_mm_zyx: tuple[float, ...]) -> float:
    """Natural logarithm of the HD95 of two masks in mm, between 1 and 200 mm."""
    return float(np.log(np.clip(percentile_95(*surface_distances(a, b, spacing_mm_zyx)), 1, 200)))


def tile_around(mask: np.ndarray, patch: tuple[int, int, int]) -> Box:
    """The box (z, y, x) of the patch's size, or the volume's where that is less, centred on the mask's own box."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    starts = [
        int(np.clip((own.start + own.stop - size) // 2, 0, max(n - size, 0)))
        for own, size, n in zip(box, patch, mask.shape, strict=True)
    ]
    return tuple(slice(start, min(start + size, n)) for start, size, n in zip(starts, patch, mask.shape, strict=True))


def second_look(data: Tensor, tile: Box, patch: tuple[int, int, int], look: Callable[[Tensor], Tensor]) -> Tensor:
    """Logits (label, z, y, x) of a tile with other surroundings, a bent tone curve and a little noise.

    A sound outline hardly moves. Test-time augmentation as a measure of doubt: Wang et al., Neurocomputing 338 (2019)
    34. The noise is the same for every case.
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
    return look(padded)[(slice(None), *inside)]


def edge_contact(mask: np.ndarray) -> float:
    """The mask's area on a side of the volume as a share of its largest parallel section; the worst side, 0-1."""
    shares = []
    for axis in range(3):
        areas = mask.sum(axis=tuple(a for a in range(3) if a != axis))
        shares += [areas[0] / areas.max(), areas[-1] / areas.max()]
    return float(max(shares))


def _local(image: np.ndarray, mask: np.ndarray, spacing: np.ndarray) -> Features:
    """Signs that need the mask's neighbourhood only: brightness, size, shape."""
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
