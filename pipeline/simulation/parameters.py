"""Everything a simulated cohort is set by, in one frozen place."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from models.files import json_sha256
from pipeline.errors import ManifestError
from pipeline.simulation.sites import MOST_SITES, Site, further_site


@dataclass(frozen=True)
class Parameters:
    """Everything the simulation is set by. From the literature on the signs, never from a classifier's results.

    Tuples of five are by stage, F0 to F4.
    """

    stage_shares: tuple[float, ...] = (0.25, 0.22, 0.18, 0.17, 0.18)
    lsm_median_kpa: tuple[float, ...] = (5.0, 6.0, 8.0, 11.0, 22.0)
    lsm_spread: float = 1.4
    """Geometric standard deviation between patients of one stage."""
    reading_sd: float = 0.12
    """Of ten elastography readings of one patient (natural logarithm); their median is the LSM."""
    biopsy_agreement: float = 0.75
    """Share of biopsies read as the true stage, about that of 25 mm cores (Bedossa, Hepatology 38 (2003) 1449); the
    others are a stage off."""
    severity_mean: tuple[float, ...] = (0.05, 0.11, 0.20, 0.36, 0.78)
    severity_sd: tuple[float, ...] = (0.05, 0.08, 0.11, 0.17, 0.17)
    """Severity, 0-1, is how far the disease shows in the parenchyma; neighbouring stages overlap widely."""
    septa: float = 0.27
    """Brightness of septa at severity 1, as a share of the parenchyma."""
    nodules: float = 0.15
    sign_spread: float = 0.35
    """Each sign's own spread (natural logarithm) at equal severity."""
    nodule_mm: tuple[float, float] = (4.5, 9.0)
    siderotic_probability: float = 0.2
    shape_from: float = 0.4
    """Severity at which surface and lobes begin to change: mainly F4."""
    surface_mm: float = 3.2
    surface_most_mm: float = 5.0
    lobar_probability: float = 0.7
    notch_probability: float = 0.6
    notch_mm: tuple[float, float] = (8.0, 16.0)
    spleen_median: tuple[float, ...] = (1.0, 1.0, 1.0, 1.1, 1.6)
    spleen_spread: float = 0.2
    ascites_probability: tuple[float, ...] = (0.0, 0.0, 0.0, 0.02, 0.3)
    ascites_mm: tuple[float, float] = (4.0, 14.0)
    confluent_probability: tuple[float, ...] = (0.0, 0.0, 0.0, 0.05, 0.25)
    steatosis_sd: float = 0.1
    iron_probability: float = 0.15
    iron: tuple[float, float] = (0.4, 0.85)
    oedema_sd: float = 0.07
    warp_mm: float = 4.5
    warp_length_mm: float = 60.0
    size_sd: float = 0.035
    tilt_deg: float = 3.0
    sites: tuple[Site, ...] = (
        Site(
            "A",
            in_plane_mm=(1.2, 1.4),
            slice_mm=(6.8, 8.0),
            gamma=(0.8, 1.1),
            noise=(0.012, 0.035),
            shading=(0.05, 0.18),
            blur_mm=(0.3, 0.8),
            ghosts=(0.0, 0.05),
            bright=(600, 1000),
        ),
        Site(
            "B",
            in_plane_mm=(1.1, 1.3),
            slice_mm=(5.5, 7.0),
            gamma=(0.95, 1.3),
            noise=(0.01, 0.03),
            shading=(0.1, 0.3),
            blur_mm=(0.2, 0.7),
            ghosts=(0.0, 0.08),
            bright=(250, 700),
        ),
    )

    @property
    def sha256(self) -> str:
        """Of all values, so that a cohort says which simulation made it."""
        return json_sha256(dataclasses.asdict(self))

    def with_sites(self, count: int) -> Parameters:
        """The same with ``count`` sites: the first ones given here, then further ones, each with its own scanner.

        Raises:
            ManifestError: fewer than one site or more than the alphabet names.
        """
        if not 1 <= count <= MOST_SITES:
            raise ManifestError(f"Give 1 to {MOST_SITES} sites.")
        further = [further_site(number) for number in range(len(self.sites), count)]
        return dataclasses.replace(self, sites=(*self.sites, *further)[:count])


DEFAULTS = Parameters()

LIKE_THE_PAPER = dataclasses.replace(DEFAULTS, stage_shares=(0.27, 0.09, 0.08, 0.15, 0.41))
"""Shares that put about 104 of 220 cases above 12 kPa, as in the paper's training cohort."""
