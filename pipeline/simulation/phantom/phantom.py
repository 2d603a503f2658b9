"""A phantom of a fat-suppressed axial T2 series of the upper abdomen, with its true organ labels.

Everything consists of smooth implicit shapes and random numbers; nothing comes from a real volume. Intensities are
relative to the bright end of such series (kidney about 1, liver 0.45, muscle 0.23, fat 0.15, lung 0.05) until the end.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from pipeline.simulation.fields import Array
from pipeline.simulation.mr_physics import blur_in_plane, coil_sensitivity, complex_noise, rician_magnitude
from pipeline.simulation.phantom.canvas import Canvas
from pipeline.simulation.phantom.painter import paint_subject
from pipeline.simulation.phantom.subject import Subject, make_grid

OVERSAMPLING_Z = 2
"""Layers per slice; their average has the partial volume of a thick slice."""
BRIGHT = 800.0
"""Voxel value of relative intensity 1, about the 99th percentile."""


def make_phantom(
    seed: int,
    *,
    size_xyz: tuple[int, int, int] = (256, 256, 36),
    spacing_mm_xyz: tuple[float, float, float] = (1.25, 1.25, 7.7),
    liver_scale: float = 1.0,
    spleen_scale: float = 1.0,
) -> tuple[sitk.Image, sitk.Image]:
    """Draw one subject and return its T2 series and organ labels.

    Args:
        seed: equal seed, size and spacing give equal voxels.
        size_xyz: voxels along x, y, z; a field of view of about 320 x 320 x 240 mm contains the upper abdomen.
        spacing_mm_xyz: voxel spacing along x, y, z, mm.
        liver_scale: factor on the liver's volume, which is then limited to 1010-2080 mL.
        spleen_scale: factor on the spleen's volume.

    Returns:
        Image (float32, LPS, at least 0) and labels (uint8: 0 background, 1 liver, 2 right kidney, 3 left kidney,
        4 spleen) on the same grid.
    """
    rng = np.random.default_rng(seed)
    subject = Subject.draw(rng, liver_scale=liver_scale, spleen_scale=spleen_scale)
    nx, ny, nz = size_xyz
    step = (spacing_mm_xyz[0], spacing_mm_xyz[1], spacing_mm_xyz[2] / OVERSAMPLING_Z)
    spare = nz * spacing_mm_xyz[2] - subject.height
    above = float(np.clip(rng.uniform(25, 50), 8, max(8.0, 0.4 * spare)))
    grid = make_grid(rng, subject, (nx, ny, nz * OVERSAMPLING_Z), step, above)
    canvas = Canvas(grid, subject, rng)
    paint_subject(canvas)
    signal = canvas.signal.reshape(nz, OVERSAMPLING_Z, ny, nx).mean(1)
    fractions = {value: organ.reshape(nz, OVERSAMPLING_Z, ny, nx).mean(1) for value, organ in canvas.organs.items()}
    labels = np.zeros((nz, ny, nx), np.uint8)
    for value, fraction in fractions.items():
        labels[fraction >= 0.5] = value
    voxels = acquire(signal, spacing_mm_xyz, rng)
    origin = tuple(-s * (n - 1) / 2 for s, n in zip(spacing_mm_xyz, size_xyz, strict=True))
    return _image(voxels, spacing_mm_xyz, origin), _image(labels, spacing_mm_xyz, origin)


def _image(array: Array, spacing_mm_xyz: tuple[float, float, float], origin_xyz: tuple[float, ...]) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing_mm_xyz)
    image.SetOrigin(origin_xyz)
    return image


def acquire(signal: Array, spacing_mm_xyz: tuple[float, float, float], rng: np.random.Generator) -> Array:
    """Coil sensitivity, point spread of the acquired matrix and Rician noise.

    Args:
        signal: (z, y, x) relative intensities.

    Returns:
        (z, y, x) float32 voxel values, at least 0.
    """
    sensitivity = coil_sensitivity(rng, signal.shape, np.array(spacing_mm_xyz[::-1]), log_sd=0.16, length_mm=150)
    up = np.linspace(0, 1, signal.shape[0], dtype=np.float32)[:, None, None]
    sensitivity = sensitivity * (1 - 0.35 * np.clip((up - 0.75) / 0.25, 0, 1) ** 2)
    signal = signal * sensitivity
    sigma = rng.uniform(0.45, 0.7) / np.array(spacing_mm_xyz)[:2]
    signal = blur_in_plane(signal, sigma[1] * 1.25, sigma[0] * 1.25)
    noise = complex_noise(rng, signal.shape)
    # The acquired matrix is coarser than the grid, so that neighbouring voxels share some noise.
    noise = ndimage.gaussian_filter(noise, (0, 0, 0.55, 0.55)) * np.float32(rng.uniform(0.026, 0.042))
    measured = rician_magnitude(signal, noise)
    # Scanners blank voxels without signal.
    return (measured * BRIGHT * np.clip(signal / 0.03, 0.15, 1)).astype(np.float32)
