"""Distributions of stages, stiffness, signs, anatomy and scanners in a simulated cohort."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from models.files import json_sha256
from pipeline.errors import ManifestError
from pipeline.simulation.sites import MOST_SITES, Site, further_site


@dataclass(frozen=True)
class Parameters:
    """Distributions that a simulated cohort is drawn from, taken from the literature and never tuned on a classifier.

    Tuples of five are by stage, F0 to F4. Spreads and deviations "of the logarithm" are of the natural one.
    """

    version: int = 2
    """Version of the drawing: 2 has nodules of several sizes, dependent ascites, collateral vessels, larger lobes."""
    stage_shares: tuple[float, ...] = (0.25, 0.22, 0.18, 0.17, 0.18)
    """Relative frequency of each stage."""
    lsm_median_kpa: tuple[float, ...] = (5.0, 6.0, 8.0, 11.0, 22.0)
    """Median liver stiffness by transient elastography, kPa."""
    lsm_spread: float = 1.4
    """Geometric standard deviation of stiffness between patients of one stage."""
    reading_sd: float = 0.12
    """Standard deviation of the logarithm of the ten readings of one patient, whose median is the LSM."""
    biopsy_agreement: float = 0.75
    """Share of biopsies read as the true stage, about that of 25 mm cores (Bedossa, Hepatology 38 (2003) 1449); the
    others differ by one stage."""
    severity_mean: tuple[float, ...] = (0.05, 0.11, 0.20, 0.36, 0.78)
    """Mean severity, 0-1: how strongly the disease shows in the parenchyma. Neighbouring stages overlap widely."""
    severity_sd: tuple[float, ...] = (0.05, 0.08, 0.11, 0.17, 0.17)
    """Standard deviation of severity before it is clipped to 0-1."""
    septa: float = 0.27
    """Brightness of septa at severity 1, as a share of the parenchyma's signal."""
    nodules: float = 0.15
    """Signal loss of nodules at severity 1, as a share of the parenchyma's signal."""
    sign_spread: float = 0.35
    """Standard deviation of the logarithm of each sign's strength at equal severity."""
    nodule_mm: tuple[float, float] = (4.5, 9.0)
    """Range of the mean distance of the centres of small nodules, mm."""
    macronodular: tuple[float, float] = (0.0, 0.8)
    """Range of the share of the liver in which large nodules lie among the small ones."""
    siderotic_probability: float = 0.2
    """Probability that a liver has siderotic nodules."""
    shape_from: float = 0.4
    """Severity at which surface and lobes begin to change: mainly F4."""
    surface_mm: float = 3.2
    """Height of surface nodules at severity 1, mm."""
    surface_most_mm: float = 5.0
    """Upper limit of that height, mm."""
    lobar_probability: float = 0.7
    """Probability that lobes change when severity exceeds ``shape_from``."""
    lobar_most: float = 1.15
    """Upper limit of the lobar change; beyond it the deformation would fold."""
    notch_probability: float = 0.6
    """Probability of a right posterior notch when severity exceeds ``shape_from``."""
    notch_mm: tuple[float, float] = (8.0, 16.0)
    """Range of the notch's depth at severity 1, mm."""
    spleen_median: tuple[float, ...] = (1.0, 1.0, 1.0, 1.1, 1.6)
    """Median factor on the spleen's volume."""
    spleen_spread: float = 0.2
    """Standard deviation of the logarithm of that factor."""
    ascites_probability: tuple[float, ...] = (0.0, 0.0, 0.0, 0.02, 0.3)
    ascites_mm: tuple[float, float] = (4.0, 14.0)
    """Range of the greatest depth of ascites, mm."""
    varices_probability: tuple[float, ...] = (0.0, 0.0, 0.0, 0.04, 0.4)
    """Probability of varices between spleen, stomach and left lobe."""
    varices_mm: tuple[float, float] = (4.0, 9.0)
    """Range of the varices' mean diameter, mm."""
    umbilical_probability: tuple[float, ...] = (0.0, 0.0, 0.0, 0.02, 0.2)
    """Probability of a recanalised umbilical vein."""
    umbilical_mm: tuple[float, float] = (4.0, 9.0)
    """Range of its diameter, mm."""
    slow_flow_probability: float = 0.35
    """Probability that blood in these vessels is slow and so bright instead of dark."""
    confluent_probability: tuple[float, ...] = (0.0, 0.0, 0.0, 0.05, 0.25)
    """Probability of confluent fibrosis."""
    steatosis_sd: float = 0.1
    """Standard deviation of the logarithm of steatosis's factor on the liver's signal."""
    iron_probability: float = 0.15
    """Probability of iron overload."""
    iron: tuple[float, float] = (0.4, 0.85)
    """Range of the factor on the liver's signal under iron overload."""
    oedema_sd: float = 0.07
    """Scale of the half-normal logarithm of oedema's factor on the liver's signal."""
    warp_mm: float = 4.5
    """Standard deviation of the random deformation along each axis, mm."""
    warp_length_mm: float = 60.0
    """Correlation length of the deformation, mm."""
    size_sd: float = 0.035
    """Standard deviation of the logarithm of the body's scale along each axis."""
    tilt_deg: float = 3.0
    """Standard deviation of the rotation about the body's long axis, degrees."""
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
        """SHA-256 of all values, recorded in cohort.json."""
        return json_sha256(dataclasses.asdict(self))

    def with_sites(self, count: int) -> Parameters:
        """The same with ``count`` sites: first those of ``sites``, then those of ``further_site``.

        Raises:
            ManifestError: ``count`` is not 1 to ``MOST_SITES``.
        """
        if not 1 <= count <= MOST_SITES:
            raise ManifestError(f"Give 1 to {MOST_SITES} sites.")
        further = [further_site(number) for number in range(len(self.sites), count)]
        return dataclasses.replace(self, sites=(*self.sites, *further)[:count])


DEFAULTS = Parameters()

LIKE_THE_PAPER = dataclasses.replace(DEFAULTS, stage_shares=(0.27, 0.09, 0.08, 0.15, 0.41))
"""Stage frequencies with about 104 of 220 cases above 12 kPa, as in the paper's training cohort."""
