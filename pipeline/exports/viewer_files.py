"""Files for the viewer in the browser, NiiVue, without anything that identifies the patient.

All files of a case lie on one grid, the volume's own in LPS, so that a slice number means the same in each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pipeline.case import LEFT_KIDNEY, RIGHT_KIDNEY, SPLEEN, Analysis, OrganMask, Volume, view
from pipeline.exports.planes import PLANE_AXES, hatch_bits, largest_area_xyz, outline_bits, slice_runs
from pipeline.exports.wording import doubt_words, heat_words

VOLUME_FILE = "volume.nii.gz"
LIVER_FILE = "liver.nii.gz"
OUTLINE_FILE = "outline.nii.gz"
HEAT_FILE = "heat.nii.gz"
DOUBT_FILE = "doubt.nii.gz"
ORGANS_FILE = "other_organs.nii.gz"
KIDNEY_CODE, SPLEEN_CODE = 8, 16
"""Added to the bits of the outlines in ``ORGANS_FILE``."""


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
    """Write liver mask, liver outline and, where there are any, heat map, hatch of doubt and the outlines of the other
    organs, and describe them.

    Returns:
        ``files`` by overlay, ``liver_window`` (from the middle of the liver's intensities), ``start_xyz``: the voxel to
        open on, in the slices with the largest liver area of each plane, ``heat_note``: why no heat is shown, and
        ``doubts`` and ``doubt_slices`` as ``described_doubts`` returns them.
    """
    liver = analysis.organs.liver
    like = analysis.volume.image
    _write(_on_grid(liver.astype(np.uint8), like), folder / LIVER_FILE)
    _write(_on_grid(outline_bits(liver), like), folder / OUTLINE_FILE)
    files = {"outline": OUTLINE_FILE, "liver": LIVER_FILE}
    for optional in (HEAT_FILE, DOUBT_FILE, ORGANS_FILE):
        (folder / optional).unlink(missing_ok=True)  # of an earlier analysis
    if _write_heat(analysis, folder / HEAT_FILE):
        files["heat"] = HEAT_FILE
    others = organ_outlines(view(analysis.organs.labels))
    if others.any():
        _write(_on_grid(others, like), folder / ORGANS_FILE)
        files["organs"] = ORGANS_FILE
    region = _region(analysis.organs)
    if region is not None:
        x, y, z = analysis.volume.spacing_mm_xyz
        _write(_on_grid(hatch_bits(region > 0, (z, y, x)), like), folder / DOUBT_FILE)
        files["doubt"] = DOUBT_FILE
    return {
        "files": files,
        "liver_window": liver_window(analysis.volume.voxels, liver),
        "start_xyz": largest_area_xyz(liver),
        "heat_note": heat_words(analysis),
        **described_doubts(analysis.organs),
    }


def organ_outlines(labels: np.ndarray) -> np.ndarray:
    """(z, y, x) uint8: the outlines of kidneys and spleen, each ``outline_bits`` and its code; 0 elsewhere."""
    codes = np.zeros(labels.shape, np.uint8)
    for code, organs in ((KIDNEY_CODE, (RIGHT_KIDNEY, LEFT_KIDNEY)), (SPLEEN_CODE, (SPLEEN,))):
        bits = outline_bits(np.isin(labels, organs))
        codes[bits > 0] = bits[bits > 0] + code
    return codes


def write_viewer_heat(analysis: Analysis, folder: Path, name: str) -> dict[str, object]:
    """Write the heat map of a corrected mask under a name of its own; the mask itself is the browser's.

    Returns:
        What takes the place of ``write_viewer_overlays``'s values: the doubts were about the former mask.
    """
    kept = {"outline": OUTLINE_FILE, "liver": LIVER_FILE, "organs": ORGANS_FILE}
    files = {layer: file for layer, file in kept.items() if (folder / file).exists()}
    if _write_heat(analysis, folder / name):
        files["heat"] = name
    return {"files": files, "heat_note": heat_words(analysis), **described_doubts(analysis.organs)}


def _write_heat(analysis: Analysis, path: Path) -> bool:
    """Write the heat map, 0-255, and say whether there is one."""
    if analysis.heatmap is None:
        return False
    heat = view(analysis.heatmap.image)
    scaled = np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8)
    _write(_on_grid(scaled, analysis.volume.image), path)
    return True


def described_doubts(organs: OrganMask) -> dict[str, object]:
    """Where the mask is in doubt, for the viewer; slices count from 0.

    Returns:
        ``doubts``: ``words``, ``slices`` (first and last axial slice) and ``at_xyz``, the voxel to look at, of each;
        ``doubt_slices``: first and last slice of each run in the other planes.
    """
    region = _region(organs)
    doubts = [
        {
            "words": doubt_words(doubt),
            "slices": [doubt.first_slice, doubt.last_slice],
            "at_xyz": list(doubt.at_xyz),
        }
        for doubt in organs.doubts
    ]
    held = np.zeros((0, 0, 0)) if region is None else region
    others = {plane: slice_runs(held > 0, plane) for plane in PLANE_AXES if plane != "axial"}
    return {"doubts": doubts, "doubt_slices": others}


def _region(organs: OrganMask) -> np.ndarray | None:
    """The values of the doubt map, (z, y, x); None without a doubt."""
    if organs.doubt_map is None or not organs.doubts:
        return None
    values = view(organs.doubt_map)
    return values if values.any() else None


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


def overlay_files(folder: Path) -> Mapping[str, Path]:
    """The overlays that exist in ``folder``, by name; empty while the result is withheld from the reader."""
    files = {
        "liver": LIVER_FILE,
        "outline": OUTLINE_FILE,
        "heat": HEAT_FILE,
        "doubt": DOUBT_FILE,
        "organs": ORGANS_FILE,
    }
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
