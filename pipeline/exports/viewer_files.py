"""Files for the viewer in the browser, NiiVue, without anything that identifies the patient.

All files of a case lie on one grid, the volume's own in LPS, so that a slice number means the same in each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pipeline.case import Analysis, Volume, view

VOLUME_FILE = "volume.nii.gz"
LIVER_FILE = "liver.nii.gz"
OUTLINE_FILE = "outline.nii.gz"
HEAT_FILE = "heat.nii.gz"

PLANE_BITS = {"axial": 1, "coronal": 2, "sagittal": 4}
"""Bits of the outline volume: whether a voxel lies on the liver's border as seen in that plane."""
PLANE_AXES = {"axial": 0, "coronal": 1, "sagittal": 2}
"""Array axis (z, y, x) that each plane steps through."""


def write_viewer_volume(volume: Volume, folder: Path) -> dict[str, object]:
    """Write the volume for the viewer and describe it.

    Returns:
        ``file``, ``size_xyz``, ``spacing_mm_xyz`` and ``window``: the 1st and 99th percentile of the intensities.
    """
    _write(_as_small_integers(volume.image), folder / VOLUME_FILE)
    return {
        "file": VOLUME_FILE,
        "size_xyz": list(volume.image.GetSize()),
        "spacing_mm_xyz": list(volume.spacing_mm_xyz),
        "window": percentile_window(volume.voxels),
    }


def write_viewer_overlays(analysis: Analysis, folder: Path) -> dict[str, object]:
    """Write liver mask, liver outline and heat map for the viewer and describe them.

    Returns:
        ``files`` by overlay, ``liver_window`` (from the middle of the liver's intensities), and ``start_xyz``: the
        voxel to open on, in the slices with the largest liver area of each plane.
    """
    liver = analysis.organs.liver
    like = analysis.volume.image
    _write(_on_grid(liver.astype(np.uint8), like), folder / LIVER_FILE)
    _write(_on_grid(outline_bits(liver), like), folder / OUTLINE_FILE)
    heat = view(analysis.heatmap.image)
    _write(_on_grid(np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8), like), folder / HEAT_FILE)
    return {
        "files": {"outline": OUTLINE_FILE, "liver": LIVER_FILE, "heat": HEAT_FILE},
        "liver_window": liver_window(analysis.volume.voxels, liver),
        "start_xyz": largest_area_xyz(liver),
        "heat_empty": analysis.heatmap.empty,
    }


def percentile_window(voxels: np.ndarray) -> list[float]:
    """Darkest and brightest value to show of (z, y, x) voxels: 1st and 99th percentile, since MR has no unit."""
    low, high = (float(p) for p in np.percentile(voxels, (1, 99)))
    return [low, high if high > low else low + 1.0]


def liver_window(voxels: np.ndarray, liver: np.ndarray) -> list[float]:
    """Darkest and brightest value of a window around the liver's median, three times as wide as its 5-95 % spread.

    Args:
        voxels: (z, y, x), MR units.
        liver: (z, y, x) bool.
    """
    inside = voxels[liver]
    if inside.size == 0:
        return percentile_window(voxels)
    low, middle, high = (float(p) for p in np.percentile(inside, (5, 50, 95)))
    half = max(1.5 * (high - low), 0.1 * abs(middle), 1e-3)
    return [middle - half, middle + half]


def largest_area_xyz(liver: np.ndarray) -> list[int]:
    """Voxel (x, y, z) whose sagittal, coronal and axial slices hold the most liver; the centre without a liver.

    Args:
        liver: (z, y, x) bool.
    """
    if not liver.any():
        return [n // 2 for n in liver.shape[::-1]]
    return [int(liver.sum(axis=other).argmax()) for other in ((0, 1), (0, 2), (1, 2))]


def outline_bits(mask: np.ndarray) -> np.ndarray:
    """(z, y, x) uint8: the bits of ``PLANE_BITS`` where a voxel of ``mask`` touches the outside within that plane.

    Voxels that touch it at a corner count, so that oblique outlines stay connected when they are drawn smooth.
    """
    bits = np.zeros(mask.shape, np.uint8)
    for plane, axis in PLANE_AXES.items():
        across, down = (other for other in PLANE_AXES.values() if other != axis)
        bits[mask & ~_eroded(_eroded(mask, across), down)] |= PLANE_BITS[plane]
    return bits


def _eroded(mask: np.ndarray, axis: int) -> np.ndarray:
    """``mask`` where both neighbours along ``axis`` are in it; beyond the volume nothing is."""
    lines = np.moveaxis(mask, axis, 0)
    eroded = np.zeros_like(lines)
    eroded[1:-1] = lines[:-2] & lines[1:-1] & lines[2:]
    return np.moveaxis(eroded, 0, axis)


def overlay_files(folder: Path) -> Mapping[str, Path]:
    """The overlays that exist in ``folder``, by name; empty while the result is withheld from the reader."""
    files = {"liver": LIVER_FILE, "outline": OUTLINE_FILE, "heat": HEAT_FILE}
    return {name: folder / file for name, file in files.items() if (folder / file).exists()}


def _as_small_integers(image: sitk.Image) -> sitk.Image:
    """Cast to int16 where that is lossless, as with nearly every scanner: half the size of float32."""
    voxels = view(image)
    if np.abs(voxels).max(initial=0) > 32000 or not np.array_equal(voxels, np.rint(voxels)):
        return image
    return sitk.Cast(image, sitk.sitkInt16)


def _on_grid(array: np.ndarray, like: sitk.Image) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(like)
    return image


def _write(image: sitk.Image, path: Path) -> None:
    sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=1)
