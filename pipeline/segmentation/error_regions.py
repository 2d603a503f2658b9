"""Where a liver mask is probably wrong: regions of the coarse grid, in words of slices and sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage
from torch import Tensor

from pipeline.case import LIVER, LIVER_MAY_BE_MISSING, MAY_BE_NO_LIVER, MaskDoubt, view
from pipeline.segmentation.coarse_grid import CoarseGrid

LIKELY = 0.5
"""Share of a coarse voxel from which it counts as an error."""
SMALLEST_ML = 10.0
"""Volume below which a region is not named."""
LARGE_SHARE = 0.08
"""Volume of a region as a share of the mask's, from which the mask is poor whatever else is predicted: that a part of
the liver is missing, or other tissue is included, is what score 3 means."""
WORDS_LARGE = {
    "missing": "a large part of the liver may be missing",
    "extra": "a large region inside the outline may not be liver",
}
"""Reason for score 3, by kind of region."""
ONE_SIDE = 0.8
"""Share of a region from which it lies on one side."""


@dataclass(frozen=True)
class ErrorRegion:
    """A connected region of errors of one kind."""

    kind: Literal["missing", "extra"]
    inside: np.ndarray
    """(z, y, x) bool on the coarse grid."""


def likely_regions(missing: np.ndarray, extra: np.ndarray, voxel_ml: float) -> list[ErrorRegion]:
    """Regions of at least ``SMALLEST_ML``, the largest first.

    Args:
        missing, extra: share of each coarse voxel (z, y, x), 0-1, that is expected to be wrong in this way.
    """
    found: list[ErrorRegion] = []
    kinds: tuple[tuple[Literal["missing", "extra"], np.ndarray], ...] = (("missing", missing), ("extra", extra))
    for kind, share in kinds:
        parts, _ = ndimage.label(share > LIKELY, structure=np.ones((3, 3, 3)))
        volumes = np.bincount(parts.ravel(), weights=share.ravel())[1:] * voxel_ml
        found += [ErrorRegion(kind, parts == number + 1) for number in np.flatnonzero(volumes >= SMALLEST_ML)]
    return sorted(found, key=lambda region: -int(region.inside.sum()))


def locate_doubts(
    labels: sitk.Image, expected: Sequence[Tensor], grid: CoarseGrid
) -> tuple[tuple[MaskDoubt, ...], sitk.Image]:
    """The regions where an ensemble's mask differs from the liver that its members' error networks expect.

    Args:
        labels: the mask, values as in ``pipeline.case``.
        expected: for each member the share of each coarse voxel (z, y, x), 0-1, that is expected to be liver; without
            any there is no doubt.

    Returns:
        The doubts, and their map as ``OrganMask.doubt_map``.
    """
    mask = grid.down(sitk.Cast(labels == LIVER, sitk.sitkUInt8))
    wrong = (torch.stack([share - mask for share in expected] or [0 * mask]).mean(0)).numpy()
    regions = likely_regions(wrong.clip(0, 1), (-wrong).clip(0, 1), float(np.prod(grid.spacing_mm_zyx)) / 1000)
    numbered = np.zeros(mask.shape, np.uint8)
    for number, region in enumerate(regions[:255], start=1):
        numbered[region.inside] = number
    liver, at = view(labels) == LIVER, view(grid.up(torch.from_numpy(numbered), labels))
    x_middle = float(np.nonzero(liver)[2].mean())
    shown, doubts = np.zeros(at.shape, np.uint8), []
    for number, region in enumerate(regions[:255], start=1):
        inside = (at == number) & (liver == (region.kind == "extra"))
        if not inside.any():
            continue
        shown[inside] = LIVER_MAY_BE_MISSING if region.kind == "missing" else MAY_BE_NO_LIVER
        doubts.append(_in_words(region.kind, inside, x_middle, float(np.prod(labels.GetSpacing())) / 1000))
    image = sitk.GetImageFromArray(shown)
    image.CopyInformation(labels)
    return tuple(doubts), image


def _in_words(kind: Literal["missing", "extra"], inside: np.ndarray, x_middle: float, voxel_ml: float) -> MaskDoubt:
    """Describe a region (z, y, x) of the volume's grid; ``x_middle`` is the index x of the liver's middle."""
    z, y, x = np.nonzero(inside)
    most = (int(np.bincount(x).argmax()), int(np.bincount(y).argmax()), int(np.bincount(z).argmax()))
    left = float((x > x_middle).mean())  # x runs to the patient's left
    side: Literal["right", "left", "both"] = "left" if left >= ONE_SIDE else "right" if left <= 1 - ONE_SIDE else "both"
    return MaskDoubt(kind, int(z.min()), int(z.max()), side, len(z) * voxel_ml, most)


def dice_with(doubt: MaskDoubt, mask_ml: float) -> float:
    """Dice of a mask that is wrong in this region alone: the most that it can have if the region is an error.

    Args:
        mask_ml: volume of the mask, mL.
    """
    if doubt.kind == "missing":
        return 2 * mask_ml / (2 * mask_ml + doubt.volume_ml)
    return 2 * (mask_ml - doubt.volume_ml) / (2 * mask_ml - doubt.volume_ml)
