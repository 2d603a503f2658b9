"""From volume and liver mask to the network's input, and from the network's grid back to the volume's.

Axial slices through the liver (LPS z) are resampled in plane to one spacing, so that a septum is equally many pixels
wide in every case, cropped around the liver, and scaled by the liver's own brightness. They are not resampled along z.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any

import numpy as np
import SimpleITK as sitk
import torch
from pydantic import Field
from scipy import ndimage

from pipeline.case import SPLEEN, Volume, view
from pipeline.errors import ModelError, SegmentationError

SIZE_STEP = 32
"""Crops are multiples of this many pixels, so that every stage of every backbone halves them evenly."""
CropSize = Annotated[int, Field(gt=0, multiple_of=SIZE_STEP)]
MARGIN = 12
"""Voxels beyond the crop that smoothing and resampling see; farther ones change nothing."""


@dataclass(frozen=True)
class InputSpec:
    """Preparation of slices, stored as ``input`` in ``model.json``: prediction must repeat that of training."""

    spacing_mm: Annotated[float, Field(gt=0)] = 1.2
    """Spacing in plane, along x and y."""
    size_yx: tuple[CropSize, CropSize] = (160, 192)
    """Smallest crop around the liver, pixels; a larger liver gets a larger crop."""
    max_slices: Annotated[int, Field(ge=1)] = 24
    """Largest number of slices; of more an even selection is taken."""
    min_area_cm2: Annotated[float, Field(ge=0)] = 4.0
    """Slices with less liver than this are left out, unless all have less."""
    dilation_mm: float = 3.0
    """Distance outside the liver's edge at which the soft mask is 0.5."""
    softness_mm: Annotated[float, Field(gt=0)] = 6.0
    """Width over which the soft mask falls from 1 to 0."""
    clip: tuple[float, float] = (-1.0, 1.5)
    """Range of brightness, where 0 is the liver's median and -1 is no signal. Much brighter tissue, such as bile and
    kidneys, is clipped, so that contrast inside the liver prevails."""

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> InputSpec:
        """Parse ``input`` of ``model.json``.

        Raises:
            ModelError: an unknown key, as of a model for another version of this software.
        """
        unknown = set(stored) - {f.name for f in fields(cls)}
        if unknown:
            raise ModelError("The classifier's model.json describes an input that this version does not know.")
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()
        }
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """The fields by name, for ``model.json``."""
        return asdict(self)


@dataclass(frozen=True)
class CaseSlices:
    """The slices of one case on the network's grid."""

    images: np.ndarray
    """(slices, y, x) float32; 0 is the liver's median, -1 no signal."""
    distance_mm: np.ndarray
    """(slices, y, x) float32: in-plane distance to the liver's edge, negative inside. Masks are computed from it, so
    that their edge can be moved by millimetres."""
    z: tuple[int, ...]
    """Index of each slice in the volume."""
    grid: sitk.Image
    """Image without content, with the geometry of the crop in plane and all slices of the volume."""
    spleen_ml: float | None = None
    """Volume of the spleen, mL; None where it is not segmented."""

    def tensor(self, spec: InputSpec) -> torch.Tensor:
        """(slices, 2, y, x) float32: image and soft mask."""
        return torch.from_numpy(np.stack([self.images, soft_mask(self.distance_mm, spec)], axis=1))

    def with_edge_moved(self, outwards_mm: float, spec: InputSpec) -> CaseSlices:
        """The same slices with the mask dilated (above 0) or eroded in plane, and brightness in units of that liver.

        Crop and choice of slices stay the same. An erosion that leaves no liver keeps the brightness.
        """
        distance = self.distance_mm - np.float32(outwards_mm)
        signal = self.images + 1  # 0 is no signal, 1 the liver's median
        medians = [
            float(np.median(part)) if part.size else 0.0
            for part in (signal[self.distance_mm <= 0], signal[distance <= 0])
        ]
        images = np.clip(signal * (medians[0] / medians[1]) - 1, *spec.clip) if min(medians) > 0 else self.images
        return replace(self, images=images.astype(np.float32), distance_mm=distance)


