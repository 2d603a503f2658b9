"""Resampling of an anatomy onto a scan's grid, bent by a random warp and by the signs that change shape."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from pipeline.simulation.body import skin_depth
from pipeline.simulation.fibrosis_signs import FibrosisSigns
from pipeline.simulation.fields import Array, smooth_field
from pipeline.simulation.parameters import Parameters
from pipeline.simulation.scanner import Scan
from pipeline.simulation.shape_signs import displacement


def deform_anatomy(
    image: sitk.Image,
    labels: sitk.Image,
    signs: FibrosisSigns,
    scan: Scan,
    rng: np.random.Generator,
    p: Parameters,
) -> tuple[Array, Array, Array]:
    """Image and labels on the scan's own grid, deformed by a random smooth warp and by the signs that change shape.

    All deformations are applied in one interpolation, since each one blurs.

    Returns:
        voxels (z, y, x) float32 of at least 0, labels (z, y, x) uint8, and their spacing (z, y, x) in mm.
    """
    old = np.array(image.GetSpacing()[::-1])
    new = np.array([scan.slice_mm, scan.in_plane_mm, scan.in_plane_mm])
    size_zyx = np.array(image.GetSize()[::-1])
    # A grid finer than the source shows nothing more and costs time.
    new = np.maximum(new, 0.85 * old)
    shape = tuple(int(n) for n in np.maximum(np.floor(size_zyx * old / new), 4))
    label_array = sitk.GetArrayFromImage(labels)
    places = [np.arange(n, dtype=np.float32) * np.float32(s) for n, s in zip(shape, new, strict=True)]
    grid = list(np.meshgrid(*places, indexing="ij"))
    _tilt(grid, size_zyx * old / 2, rng, p)
    for axis in range(3):
        grid[axis] += np.float32(p.warp_mm) * smooth_field(rng, shape, new, p.warp_length_mm)
    at = np.stack([g.ravel() / np.float32(s) for g, s in zip(grid, old, strict=True)])
    voxel_array = sitk.GetArrayFromImage(image)
    # Outside the body the nearest voxel suffices; only the half of the grid that shows tissue is interpolated.
    voxels = _nearest(voxel_array, at)
    body = np.flatnonzero(_nearest(_around_body(voxel_array), at))
    at = at[:, body]
    shift = displacement(signs, label_array, skin_depth(voxel_array, old), old, rng)
    moves = [ndimage.map_coordinates(s, at, order=1, mode="nearest") if s.any() else 0 for s in shift]
    for axis in range(3):
        at[axis] += moves[axis] / np.float32(old[axis])
    # Beyond the ends of the volume its last slice is repeated, since the body continues.
    voxels[body] = ndimage.map_coordinates(voxel_array, at, order=3, mode="nearest")
    new_labels = np.zeros(voxels.shape, np.uint8)
    new_labels[body] = _labels_at(label_array, at)
    return np.maximum(voxels, 0).reshape(shape), new_labels.reshape(shape), new


def _around_body(voxels: Array) -> Array:
    """(z, y, x) bool: voxels with signal, with a margin of about ten voxels in plane."""
    signal = ndimage.uniform_filter(voxels, (0, 5, 5)) > 0.04 * np.percentile(voxels, 99)
    return (
        ndimage.maximum_filter(ndimage.binary_opening(signal, np.ones((1, 3, 3), bool)).astype(np.uint8), (3, 21, 21))
        > 0
    )


def _nearest(array: Array, at: Array) -> Array:
    """Values (n,) at fractional voxel positions (3, n), the edge repeated."""
    z, y, x = (np.clip(np.rint(a), 0, n - 1).astype(np.intp) for a, n in zip(at, array.shape, strict=True))
    return array[z, y, x]


def _tilt(grid: list[Array], centre: Array, rng: np.random.Generator, p: Parameters) -> None:
    """Scale each axis and rotate about the body's long axis by random amounts, in place.

    Args:
        grid: z, y and x of every voxel, mm.
        centre: centre of rotation (z, y, x), mm.
    """
    scale = np.exp(rng.normal(0, p.size_sd, 3))
    turn = np.deg2rad(rng.normal(0, p.tilt_deg))
    z, y, x = (np.float32(s) * (g - np.float32(c)) for g, c, s in zip(grid, centre, scale, strict=True))
    grid[0] = z + np.float32(centre[0])
    grid[1] = (np.cos(turn) * y - np.sin(turn) * x + centre[1]).astype(np.float32)
    grid[2] = (np.sin(turn) * y + np.cos(turn) * x + centre[2]).astype(np.float32)


def _labels_at(labels: Array, at: Array) -> Array:
    """Labels (n,) at fractional voxel positions (3, n): the organ whose linearly interpolated share is at least 0.5."""
    result = np.zeros(at.shape[1], np.uint8)
    for value in np.unique(labels[labels > 0]):
        mask = labels == value
        near = np.flatnonzero(_nearest(ndimage.maximum_filter(mask.astype(np.uint8), 3), at))
        share = ndimage.map_coordinates(mask.astype(np.float32), at[:, near], order=1, mode="nearest")
        result[near[share >= 0.5]] = value
    return result
