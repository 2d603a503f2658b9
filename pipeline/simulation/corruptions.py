"""Realistic corruptions of an abdominal MR volume, from slight to severe, to measure a segmenter's robustness.

In the spirit of ImageNet-C (Hendrycks and Dietterich, ICLR 2019) and of RandomMotion, RandomGhosting and their like in
TorchIO (Perez-Garcia et al., Comput Methods Programs Biomed 208 (2021) 106236), but with the physics of a T2 series of
the liver. Arrays are (z, y, x) float32; the phase-encode axis is y (anterior to posterior), as is usual in the abdomen.
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
"""A scan that changes nothing; ``acquire`` returns integers, so ``bright`` determines how finely they are rounded."""


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
    """Corrupt a volume whose labels stay true to it.

    Args:
        image: voxels of at least 0.
        labels: on the same grid; 0 background, 1 liver, 2 and 3 kidneys, 4 spleen.
        name: one of ``NAMES``, or two joined by ``AND``, which are applied in this order.
        severity: 0 changes nothing, 1 is worse than a reader should accept.
        seed: equal seeds give equal voxels; the random pattern of a seed is the same for all severities.

    Returns:
        Image (float32) and labels on the grid of the input; for ``cropped_fov`` on the part of it that remains.

    Raises:
        ValueError: ``severity`` is not 0-1.
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
    """``corrupt`` for arrays, with the corruptions that keep the grid.

    Args:
        voxels: (z, y, x) float32, at least 0.
        labels: (z, y, x) as in ``corrupt``.
        name: one of ``ON_VOXELS``.
    """
    volume = CorruptionInput(voxels, labels, spacing_mm_zyx, max(float(np.percentile(voxels, 99)), 1e-6), rng)
    return ON_VOXELS[name](volume, severity).astype(np.float32)


def _rescanned(volume: CorruptionInput, **changes: float) -> Array:
    """The volume acquired by the simulated scanner, scaled back to its own voxel values."""
    scan = replace(AS_MEASURED, **changes)
    return acquire(volume.voxels.copy(), scan, volume.spacing_mm_zyx, volume.rng) * np.float32(
        volume.top / AS_MEASURED.bright
    )


def _noise(volume: CorruptionInput, severity: float) -> Array:
    """Rician noise, down to a signal-to-noise ratio of 4 in the brightest tissue, below 2 in the liver."""
    return _rescanned(volume, noise=0.25 * severity)


def _bias_field(volume: CorruptionInput, severity: float) -> Array:
    """Coil shading: a smooth field whose logarithm has a standard deviation of up to 0.9."""
    return _rescanned(volume, shading=0.9 * severity)


def _gamma(volume: CorruptionInput, severity: float) -> Array:
    """Compressed contrast of dark or of bright tissue: an exponent from 1 to 3, or to a third."""
    return _rescanned(volume, gamma=float(3.0 ** (severity * volume.rng.choice([-1, 1]))))


def _motion(volume: CorruptionInput, severity: float) -> Array:
    """Breathing ghosts: the body moves along y by up to 14 mm from peak to peak between phase-encode lines."""
    return move_while_encoding(volume.voxels, breathing_shift(volume, severity))


def breathing_shift(volume: CorruptionInput, severity: float) -> Array:
    """Displacement (z, lines) along y in voxels while each phase-encode line is acquired."""
    slices, lines = volume.voxels.shape[:2]
    return BREATHING_MM * severity / volume.spacing_mm_zyx[1] * breathing(volume.rng, slices, lines)


def _low_resolution(volume: CorruptionInput, severity: float) -> Array:
    """In-plane pixels of up to 9 mm: the outer part of k-space is not acquired."""
    voxels = volume.voxels
    for axis in (1, 2):
        spacing_mm = volume.spacing_mm_zyx[axis]
        pixel_mm = spacing_mm + severity * max(9.0 - spacing_mm, 0.0)
        voxels = limit_k_space(voxels, axis, spacing_mm / pixel_mm)
    return np.maximum(voxels, 0)


def _thick_slices(volume: CorruptionInput, severity: float) -> Array:
    """Slices of four times the thickness, or of 20 mm if that is more: averaged, then interpolated to the old grid."""
    factor = 1 + severity * max(3.0, 20.0 / volume.spacing_mm_zyx[0] - 1)
    count = len(volume.voxels)
    averaged = ndimage.gaussian_filter1d(volume.voxels, (factor - 1) / np.sqrt(12), axis=0, mode="nearest")
    acquired = _along_z(averaged, np.arange(0, count, factor))
    return _along_z(acquired, np.arange(count) / factor)


def _along_z(voxels: Array, at: Array) -> Array:
    """Slices at fractional positions (n,), linearly interpolated; the last one is repeated beyond the end."""
    low = np.minimum(at.astype(int), len(voxels) - 1)
    share = (at - low).astype(np.float32)[:, None, None]
    return voxels[low] * (1 - share) + voxels[np.minimum(low + 1, len(voxels) - 1)] * share


def _folded(volume: CorruptionInput, knee: float) -> Array:
    """Tones above ``knee`` (0-1 of the grey scale) fall instead of rising; air stays dark."""
    tone = np.clip(volume.voxels / volume.top, 0, 1.3)
    folded = np.maximum(max(knee, 1 - knee) - np.abs(tone - knee), 0)
    body = np.clip(ndimage.gaussian_filter(tone, (0, 1, 1)) / 0.06, 0, 1) ** 2
    return volume.top * folded * body


def _inverted(volume: CorruptionInput, severity: float) -> Array:
    """Inverted grey scale, starting from its bright end; at severity 1 all of it."""
    return _folded(volume, 1 - severity)


def _t1_like(volume: CorruptionInput, severity: float) -> Array:
    """Towards a fat-suppressed T1 series: fluid dark, liver the brightest of the organs, kidneys and spleen darker."""
    signal = {"liver": 0.75, "right_kidney": 0.4, "left_kidney": 0.4, "spleen": 0.35}
    t1 = _folded(volume, 0.35)
    for organ, value in ORGANS.items():
        inside = volume.labels == value
        if inside.any():
            weight = ndimage.gaussian_filter(inside.astype(np.float32), (0, 0.7, 0.7))
            texture = volume.voxels - np.median(volume.voxels[inside])
            t1 += weight * (np.maximum(signal[organ] * volume.top - 0.5 * texture, 0) - t1)
    return (1 - severity) * volume.voxels + severity * t1


def _dark_liver(volume: CorruptionInput, severity: float) -> Array:
    """Iron overload: the liver keeps down to an eighth of its signal, the spleen a third."""
    voxels = volume.voxels.copy()
    apply_background(voxels, volume.labels, Background(steatosis=1.0, iron=1 - 0.88 * severity, oedema=1.0))
    return voxels


def _cropped(
    image: sitk.Image, labels: sitk.Image, severity: float, rng: np.random.Generator
) -> tuple[sitk.Image, sitk.Image]:
    """A stack that begins or ends within the liver, or a field of view that cuts its right side: up to 60 % missing."""
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


def _combined(volume: CorruptionInput, severity: float) -> Array:
    """Motion, coarse pixels, shading and noise together, each at 0.7 of the severity."""
    for corruption in (_motion, _low_resolution, _bias_field, _noise):
        volume = replace(volume, voxels=np.asarray(corruption(volume, 0.7 * severity), np.float32))
    return volume.voxels


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
"""Corruptions that keep the grid."""
NAMES = (*ON_VOXELS, "cropped_fov")