def take_slices(volume: Volume, liver: np.ndarray, spec: InputSpec, *, spleen_ml: float | None = None) -> CaseSlices:
    """Choose, resample, crop and normalise the slices of one case.

    Args:
        volume: in LPS.
        liver: (z, y, x) bool on the volume's grid.
        spleen_ml: volume of the spleen, for classifiers that use it; None where it is not segmented.

    Raises:
        SegmentationError: the mask is empty.
    """
    z = choose_slices(liver, volume.spacing_mm_xyz, spec)
    grid = crop_grid(volume.image, liver, spec)
    low, unit = brightness(volume.voxels, liver)
    box = box_around(grid, volume.image)
    part, crop = cropped(volume.image, box), sitk.Image([*grid.GetSize()[:2], len(z)], sitk.sitkUInt8)
    place(crop, grid)
    taken, mask = (
        place(sitk.GetImageFromArray(np.ascontiguousarray(values[box][list(z)], np.float32)), part)
        for values in (volume.voxels, liver)
    )
    image = sitk.Resample(smoothed(taken, spec), crop, sitk.Transform(), sitk.sitkLinear, low, sitk.sitkFloat32)
    mask = sitk.Resample(mask, crop, sitk.Transform(), sitk.sitkLinear, 0.0)
    images = np.clip((view(image) - low) / unit - 1.0, *spec.clip)
    inside = view(mask) >= 0.5
    distance = np.stack([signed_distance(plane) for plane in inside]) * spec.spacing_mm
    return CaseSlices(images.astype(np.float32), distance.astype(np.float32), z, grid, spleen_ml)


def spleen_volume_ml(labels: np.ndarray, spacing_mm_xyz: tuple[float, float, float]) -> float | None:
    """Volume of the spleen in organ labels, (z, y, x), mL; None where no voxel is spleen."""
    voxels = int(np.count_nonzero(labels == SPLEEN))
    return voxels * float(np.prod(spacing_mm_xyz)) / 1000 if voxels else None


def choose_slices(liver: np.ndarray, spacing_mm_xyz: tuple[float, float, float], spec: InputSpec) -> tuple[int, ...]:
    """Indices of the slices with enough liver, at most ``max_slices``, evenly selected.

    Args:
        liver: (z, y, x) bool.

    Raises:
        SegmentationError: the mask is empty.
    """
    area_cm2 = liver.sum(axis=(1, 2)) * spacing_mm_xyz[0] * spacing_mm_xyz[1] / 100
    if not area_cm2.any():
        raise SegmentationError("No liver was found in this series; choose a series that shows the liver.")
    z = np.flatnonzero(area_cm2 >= min(spec.min_area_cm2, area_cm2.max()))
    if len(z) > spec.max_slices:
        z = z[np.linspace(0, len(z) - 1, spec.max_slices).round().astype(int)]
    return tuple(int(i) for i in z)


def crop_grid(image: sitk.Image, liver: np.ndarray, spec: InputSpec) -> sitk.Image:
    """An empty image: the crop's pixels in plane, centred on the liver's box, and every slice of the volume."""
    _, y, x = np.nonzero(liver)
    spacing = image.GetSpacing()
    size_xy, start_xy = [], []
    for index, voxel_mm, least in ((x, spacing[0], spec.size_yx[1]), (y, spacing[1], spec.size_yx[0])):
        extent_mm = (index.max() - index.min() + 1) * voxel_mm + 2 * (spec.dilation_mm + spec.softness_mm)
        size = max(least, SIZE_STEP * int(np.ceil(extent_mm / spec.spacing_mm / SIZE_STEP)))
        middle = (index.max() + index.min()) / 2
        size_xy.append(size)
        start_xy.append(middle - (size - 1) / 2 * spec.spacing_mm / voxel_mm)
    grid = sitk.Image([*size_xy, image.GetSize()[2]], sitk.sitkUInt8)
    grid.SetSpacing((spec.spacing_mm, spec.spacing_mm, spacing[2]))
    grid.SetDirection(image.GetDirection())
    grid.SetOrigin(image.TransformContinuousIndexToPhysicalPoint((*start_xy, 0.0)))
    return grid


def box_around(grid: sitk.Image, image: sitk.Image) -> tuple[slice, slice, slice]:
    """The voxels (z, y, x) of ``image`` that ``grid`` of the same orientation covers, with ``MARGIN`` in plane."""
    first = image.TransformPhysicalPointToContinuousIndex(grid.GetOrigin())
    sides = [slice(0, image.GetSize()[2])]
    for axis in (1, 0):
        length = (grid.GetSize()[axis] - 1) * grid.GetSpacing()[axis] / image.GetSpacing()[axis]
        low, high = int(np.floor(first[axis])) - MARGIN, int(np.ceil(first[axis] + length)) + 1 + MARGIN
        sides.append(slice(max(low, 0), min(high, image.GetSize()[axis])))
    z, y, x = sides
    return z, y, x


