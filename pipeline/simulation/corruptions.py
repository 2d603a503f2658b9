"""Realistic corruptions of an abdominal MR volume, from slight to severe, to see where a segmenter breaks.

In the spirit of ImageNet-C (Hendrycks and Dietterich, ICLR 2019) and of RandomMotion, RandomGhosting and their like in
TorchIO (Perez-Garcia et al., Comput Methods Programs Biomed 208 (2021) 106236), but with what MR physics does to a T2
series of the liver. Arrays are (z, y, x) float32; the phase-encode axis is y (anterior to posterior), as is usual in
the abdomen.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from pipeline.case import LIVER, ORGANS, view
from pipeline.simulation.fields import Array
from pipeline.simulation.mr_physics import breathing, limit_k_space, move_while_encoding
from pipeline.simulation.scanner import Background, Scan, acquire, apply_background

VERSION = 1
"""Incremented whenever equal seeds give other voxels than before."""
AND = " and "
"""Joins the names of two corruptions."""
BREATHING_MM = 7.0
"""Amplitude of breathing along y at severity 1, mm: 14 mm from peak to peak."""
AS_MEASURED = Scan(in_plane_mm=0, slice_mm=0, gamma=1, noise=0, shading=0, blur_mm=0, ghosts=0, bright=10000)
"""A scan that changes nothing; voxels of ``acquire`` are integers, so ``bright`` sets how finely they are rounded."""


@dataclass(frozen=True)
class CorruptionInput:
    """A volume to corrupt."""

    voxels: Array
    """(z, y, x) float32, at least 0."""
    labels: Array
    """(z, y, x): 0 background, 1 liver, 2 and 3 kidneys, 4 spleen."""
    spacing_mm_zyx: Array
    """(3,) z, y, x, mm."""
    top: float
    """99th percentile of the voxels."""
    rng: np.random.Generator


def corrupt(
    image: sitk.Image, labels: sitk.Image, name: str, severity: float, seed: int
) -> tuple[sitk.Image, sitk.Image]:
    """Corrupt a volume; its labels stay true to it.

    Args:
        image, labels: one grid; float voxels of at least 0, and 0 background, 1 liver, 2 and 3 kidneys, 4 spleen.
        name: one of ``NAMES``, or two joined by ``AND``, one after the other.
        severity: 0 changes nothing, 1 is worse than a reader should accept.
        seed: equal seeds give equal voxels; the random pattern of a seed is one for all severities.

    Returns:
        Image (float32) and labels on the grid that came in; for ``cropped_fov`` on the part of it that is left.
    """
    if not 0 <= severity <= 1:
        raise ValueError(f"severity must lie in [0, 1], not {severity}")
    if AND in name:
        first, second = name.split(AND)
        return corrupt(*corrupt(image, labels, first, severity, seed), second, severity, seed)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if name == "cropped_fov":
        return _cropped(sitk.Cast(image, sitk.sitkFloat32), labels, severity, rng)
    voxels = sitk.GetArrayFromImage(image).astype(np.float32)
    if severity > 0:
        spacing_mm_zyx = np.array(image.GetSpacing()[::-1])
        voxels = corrupt_voxels(voxels, sitk.GetArrayFromImage(labels), spacing_mm_zyx, name, severity, rng)
    corrupted = sitk.GetImageFromArray(voxels)
    corrupted.CopyInformation(image)
    return corrupted, labels


def corrupt_voxels(
    voxels: Array, labels: Array, spacing_mm_zyx: Array, name: str, severity: float, rng: np.random.Generator
) -> Array:
    """``corrupt`` for arrays (z, y, x), voxels of at least 0, spacing in mm (z, y, x); ``name`` is one of
    ``ON_VOXELS``."""
    case = CorruptionInput(voxels, labels, spacing_mm_zyx, max(float(np.percentile(voxels, 99)), 1e-6), rng)
    return ON_VOXELS[name](case, severity).astype(np.float32)


def _rescanned(case: CorruptionInput, **changes: float) -> Array:
    """The volume seen by the simulation's scanner, in the voxel values that it had."""
    scan = replace(AS_MEASURED, **changes)
    return acquire(case.voxels.copy(), scan, case.spacing_mm_zyx, case.rng) * np.float32(case.top / AS_MEASURED.bright)


def _noise(case: CorruptionInput, severity: float) -> Array:
    """Rician noise, up to a signal-to-noise ratio of 4 in the brightest tissue, less than 2 in the liver."""
    return _rescanned(case, noise=0.25 * severity)


def _bias_field(case: CorruptionInput, severity: float) -> Array:
    """Coil shading: a smooth field whose logarithm has a standard deviation of up to 0.9."""
    return _rescanned(case, shading=0.9 * severity)


def _gamma(case: CorruptionInput, severity: float) -> Array:
    """Dark or bright tissue pressed together: an exponent from 1 to 3 or to a third."""
    return _rescanned(case, gamma=float(3.0 ** (severity * case.rng.choice([-1, 1]))))


def _motion(case: CorruptionInput, severity: float) -> Array:
    """Breathing ghosts: the body moves along y by up to 14 mm from peak to peak between phase-encode lines."""
    return move_while_encoding(case.voxels, breathing_shift(case, severity))


