"""What differs between scanners and patients and says nothing about fibrosis: fat, iron, coil, contrast, noise.

All of it is independent of the stage. Arrays are (z, y, x) float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipeline.case import LIVER, SPLEEN
from pipeline.simulation.fields import Array
from pipeline.simulation.mr_physics import (
    add_breathing_ghosts,
    blur_in_plane,
    coil_sensitivity,
    complex_noise,
    rician_magnitude,
)
from pipeline.simulation.sites import Site

COIL_LENGTH_MM = 130.0
"""Correlation length of the coil's sensitivity, mm."""


@dataclass(frozen=True)
class Scan:
    """Settings of one acquisition; units as in ``Site``."""

    in_plane_mm: float
    slice_mm: float
    gamma: float
    noise: float
    shading: float
    blur_mm: float
    ghosts: float
    bright: float

    @staticmethod
    def draw(site: Site, rng: np.random.Generator) -> Scan:
        """Draw each setting uniformly from the site's range; four in ten scans have ghosts."""
        return Scan(
            in_plane_mm=rng.uniform(*site.in_plane_mm),
            slice_mm=rng.uniform(*site.slice_mm),
            gamma=rng.uniform(*site.gamma),
            noise=rng.uniform(*site.noise),
            shading=rng.uniform(*site.shading),
            blur_mm=rng.uniform(*site.blur_mm),
            ghosts=rng.uniform(*site.ghosts) * float(rng.uniform() < 0.4),
            bright=rng.uniform(*site.bright),
        )


@dataclass(frozen=True)
class Background:
    """Factors on the signal of liver and spleen that have nothing to do with fibrosis; 1 changes nothing."""

    steatosis: float
    iron: float
    """Signal loss by iron; a liver at 0.4 is nearly black."""
    oedema: float


def apply_background(image: Array, labels: Array, background: Background) -> None:
    """Scale the signal of liver tissue, and of the spleen by the square root of iron's factor, in place.

    Bright vessels keep their signal.
    """
    for organ, factor in (
        (LIVER, background.steatosis * background.iron * background.oedema),
        (SPLEEN, background.iron**0.5),
    ):
        mask = labels == organ
        if not mask.any() or factor == 1:
            continue
        normal = np.median(image[mask])
        weight = ndimage.gaussian_filter(mask.astype(np.float32), (0, 0.7, 0.7))
        tissue = np.clip(1.7 - (image / normal - 1) / 0.3, 0.25, 1)
        image *= 1 + weight * tissue * np.float32(factor - 1)


def acquire(image: Array, scan: Scan, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """Apply contrast, coil sensitivity, blur, ghosts and Rician noise.

    Args:
        image: signal (z, y, x) float32; negative values count as 0.

    Returns:
        (z, y, x) int16 voxels, 0-32000; the 99th percentile of the input becomes about ``scan.bright``.
    """
    top = np.float32(np.percentile(image, 99))
    image = (np.maximum(image, 0) / top) ** np.float32(scan.gamma)
    image *= coil_sensitivity(rng, image.shape, spacing_mm_zyx, scan.shading, COIL_LENGTH_MM)
    sigma = scan.blur_mm / spacing_mm_zyx
    image = blur_in_plane(image, sigma[1], sigma[2])
    if scan.ghosts:
        add_breathing_ghosts(image, scan.ghosts, rng)
    noise = complex_noise(rng, image.shape) * np.float32(scan.noise)
    return np.clip(rician_magnitude(image, noise) * scan.bright, 0, 32000).astype(np.int16)
