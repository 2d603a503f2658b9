"""A cohort with simulated fibrosis: graded signs put into real or phantom anatomy, seen by two sites' scanners.

Nobody's disease is in it: a model trained on it has learnt these signs and nothing about patients.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pipeline.errors import ManifestError
from pipeline.training.cases import find_cases
from pipeline.training.manifest import COLUMNS
from pipeline.training.phantom import make_phantom
from pipeline.training.simulated_case import DEFAULTS, CasePlan, Parameters, draw_lsm, make_case

DESCRIPTION = (
    "Simulated: graded signs of fibrosis put into other anatomy. Stages, stiffness and images describe no patient."
)


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
    seed: int = 0,
    anatomies: Path | None = None,
    phantom_anatomies: int = 24,
    phantom_size_xyz: tuple[int, int, int] = (256, 256, 36),
    phantom_spacing_mm_xyz: tuple[float, float, float] = (1.25, 1.25, 7.7),
    workers: int = 2,
    parameters: Parameters = DEFAULTS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Make a cohort in ``out`` and return its manifest.

    The folder then holds images/ and masks/ (labels 0-4), manifest.csv, truth.csv (each case's stage, which the
    manifest does not tell) and cohort.json. The same seed gives the same voxels, whatever the number of workers.

    Args:
        cases: how many; stages are shared out by ``parameters.stage_shares``.
        anatomies: folder in nnU-Net's raw layout (imagesTr and labelsTr, or images and labels); None makes phantoms.
        phantom_anatomies: how many phantoms, with ``phantom_size_xyz`` and ``phantom_spacing_mm_xyz``.
        workers: processes; a script that calls this needs the usual ``if __name__ == "__main__"`` guard.
        progress: called with cases done and cases in all.

    Raises:
        ManifestError: there is already a cohort in ``out``, or no pair of image and labels in ``anatomies``.
    """
    if (out / "manifest.csv").exists():
        raise ManifestError("The output folder already holds a cohort; choose an empty folder.")
    if cases < 1 or phantom_anatomies < 1:
        raise ManifestError("A cohort needs at least one case and one anatomy.")
    for name in ("images", "masks"):
        (out / name).mkdir(parents=True, exist_ok=True)
    design_seed, phantom_seed, case_seed = np.random.SeedSequence(seed).spawn(3)
    with tempfile.TemporaryDirectory() as scratch, _pool(workers) as pool:
        if anatomies is None:
            sources = _make_phantoms(
                pool, Path(scratch), phantom_seed.spawn(phantom_anatomies), phantom_size_xyz, phantom_spacing_mm_xyz
            )
        else:
            sources = [Anatomy(case, *files) for case, files in find_cases(anatomies).items()]
        plans = plan_cases(sources, cases, design_seed, case_seed, parameters)
        jobs = [pool.submit(make_case, plan, out, parameters) for plan in plans]
        for done, job in enumerate(as_completed(jobs), 1):
            job.result()
            progress(done, cases)
        truths = [job.result() for job in jobs]
    _write_truth(out / "truth.csv", truths)
    _write_cohort(out / "cohort.json", seed, cases, sources, parameters)
    # Last, so that a manifest stands only beside a whole cohort.
    return _write_manifest(out / "manifest.csv", plans, parameters)


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
    seeds: list[np.random.SeedSequence],
    size_xyz: tuple[int, int, int],
    spacing_mm_xyz: tuple[float, float, float],
) -> list[Anatomy]:
    sources, jobs = [], []
    for i, child in enumerate(seeds):
        name = f"phantom{i:03d}"
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


def plan_cases(
    sources: list[Anatomy],
    cases: int,
    design_seed: np.random.SeedSequence,
    case_seed: np.random.SeedSequence,
    parameters: Parameters,
) -> list[CasePlan]:
    """Stage, anatomy and site of every case, each shuffled on its own, so that none tells another."""
    rng = np.random.default_rng(design_seed)
    edges = np.cumsum(parameters.stage_shares) / sum(parameters.stage_shares)
    stages = rng.permutation(np.searchsorted(edges, (np.arange(cases) + 0.5) / cases))
    anatomy = rng.permutation(np.arange(cases) % len(sources))
    sites = rng.permutation(np.arange(cases) % len(parameters.sites))
    return [
        CasePlan(
            patient_id=f"SIM{i + 1:04d}",
            stage=int(stages[i]),
            site=int(sites[i]),
            source_anatomy=sources[anatomy[i]].name,
            image=sources[anatomy[i]].image,
            labels=sources[anatomy[i]].labels,
            seed=child,
        )
        for i, child in enumerate(case_seed.spawn(cases))
    ]


def _write_manifest(path: Path, plans: list[CasePlan], parameters: Parameters) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for plan in plans:
            writer.writerow(_row(plan, parameters))
    return path


def _row(plan: CasePlan, parameters: Parameters) -> dict[str, object]:
    """One manifest row. The person's data are drawn without a look at the stage, but for the stiffness."""
    rng = plan.stream("person")
    lsm = draw_lsm(plan.stage, rng, parameters)
    return {
        "patient_id": plan.patient_id,
        "image": f"images/{plan.patient_id}.nii.gz",
        "mask": f"masks/{plan.patient_id}.nii.gz",
        "site": parameters.sites[plan.site].name,
        "sex": rng.choice(["female", "male"]),
        "age": int(rng.integers(22, 80)),
        "aetiology": rng.choice(["MASLD", "ALD", "HBV", "HCV"], p=[0.5, 0.2, 0.15, 0.15]),
        "lsm_kpa": f"{lsm:.1f}",
        "lsm_method": "te",
        "lsm_iqr_median": f"{rng.uniform(0.05, 0.28):.2f}",
        "metavir": "",
        "days_to_reference": int(rng.integers(0, 91)),
        "label_source": "lsm",
        "split": "train",
        "segmentation_score": "",
        "source_anatomy": plan.source_anatomy,
    }


def _write_truth(path: Path, truths: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(truths[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(truths)


def _write_cohort(path: Path, seed: int, cases: int, sources: list[Anatomy], parameters: Parameters) -> None:
    values = dataclasses.asdict(parameters)
    canonical = json.dumps(values, sort_keys=True).encode()
    path.write_text(
        json.dumps(
            {
                "simulated": True,
                "seed": seed,
                "description": DESCRIPTION,
                "cases": cases,
                "anatomies": [source.name for source in sources],
                "parameters": values,
                "parameters_sha256": hashlib.sha256(canonical).hexdigest(),
            },
            indent=1,
        )
        + "\n",
        encoding="utf-8",
    )


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)
