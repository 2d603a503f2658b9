"""Clean a raw prediction and measure its liver."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from pipeline.case import LIVER, SPLEEN, OrganMask
from pipeline.errors import SegmentationError

SMALLEST_LIVER_ML = 200.0
"""Volume below which a liver counts as not found."""


def clean(labels: sitk.Image, *, ensemble_dice: float | None, knows_spleen: bool) -> OrganMask:
    """Keep the liver's and the spleen's largest component, fill the liver's holes slice by slice, and measure.

    Holes are filled in-plane, where a vessel or lesion is enclosed by liver and belongs to it; kidneys are left as they
    are.

    Args:
        labels: uint8 on the volume's grid, values as in ``pipeline.case``.
        ensemble_dice: mean pairwise liver Dice of the members; None with a single member.
        knows_spleen: whether the model segments the spleen.

    Raises:
        SegmentationError: no liver, or less than 200 mL of it.
    """
    voxels = sitk.GetArrayFromImage(labels)
    if not (voxels == LIVER).any():
        raise SegmentationError(
            "No liver was found in this series; choose an axial T2 series that shows the whole liver."
        )
    liver, sizes = largest_component(voxels == LIVER)
    spleen, _ = largest_component(voxels == SPLEEN)
    voxels[(voxels == SPLEEN) & ~spleen] = 0
    voxels[voxels == LIVER] = 0
    box = bounding_box(liver)
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in liver[box]])
    voxels[box][filled & (voxels[box] == 0)] = LIVER
    voxel_ml = float(np.prod(labels.GetSpacing())) / 1000
    liver_ml = float((voxels == LIVER).sum()) * voxel_ml
    if liver_ml < SMALLEST_LIVER_ML:
        raise SegmentationError(
            f"Only {liver_ml:.0f} mL of liver were found; choose an axial T2 series that shows the whole liver."
        )
    cleaned = sitk.GetImageFromArray(voxels)
    cleaned.CopyInformation(labels)
    return OrganMask(
        labels=cleaned,
        liver_ml=liver_ml,
        spleen_ml=float((voxels == SPLEEN).sum()) * voxel_ml if knows_spleen else None,
        components=sizes.size,
        largest_component_share=float(sizes.max() / sizes.sum()),
        touches_edge=touches_edge(voxels == LIVER),
        ensemble_dice=ensemble_dice,
    )


def largest_component(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest component of a (z, y, x) bool mask, and the voxel counts of all, (components,).

    Neighbours share a face, an edge or a corner.
    """
    if not mask.any():
        return mask, np.zeros(0, int)
    box = bounding_box(mask)
    parts, _ = ndimage.label(mask[box], structure=np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    largest = np.zeros_like(mask)
    largest[box] = parts == 1 + int(sizes.argmax())
    return largest, sizes


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """The box around a bool mask that is true somewhere."""
    axes = range(mask.ndim)
    found = [np.flatnonzero(mask.any(axis=tuple(a for a in axes if a != axis))) for axis in axes]
    return tuple(slice(int(index[0]), int(index[-1]) + 1) for index in found)


def touches_edge(liver: np.ndarray) -> bool:
    """Whether a (z, y, x) bool mask meets the first or last slice or the side of the image."""
    return any(bool(np.take(liver, side, axis).any()) for axis in range(3) for side in (0, -1))