def breathing_shift(case: CorruptionInput, severity: float) -> Array:
    """Displacement (z, lines) along y in voxels while each phase-encode line is acquired."""
    slices, lines = case.voxels.shape[:2]
    return BREATHING_MM * severity / case.spacing_mm_zyx[1] * breathing(case.rng, slices, lines)


def _low_resolution(case: CorruptionInput, severity: float) -> Array:
    """In-plane pixels of up to 9 mm: the outer part of k-space is not acquired."""
    voxels = case.voxels
    for axis in (1, 2):
        spacing_mm = case.spacing_mm_zyx[axis]
        pixel_mm = spacing_mm + severity * max(9.0 - spacing_mm, 0.0)
        voxels = limit_k_space(voxels, axis, spacing_mm / pixel_mm)
    return np.maximum(voxels, 0)


def _thick_slices(case: CorruptionInput, severity: float) -> Array:
    """Slices of up to four times the thickness, at least 20 mm: averaged, then interpolated to the old positions."""
    factor = 1 + severity * max(3.0, 20.0 / case.spacing_mm_zyx[0] - 1)
    count = len(case.voxels)
    averaged = ndimage.gaussian_filter1d(case.voxels, (factor - 1) / np.sqrt(12), axis=0, mode="nearest")
    acquired = _along_z(averaged, np.arange(0, count, factor))
    return _along_z(acquired, np.arange(count) / factor)


def _along_z(voxels: Array, at: Array) -> Array:
    """Slices at fractional positions (n,), linearly interpolated; beyond the last one it goes on."""
    low = np.minimum(at.astype(int), len(voxels) - 1)
    share = (at - low).astype(np.float32)[:, None, None]
    return voxels[low] * (1 - share) + voxels[np.minimum(low + 1, len(voxels) - 1)] * share


def _folded(case: CorruptionInput, knee: float) -> Array:
    """Tones above ``knee`` (0-1 of the grey scale) fall instead of rising; air stays dark."""
    tone = np.clip(case.voxels / case.top, 0, 1.3)
    folded = np.maximum(max(knee, 1 - knee) - np.abs(tone - knee), 0)
    body = np.clip(ndimage.gaussian_filter(tone, (0, 1, 1)) / 0.06, 0, 1) ** 2
    return case.top * folded * body


def _inverted(case: CorruptionInput, severity: float) -> Array:
    """From the bright end on, ever more of the grey scale is turned round; at 1 all of it."""
    return _folded(case, 1 - severity)


def _t1_like(case: CorruptionInput, severity: float) -> Array:
    """Towards a fat-suppressed T1 series: fluid dark, liver the brightest of the organs, kidneys and spleen darker."""
    wanted = {"liver": 0.75, "right_kidney": 0.4, "left_kidney": 0.4, "spleen": 0.35}
    t1 = _folded(case, 0.35)
    for organ, value in ORGANS.items():
        inside = case.labels == value
        if inside.any():
            weight = ndimage.gaussian_filter(inside.astype(np.float32), (0, 0.7, 0.7))
            texture = case.voxels - np.median(case.voxels[inside])
            t1 += weight * (np.maximum(wanted[organ] * case.top - 0.5 * texture, 0) - t1)
    return (1 - severity) * case.voxels + severity * t1


def _dark_liver(case: CorruptionInput, severity: float) -> Array:
    """Iron: the liver falls to an eighth of its signal, the spleen less so."""
    voxels = case.voxels.copy()
    apply_background(voxels, case.labels, Background(steatosis=1.0, iron=1 - 0.88 * severity, oedema=1.0))
    return voxels


def _cropped(
    image: sitk.Image, labels: sitk.Image, severity: float, rng: np.random.Generator
) -> tuple[sitk.Image, sitk.Image]:
    """A stack that begins or ends within the liver, or a field of view that cuts its side: up to 60 % are outside."""
    liver = np.argwhere(view(labels) == LIVER)
    axis, at_start = int(rng.choice([0, 0, 2])), bool(rng.integers(2))
    if not len(liver) or severity == 0:
        return image, labels
    if axis == 2:
        at_start = True  # the patient's right, where the liver meets the side
    first, last = int(liver[:, axis].min()), int(liver[:, axis].max())
    cut = round(0.6 * severity * (last - first + 1))
    keep = [slice(None)] * 3
    keep[2 - axis] = slice(first + cut, None) if at_start else slice(None, last + 1 - cut)  # SimpleITK's (x, y, z)
    return image[tuple(keep)], labels[tuple(keep)]


def _combined(case: CorruptionInput, severity: float) -> Array:
    """A restless patient in a poor coil: motion, coarse pixels, shading and noise, each at 0.7 of the severity."""
    for corruption in (_motion, _low_resolution, _bias_field, _noise):
        case = replace(case, voxels=np.asarray(corruption(case, 0.7 * severity), np.float32))
    return case.voxels


ON_VOXELS: dict[str, Callable[[CorruptionInput, float], Array]] = {
    "noise": _noise,
    "bias_field": _bias_field,
    "motion": _motion,
    "inverted": _inverted,
    "thick_slices": _thick_slices,
    "t1_like": _t1_like,
    "gamma": _gamma,
    "dark_liver": _dark_liver,
    "low_resolution": _low_resolution,
    "combined": _combined,
}
"""Those that leave the grid as it is."""
NAMES = (*ON_VOXELS, "cropped_fov")
