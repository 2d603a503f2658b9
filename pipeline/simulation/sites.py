"""Imaging sites of a simulated cohort: the ranges from which each one's acquisitions are drawn.

numpy is imported where a further site is drawn, since the command line reads default options for its help texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase

MOST_SITES = len(ascii_uppercase)
"""Sites are named A to Z."""


@dataclass(frozen=True)
class Site:
    """Ranges (low, high) from which one site's acquisitions are drawn uniformly."""

    name: str
    in_plane_mm: tuple[float, float]
    """Pixel size, mm."""
    slice_mm: tuple[float, float]
    """Distance of slices, mm."""
    gamma: tuple[float, float]
    """Exponent of the contrast curve; above 1 dark tissue is darker."""
    noise: tuple[float, float]
    """Standard deviation of the noise in each channel, relative to the 99th percentile."""
    shading: tuple[float, float]
    """Standard deviation of the natural logarithm of the coil's sensitivity."""
    blur_mm: tuple[float, float]
    """Standard deviation of the in-plane point spread, mm."""
    ghosts: tuple[float, float]
    """Amplitude of breathing ghosts relative to the image."""
    bright: tuple[float, float]
    """Voxel value of the 99th percentile."""


def further_site(number: int) -> Site:
    """Site ``number`` (0 is A). Its ranges depend on the number only, so that site D is the same in every cohort."""
    import numpy as np

    rng = np.random.default_rng(number)

    def about(low: float, high: float, half_width: float) -> tuple[float, float]:
        middle = rng.uniform(low, high)
        return (float(middle - half_width), float(middle + half_width))

    return Site(
        ascii_uppercase[number],
        in_plane_mm=about(1.1, 1.6, 0.1),
        slice_mm=about(5.5, 8.0, 0.5),
        gamma=about(0.8, 1.3, 0.12),
        noise=about(0.018, 0.035, 0.01),
        shading=about(0.1, 0.3, 0.06),
        blur_mm=about(0.35, 0.9, 0.25),
        ghosts=(0.0, float(rng.uniform(0.03, 0.1))),
        bright=about(350, 1800, 150),
    )
