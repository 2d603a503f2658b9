"""A cohort with simulated fibrosis: graded signs in real or phantom anatomy, seen by several sites' scanners.

Nobody's disease is in it: a model trained on it has learnt these signs and nothing about patients.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pipeline.cohort.labelled_cases import anatomies_of, find_cases
from pipeline.errors import ManifestError
from pipeline.simulation.parameters import DEFAULTS, Parameters
from pipeline.simulation.phantom.phantom import make_phantom
from pipeline.simulation.reference_standard import manifest_row
from pipeline.simulation.simulated_case import TRUE_MASKS, CasePlan, make_case

DESCRIPTION = (
    "Simulated: graded signs of fibrosis put into other anatomy. Stages, stiffness and images describe no patient."
)


PHANTOMS = 24
"""As many anatomies as there are where nobody gives any."""


@dataclass(frozen=True)
class Anatomy:
    """One anatomy to put signs into: an image and its organ labels, or a phantom's seed."""

    name: str
    image: Path
    labels: Path


def simulate(
    out: Path,
    *,
    cases: int = 200,
    test: int = 0,
    seed: int = 0,
    anatomies: Path | None = None,
    phantoms: int | None = None,
    phantom_size_xyz: tuple[int, int, int] = (256, 256, 36),
    phantom_spacing_mm_xyz: tuple[float, float, float] = (1.25, 1.25, 7.7),
    sites: int = 2,
    confounding: float = 0.0,
    poor_masks: float = 0.0,
    workers: int = 2,
    parameters: Parameters = DEFAULTS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Make a cohort in ``out`` and return its manifest.

    The folder then holds images/ and masks/ (labels 0-4), true_masks/ (of cases with a poor mask), manifest.csv,
    truth.csv (each case's stage, signs, true mask and the given one's Dice and HD95, which the manifest does not tell)
    and cohort.json. The same seed gives the same voxels, whatever the number of workers.

    Args:
        cases: for training, labelled by stiffness; stages are shared out by ``parameters.stage_shares``.
        test: further cases, labelled by histology, from anatomies that no training case shares.
        anatomies: folder in nnU-Net's raw layout (imagesTr and labelsTr, or images and labels), or a manifest, as
            ``find_anatomies`` takes it.
        phantoms: further anatomies made from nothing, with ``phantom_size_xyz`` and ``phantom_spacing_mm_xyz``; by
            default ``PHANTOMS`` where no others are given, else none.
        sites: how many, each with a scanner of its own.
        confounding: share of the cases (0-1) whose site follows from the label; 0 draws it independently.
        poor_masks: share of the cases (0-1) whose mask is degraded.
        workers: processes; a script that calls this needs the usual ``if __name__ == "__main__"`` guard.
        progress: called with cases done and cases in all.

    Raises:
        ManifestError: ``out`` already holds a cohort, no pair of image and labels in ``anatomies``, or
            numbers that do not fit each other.
    """
    if (out / "manifest.csv").exists():
        raise ManifestError("The output folder already holds a cohort; choose an empty folder.")
    if phantoms is None:
        phantoms = 0 if anatomies else PHANTOMS
    if cases < 1 or test < 0 or phantoms < (0 if anatomies else 1):
        raise ManifestError("A cohort needs at least one case and one anatomy.")
    if not (0 <= poor_masks <= 1 and 0 <= confounding <= 1):
        raise ManifestError("The shares of poor masks and of confounded sites must lie between 0 and 1.")
    parameters = parameters.with_sites(sites)
    design_seed, phantom_seed, case_seed, test_seed = np.random.SeedSequence(seed).spawn(4)
    with tempfile.TemporaryDirectory() as scratch, _pool(workers) as pool:
        real = find_anatomies(anatomies) if anatomies else []
        made = _make_phantoms(
            pool, Path(scratch), seed, phantom_seed.spawn(phantoms), phantom_size_xyz, phantom_spacing_mm_xyz
        )
        sources = real + made
        train_sources, test_sources = split_sources([real, made], cases, test, test_seed)
        design = Design(seed, parameters, confounding, poor_masks)
        plans = plan_cases(train_sources, cases, design_seed, case_seed, design)
        if test:
            test_design, test_cases = test_seed.spawn(2)
            plans += plan_cases(test_sources, test, test_design, test_cases, design, split="test", first=cases + 1)
        for name in ("images", "masks", TRUE_MASKS)[: 3 if poor_masks else 2]:
            (out / name).mkdir(parents=True, exist_ok=True)
        jobs = [pool.submit(make_case, plan, out, parameters) for plan in plans]
        for done, job in enumerate(as_completed(jobs), 1):
            job.result()
            progress(done, len(plans))
        truths = [job.result() for job in jobs]
    _write_table(out / "truth.csv", truths)
    arguments: dict[str, object] = {
        "seed": seed,
        "cases": cases,
        "test": test,
        "confounding": confounding,
        "poor_masks": poor_masks,
    }
    _write_cohort(out / "cohort.json", arguments, sources, parameters)
    # Last, so that a manifest stands only beside a whole cohort.
    rows = [manifest_row(plan, truth, parameters) for plan, truth in zip(plans, truths, strict=True)]
    return _write_table(out / "manifest.csv", rows)


def find_anatomies(data: Path) -> list[Anatomy]:
    """The first case of each source anatomy, none of one that a test split knows. Raises as ``find_cases``."""
    cases, anatomy_of = find_cases(data, without=("test",)), anatomies_of(data)
    tested = {anatomy for case, anatomy in anatomy_of.items() if case not in cases}
    firsts: dict[str, Anatomy] = {}
    for case, files in cases.items():
        if anatomy_of[case] not in tested:
            firsts.setdefault(anatomy_of[case], Anatomy(anatomy_of[case], *files))
    if not firsts:
        raise ManifestError("Every anatomy of the manifest is in its test split too; give others.")
    return list(firsts.values())


@contextmanager
def _pool(workers: int) -> Iterator[Executor]:
    """Worker processes of one thread each, spawned, since a forked child of a threaded parent can hang."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    # The linear algebra libraries read these once, when a worker starts.
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        with ProcessPoolExecutor(max(1, workers), mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _one_thread() -> None:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _make_phantoms(
    pool: Executor,
    folder: Path,
    cohort_seed: int,
    seeds: list[np.random.SeedSequence],
    size_xyz: tuple[int, int, int],
    spacing_mm_xyz: tuple[float, float, float],
) -> list[Anatomy]:
    sources, jobs = [], []
    for i, child in enumerate(seeds):
        name = f"phantom{cohort_seed}-{i:03d}"
        sources.append(Anatomy(name, folder / f"{name}_0000.nii", folder / f"{name}.nii"))
        seed = int(child.generate_state(1)[0])
        jobs.append(pool.submit(_save_phantom, seed, size_xyz, spacing_mm_xyz, sources[-1]))
    for job in jobs:
        job.result()
    return sources


def _save_phantom(
    seed: int, size_xyz: tuple[int, int, int], spacing_mm_xyz: tuple[float, float, float], anatomy: Anatomy
) -> None:
    image, labels = make_phantom(seed, size_xyz=size_xyz, spacing_mm_xyz=spacing_mm_xyz)
    sitk.WriteImage(image, str(anatomy.image))
    sitk.WriteImage(labels, str(anatomy.labels))


def split_sources(
    kinds: Sequence[list[Anatomy]], cases: int, test: int, seed: np.random.SeedSequence
) -> tuple[list[Anatomy], list[Anatomy]]:
    """Anatomies for training and for the test split, none in both.

    Of each kind the test takes its share of the cases, a third at most: a network learns from anatomies, not from how
    often each is seen.

    Args:
        kinds: real anatomies and phantoms.
    """
    everyone = [anatomy for kind in kinds for anatomy in kind]
    if not test:
        return everyone, []
    if len(everyone) < 2:
        raise ManifestError("A test split needs anatomies of its own; give at least two.")
    rng, share = np.random.default_rng(seed), min(test / (cases + test), 1 / 3)
    tested: set[str] = set()
    for kind in kinds:
        count = int(np.clip(round(len(kind) * share), 1, len(kind) - 1)) if len(kind) > 1 else 0
        tested |= {kind[k].name for k in rng.permutation(len(kind))[:count]}
    if not tested:  # one real anatomy and one phantom
        tested = {everyone[-1].name}
    return [a for a in everyone if a.name not in tested], [a for a in everyone if a.name in tested]


@dataclass(frozen=True)
class Design:
    """What is shared out over the cases of a cohort, and the seed that their names carry."""

    seed: int = 0
    parameters: Parameters = DEFAULTS
    confounding: float = 0.0
    poor_masks: float = 0.0


def plan_cases(
    sources: list[Anatomy],
    cases: int,
    design_seed: np.random.SeedSequence,
    case_seed: np.random.SeedSequence,
    design: Design,
    *,
    split: str = "train",
    first: int = 1,
) -> list[CasePlan]:
    """Stage, anatomy, site and mask of every case, each shuffled on its own, so that none tells another.

    Args:
        first: number of the first case in its name.
    """
    parameters = design.parameters
    rng = np.random.default_rng(design_seed)
    edges = np.cumsum(parameters.stage_shares) / sum(parameters.stage_shares)
    stages = rng.permutation(np.searchsorted(edges, (np.arange(cases) + 0.5) / cases))
    anatomy = rng.permutation(np.arange(cases) % len(sources))
    sites = rng.permutation(np.arange(cases) % len(parameters.sites))
    poor = rng.permutation(np.arange(cases) < round(design.poor_masks * cases))
    # A confounded case comes from the first site where it is advanced, from the last where it is not.
    follows = rng.uniform(size=cases) < design.confounding
    sites = np.where(follows, np.where(stages >= 3, 0, len(parameters.sites) - 1), sites)
    return [
        CasePlan(
            patient_id=f"SIM{design.seed}-{first + i:04d}",
            stage=int(stages[i]),
            site=int(sites[i]),
            source_anatomy=sources[anatomy[i]].name,
            image=sources[anatomy[i]].image,
            labels=sources[anatomy[i]].labels,
            seed=child,
            split=split,
            poor_mask=bool(poor[i]),
        )
        for i, child in enumerate(case_seed.spawn(cases))
    ]


def _write_table(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _write_cohort(path: Path, arguments: dict[str, object], sources: list[Anatomy], parameters: Parameters) -> None:
    about = {
        "simulated": True,
        "description": DESCRIPTION,
        **arguments,
        "anatomies": [source.name for source in sources],
        "parameters": dataclasses.asdict(parameters),
        "parameters_sha256": parameters.sha256,
    }
    path.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)
