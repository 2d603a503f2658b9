"""Anatomies made of label maps: whole abdomens painted as T2, and real cases warped to the livers of donors."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pipeline.case import LIVER, view
from pipeline.cohort.images import read_labelled
from pipeline.errors import ManifestError
from pipeline.simulation.anatomies import Anatomy
from pipeline.simulation.label_maps import LabelMap, find_label_maps
from pipeline.simulation.painting import IN_PLANE_MM, paint
from pipeline.simulation.scanner import Scan
from pipeline.simulation.warping import warp

DONORS = 3
"""Largest number of donors per real anatomy; each donor lends its shape to one anatomy."""
MARGIN_MM = 45.0
"""Slices kept beyond the liver of a painted abdomen, mm."""
QUIET = Scan(
    in_plane_mm=IN_PLANE_MM, slice_mm=6.0, gamma=1.0, noise=0.004, shading=0.0, blur_mm=0.3, ghosts=0.0, bright=800.0
)
"""Acquisition of a painted abdomen, since each case is acquired by its own site's scanner later."""


@dataclass(frozen=True)
class Shapes:
    """The label maps of a folder by what they are used for."""

    whole: list[LabelMap]
    """Whole abdomens, to be painted."""
    donors: list[LabelMap]
    """Others, whose livers lend their shape."""


def find_shapes(pool: Executor, folder: Path, real: Sequence[Anatomy]) -> Shapes:
    """The label maps of a folder, checked in parallel.

    Raises:
        ManifestError: as ``find_label_maps``, a label map cannot be read, or one is named as a real anatomy.
    """
    maps = find_label_maps(folder)
    if both := sorted({one.case for one in maps} & {anatomy.name for anatomy in real}):
        raise ManifestError(f"These are label maps and real cases at once: {', '.join(both)}; leave them out of one.")
    whole = [job.result() for job in [pool.submit(one.is_whole_abdomen) for one in maps]]
    chosen: tuple[list[LabelMap], list[LabelMap]] = ([], [])
    for one, is_whole in zip(maps, whole, strict=True):
        chosen[0 if is_whole else 1].append(one)
    return Shapes(*chosen)


def paint_abdomens(
    pool: Executor, folder: Path, maps: Sequence[LabelMap], seed: np.random.SeedSequence
) -> list[Anatomy]:
    """Write every whole abdomen as a T2-weighted image with organ labels into ``folder``, in parallel."""
    painted, jobs = [], []
    for one, child in zip(maps, seed.spawn(len(maps)), strict=True):
        painted.append(Anatomy(one.case, folder / f"{one.case}_0000.nii", folder / f"{one.case}.nii"))
        jobs.append(pool.submit(_write_painted, one, child, painted[-1]))
    for job in jobs:
        job.result()
    return painted


def _write_painted(label_map: LabelMap, seed: np.random.SeedSequence, anatomy: Anatomy) -> None:
    case = paint(*label_map.read(), np.random.default_rng(seed), QUIET)
    levels = np.flatnonzero((view(case.labels) == LIVER).any((1, 2)))
    margin = round(MARGIN_MM / case.labels.GetSpacing()[2])
    kept = slice(max(int(levels[0]) - margin, 0), int(levels[-1]) + margin + 1)
    sitk.WriteImage(case.image[:, :, kept], str(anatomy.image))
    sitk.WriteImage(case.labels[:, :, kept], str(anatomy.labels))


def warp_to_donors(
    pool: Executor, folder: Path, real: Sequence[Anatomy], donors: Sequence[LabelMap], seed: np.random.SeedSequence
) -> list[Anatomy]:
    """Write real anatomies with the livers of donors into ``folder``, in parallel.

    A warped anatomy keeps its subject's name, since it shares the subject's texture. Each donor lends its shape once,
    so that subjects of different folds share none; implausible warps are left out.
    """
    if not real:
        return []
    order_seed, *children = seed.spawn(1 + len(donors))
    order = np.random.default_rng(order_seed).permutation(len(donors))
    jobs = []
    for number, index in enumerate(order[: DONORS * len(real)]):
        subject, donor = real[number % len(real)], donors[index]
        stem = f"{subject.name}-as-{donor.case}"
        warped = Anatomy(subject.name, folder / f"{stem}_0000.nii", folder / f"{stem}.nii", donor.case)
        jobs.append((warped, pool.submit(_write_warped, subject, donor, children[number], warped)))
    return [warped for warped, job in jobs if job.result()]


def _write_warped(subject: Anatomy, donor: LabelMap, seed: np.random.SeedSequence, warped: Anatomy) -> bool:
    """Whether the warp is plausible and was written."""
    volume, labels = read_labelled(subject.name, subject.image, subject.labels)
    case = warp(volume.image, labels, donor.read()[0], np.random.default_rng(seed))
    if case is None:
        return False
    sitk.WriteImage(case.image, str(warped.image))
    sitk.WriteImage(case.labels, str(warped.labels))
    return True


def split_donors(
    donors: Sequence[LabelMap], share: float, seed: np.random.SeedSequence
) -> tuple[list[LabelMap], list[LabelMap]]:
    """Disjoint donors for training and for the test split, which takes ``share`` of them."""
    order = np.random.default_rng(seed).permutation(len(donors))
    tested = set(order[: round(share * len(donors))].tolist())
    return [d for k, d in enumerate(donors) if k not in tested], [donors[k] for k in sorted(tested)]