def cropped(image: sitk.Image, box: tuple[slice, slice, slice]) -> sitk.Image:
    """The voxels of a box (z, y, x) with their place in space."""
    z, y, x = box
    part: sitk.Image = image[x, y, z]
    return part


def place(image: sitk.Image, like: sitk.Image) -> sitk.Image:
    """Give an image the first voxel's position, the spacing and the direction of another; its slices are then taken for
    the first ones of the other, which is no matter to what is done in plane."""
    image.SetOrigin(like.GetOrigin())
    image.SetSpacing(like.GetSpacing())
    image.SetDirection(like.GetDirection())
    return image


def brightness(voxels: np.ndarray, liver: np.ndarray) -> tuple[float, float]:
    """The level of no signal, and the liver's median above it, in the units of ``voxels`` (z, y, x).

    MR intensities have no unit, so the liver's brightness serves as one: septa and nodules then keep their contrast to
    the liver whatever the scanner's gain. Zero is no signal, unless the file was shifted below zero.
    """
    lowest, highest = np.percentile(voxels[:, ::2, ::2], [1.0, 99.0])
    low = min(0.0, float(lowest))
    unit = float(np.median(voxels[liver])) - low
    if unit > 0.02 * (highest - low):
        return low, unit
    return low, float(highest - low) or 1.0  # a liver without signal: iron, or a mask on air


def smoothed(image: sitk.Image, spec: InputSpec) -> sitk.Image:
    """Blur in plane where the volume is finer than the network's grid, so that resampling does not alias."""
    for axis in (0, 1):
        voxel_mm = image.GetSpacing()[axis]
        if voxel_mm < 0.9 * spec.spacing_mm and image.GetSize()[axis] >= 4:
            sigma_mm = 0.4 * float(np.sqrt(spec.spacing_mm**2 - voxel_mm**2))
            image = sitk.RecursiveGaussian(image, sigma_mm, False, sitk.RecursiveGaussianImageFilter.ZeroOrder, axis)
    return image


def signed_distance(inside: np.ndarray) -> np.ndarray:
    """Distance to the edge in pixels, (y, x) bool -> (y, x) float: negative inside; beyond the image without a mask."""
    if not inside.any():
        return np.full(inside.shape, float(max(inside.shape)))
    outside = ndimage.distance_transform_edt(~inside)
    within = ndimage.distance_transform_edt(inside)
    return np.where(inside, 0.5 - within, outside - 0.5)


def soft_mask(distance_mm: np.ndarray, spec: InputSpec) -> np.ndarray:
    """1 inside the liver, 0 outside, with a soft edge just outside it; float32 of the shape of ``distance_mm``."""
    return np.clip(0.5 + (spec.dilation_mm - distance_mm) / spec.softness_mm, 0.0, 1.0).astype(np.float32)


def to_volume(maps: np.ndarray, case: CaseSlices, volume: Volume) -> sitk.Image:
    """Resample maps on the network's grid, (slices, y, x), to the volume's grid, float32.

    At slices that were not selected the map is interpolated; outside the crop and beyond the last slice it is 0.
    """
    stack = np.zeros(case.grid.GetSize()[::-1], np.float32)
    stack[list(case.z)] = maps
    for lower, upper in zip(range(len(case.z) - 1), range(1, len(case.z)), strict=True):
        for z in range(case.z[lower] + 1, case.z[upper]):
            share = (z - case.z[lower]) / (case.z[upper] - case.z[lower])
            stack[z] = (1 - share) * maps[lower] + share * maps[upper]
    image = sitk.GetImageFromArray(stack)
    image.CopyInformation(case.grid)
    box = box_around(case.grid, volume.image)
    part = sitk.Resample(image, cropped(volume.image, box), sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    before = [side.start for side in box[::-1]]
    after = [n - side.stop for n, side in zip(volume.image.GetSize(), box[::-1], strict=True)]
    result = sitk.ConstantPad(part, before, after, 0.0)
    result.CopyInformation(volume.image)
    return result
