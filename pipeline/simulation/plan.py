"""Stage, anatomy, site and mask quality of every case, decided before any voxel is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.simulation.anatomies import Anatomy
from pipeline.simulation.options import SimulationOptions

STREAMS = ("person", "signs", "scan", "shape", "texture", "mask", "vessels", "ascites")
"""Uses of random numbers within a case; the position in the list is part of the seed."""


@dataclass(frozen=True)
class CasePlan:
    """Everything about one case that is decided before any voxel is made."""

    patient_id: str
    stage: int
    """METAVIR stage, 0-4."""
    site: int
    """Index into ``Parameters.sites``."""
    source_anatomy: str
    image: Path
    labels: Path
    seed: np.random.SeedSequence
    split: str = "train"
    poor_mask: bool = False
    donor: str = ""
    """Label map whose liver lent the anatomy its shape."""

    def stream(self, use: str) -> np.random.Generator:
        """A separate random stream per use (one of ``STREAMS``), so that the draws of one never shift another's."""
        return np.random.default_rng(
            np.random.SeedSequence(self.seed.entropy, spawn_key=(*self.seed.spawn_key, STREAMS.index(use)))
        )


@dataclass(frozen=True)
class CohortSeeds:
    """Independent seeds of a cohort's steps."""

    design: np.random.SeedSequence
    phantoms: np.random.SeedSequence
    cases: np.random.SeedSequence
    test: np.random.SeedSequence
    shapes: np.random.SeedSequence

    @staticmethod
    def of(seed: int) -> CohortSeeds:
        """The seeds that belong to ``SimulationOptions.seed``; equal in every call."""
        return CohortSeeds(*np.random.SeedSequence(seed).spawn(5))


@dataclass(frozen=True)
class Split:
    """The cases of one split that are to be planned."""

    cases: int
    design_seed: np.random.SeedSequence
    case_seed: np.random.SeedSequence
    name: str = "train"
    first: int = 1
    """Number of the first case in its ``patient_id``."""


def plan_cohort(train: Sequence[Anatomy], test: Sequence[Anatomy], options: SimulationOptions) -> list[CasePlan]:
    """Plans of the training cases, then of the test cases.

    Args:
        train, test: anatomies of either split.
        options: resolved ones.
    """
    seeds = CohortSeeds.of(options.seed)
    plans = plan_cases(train, Split(options.cases, seeds.design, seeds.cases), options)
    if options.test:
        design_seed, case_seed = seeds.test.spawn(2)
        split = Split(options.test, design_seed, case_seed, name="test", first=options.cases + 1)
        plans += plan_cases(test, split, options)
    return plans


def plan_cases(anatomies: Sequence[Anatomy], split: Split, options: SimulationOptions) -> list[CasePlan]:
    """Stage, anatomy, site and mask of every case of a split, shuffled independently of one another."""
    parameters = options.parameters
    rng, cases = np.random.default_rng(split.design_seed), split.cases
    edges = np.cumsum(parameters.stage_shares) / sum(parameters.stage_shares)
    stages = rng.permutation(np.searchsorted(edges, (np.arange(cases) + 0.5) / cases))
    anatomy = rng.permutation(np.arange(cases) % len(anatomies))
    sites = rng.permutation(np.arange(cases) % len(parameters.sites))
    poor = rng.permutation(np.arange(cases) < round(options.poor_masks * cases))
    # A confounded case comes from the first site if it is advanced, else from the last.
    follows = rng.uniform(size=cases) < options.confounding
    sites = np.where(follows, np.where(stages >= 3, 0, len(parameters.sites) - 1), sites)
    return [
        CasePlan(
            patient_id=f"SIM{options.seed}-{split.first + i:04d}",
            stage=int(stages[i]),
            site=int(sites[i]),
            source_anatomy=anatomies[anatomy[i]].name,
            image=anatomies[anatomy[i]].image,
            labels=anatomies[anatomy[i]].labels,
            seed=child,
            split=split.name,
            poor_mask=bool(poor[i]),
            donor=anatomies[anatomy[i]].donor,
        )
        for i, child in enumerate(split.case_seed.spawn(cases))
    ]
