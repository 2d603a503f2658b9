"""A grid of about 8 mm that covers the same box as a network's input: there gross errors of a mask are looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor
from torch.nn import functional

VOXEL_MM = 8.0


def block_of(spacing_mm_zyx: Sequence[float]) -> tuple[int, ...]:
    """(z, y, x) voxels of a finer grid that make one of the coarse grid."""
    return tuple(max(1, round(VOXEL_MM / step)) for step in spacing_mm_zyx)


def averaged(fine: Tensor, block: tuple[int, ...]) -> Tensor:
    """Means over blocks of float channels (channel, z, y, x); a block cut by the edge repeats its last voxel."""
    pads = [pad for n, size in zip(fine.shape[:0:-1], block[::-1], strict=True) for pad in (0, -n % size)]
    return functional.avg_pool3d(functional.pad(fine[None], pads, mode="replicate"), block)[0]


@dataclass(frozen=True)
class CoarseGrid:
    """The way between a volume's own grid and the coarse grid of its preprocessed input."""

    block: tuple[int, ...]
    """(z, y, x) voxels of the network's input that make one."""
    fine: tuple[int, ...]
    """(z, y, x) size of the network's input."""
    crop: tuple[slice, ...]
    """Box of the turned volume that nnU-Net cropped to, in the plan's order of axes."""
    full: tuple[int, ...]
    """Size of the turned volume, in the same order."""
    axes: tuple[int, ...]
    """The plan's ``transpose_forward``."""
    orientation: str
    """ITK axis code to which the volume was turned for the network."""
    spacing_mm_zyx: tuple[float, ...]
    """Size of a coarse voxel."""

    @classmethod
    def of(
        cls,
        properties: dict[str, Any],
        *,
        fine: tuple[int, ...],
        fine_spacing_mm_zyx: tuple[float, ...],
        axes: tuple[int, ...],
        orientation: str,
    ) -> CoarseGrid:
        """The grid of a volume that nnU-Net has preprocessed.

        Args:
            properties: what nnU-Net's preprocessing says of its crop.
        """
        block = block_of(fine_spacing_mm_zyx)
        return cls(
            block=block,
            fine=fine,
            crop=tuple(slice(low, high) for low, high in properties["bbox_used_for_cropping"]),
            full=tuple(properties["shape_before_cropping"]),
            axes=axes,
            orientation=orientation,
            spacing_mm_zyx=tuple(size * step for size, step in zip(block, fine_spacing_mm_zyx, strict=True)),
        )

    def down(self, mask: sitk.Image) -> Tensor:
        """The share of each coarse voxel, (z, y, x) 0-1, that a mask of 0 and 1 on the volume's grid covers."""
        turned = sitk.GetArrayFromImage(sitk.DICOMOrient(mask, self.orientation)).transpose(self.axes)[self.crop]
        share = torch.from_numpy(turned.astype(np.float32))[None, None]
        return averaged(functional.interpolate(share, self.fine, mode="area")[0], self.block)[0]

    def up(self, labels: Tensor, like: sitk.Image) -> sitk.Image:
        """Labels (z, y, x) as uint8 on the grid of ``like``, the volume; 0 where nnU-Net cropped it away."""
        fine = labels
        for axis, (size, n) in enumerate(zip(self.block, self.fine, strict=True)):
            fine = fine.repeat_interleave(size, axis).narrow(axis, 0, n)
        inside = [part.stop - part.start for part in self.crop]
        turned = np.zeros(self.full, np.uint8)
        turned[self.crop] = functional.interpolate(fine[None, None].float(), inside, mode="nearest-exact")[0, 0]
        image = sitk.GetImageFromArray(turned.transpose(np.argsort(self.axes)))
        image.CopyInformation(sitk.DICOMOrient(like, self.orientation))
        image = sitk.DICOMOrient(image, "LPS")
        image.CopyInformation(like)  # equal but for rounding in the two turns
        return image
