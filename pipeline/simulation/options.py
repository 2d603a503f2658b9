"""Options of a simulated cohort, with their defaults and the one place that checks them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.errors import ManifestError
from pipeline.simulation.parameters import DEFAULTS, Parameters

PHANTOMS = 24
"""Number of phantom anatomies in a cohort that has no others."""


@dataclass(frozen=True)
class SimulationOptions:
    """Size and composition of a simulated cohort."""

    cases: int = 200
    """Number of training cases, labelled by stiffness; stages are distributed by ``parameters.stage_shares``."""
    test: int = 0
    """Number of additional test cases, labelled by histology, from anatomies that no training case shares."""
    seed: int = 0
    """Seed of all random draws; equal seeds give equal voxels."""
    phantoms: int | None = None
    """Number of phantom anatomies (default: ``PHANTOMS`` in a cohort without other anatomies, else 0)."""
    phantom_size_xyz: tuple[int, int, int] = (256, 256, 36)
    """Voxels of a phantom along x, y, z."""
    phantom_spacing_mm_xyz: tuple[float, float, float] = (1.25, 1.25, 7.7)
    """Voxel spacing of a phantom along x, y, z, mm."""
    sites: int = 2
    """Number of sites, each with its own scanner."""
    confounding: float = 0.0
    """Share of the cases (0-1) whose site is determined by the stage; it is independent in the others."""
    poor_masks: float = 0.0
    """Share of the cases (0-1) whose mask is degraded."""
    sign_maps: bool = False
    """Whether to write where texture signs were drawn (signs/ID.nii.gz)."""
    workers: int = 2
    """Number of processes; the voxels do not depend on it."""
    parameters: Parameters = DEFAULTS
    """Distributions of signs, reference standard and scanners."""

    def resolved(self, *, has_anatomies: bool) -> SimulationOptions:
        """The same with the number of phantoms and the sites' scanners filled in.

        Args:
            has_anatomies: whether the cohort has anatomies other than phantoms.

        Raises:
            ManifestError: no case, no anatomy, a share outside 0-1, or a number of sites outside 1-26.
        """
        phantoms = self.phantoms
        if phantoms is None:
            phantoms = 0 if has_anatomies else PHANTOMS
        if self.cases < 1 or self.test < 0 or phantoms < (0 if has_anatomies else 1):
            raise ManifestError("A cohort needs at least one case and one anatomy.")
        if not (0 <= self.poor_masks <= 1 and 0 <= self.confounding <= 1):
            raise ManifestError("The shares of poor masks and of confounded sites must lie between 0 and 1.")
        return replace(self, phantoms=phantoms, parameters=self.parameters.with_sites(self.sites))
