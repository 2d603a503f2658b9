"""Anatomies that signs are put into (real ones, phantoms, label maps), and their distribution over the splits."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pipeline.cohort.labelled_cases import anatomies_of, find_cases
from pipeline.errors import ManifestError
from pipeline.simulation.options import SimulationOptions
from pipeline.simulation.phantom.phantom import make_phantom


@dataclass(frozen=True)
class Anatomy:
    """One anatomy: an image and its organ labels on one grid."""

    name: str
    image: Path
    labels: Path
    donor: str = ""
    """Label map whose liver lent its shape; empty: the anatomy has its own."""


def find_anatomies(data: Path) -> list[Anatomy]:
    """The first case of each source anatomy, without anatomies that also occur in a test split.

    Raises:
        ManifestError: as ``find_cases``, or every anatomy is in the test split.
    """
    cases, anatomy_of = find_cases(data, without=("test",)), anatomies_of(data)
    tested = {anatomy for case, anatomy in anatomy_of.items() if case not in cases}
    firsts: dict[str, Anatomy] = {}
    for case, files in cases.items():
        if anatomy_of[case] not in tested:
            firsts.setdefault(anatomy_of[case], Anatomy(anatomy_of[case], *files))
    if not firsts:
        raise ManifestError("Every anatomy of the manifest is in its test split too; give others.")
    return list(firsts.values())


def make_phantoms(
    pool: Executor, folder: Path, seeds: Sequence[np.random.SeedSequence], options: SimulationOptions
) -> list[Anatomy]:
    """Write one phantom per seed into ``folder``, in parallel."""
    phantoms, jobs = [], []
    for number, child in enumerate(seeds):
        name = f"phantom{options.seed}-{number:03d}"
        phantoms.append(Anatomy(name, folder / f"{name}_0000.nii", folder / f"{name}.nii"))
        jobs.append(pool.submit(_write_phantom, int(child.generate_state(1)[0]), options, phantoms[-1]))
    for job in jobs:
        job.result()
    return phantoms


def _write_phantom(seed: int, options: SimulationOptions, anatomy: Anatomy) -> None:
    image, labels = make_phantom(seed, size_xyz=options.phantom_size_xyz, spacing_mm_xyz=options.phantom_spacing_mm_xyz)
    sitk.WriteImage(image, str(anatomy.image))
    sitk.WriteImage(labels, str(anatomy.labels))


def share_of_test(cases: int, test: int) -> float:
    """Share of the anatomies that the test split takes: its share of the cases, a third at most."""
    return min(test / (cases + test), 1 / 3)


def split_anatomies(
    kinds: Sequence[list[Anatomy]], cases: int, test: int, seed: np.random.SeedSequence
) -> tuple[list[Anatomy], list[Anatomy]]:
    """Disjoint anatomies for training and for the test split.

    Of each kind the test split takes its share of the cases, a third at most: a network learns from the variety of
    anatomies, not from how often it sees each.

    Args:
        kinds: real anatomies, phantoms and painted label maps.
        cases, test: numbers of training and of test cases.

    Raises:
        ManifestError: a test split is asked for and there is only one anatomy.
    """
    everyone = [anatomy for kind in kinds for anatomy in kind]
    if not test:
        return everyone, []
    if len(everyone) < 2:
        raise ManifestError("A test split needs anatomies of its own; give at least two.")
    rng, share = np.random.default_rng(seed), share_of_test(cases, test)
    tested: set[str] = set()
    for kind in kinds:
        count = int(np.clip(round(len(kind) * share), 1, len(kind) - 1)) if len(kind) > 1 else 0
        tested |= {kind[k].name for k in rng.permutation(len(kind))[:count]}
    if not tested:  # one real anatomy and one phantom
        tested = {everyone[-1].name}
    return [a for a in everyone if a.name not in tested], [a for a in everyone if a.name in tested]
