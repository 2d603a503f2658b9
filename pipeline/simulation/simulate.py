"""A cohort with simulated fibrosis: graded signs in real or phantom anatomy, acquired by the scanners of several sites.

No patient's disease is in it: a model trained on it has learnt these signs and nothing about patients.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from pathlib import Path

from models.files import write_json
from pipeline.errors import ManifestError
from pipeline.simulation.anatomies import Anatomy, find_anatomies, make_phantoms, share_of_test, split_anatomies
from pipeline.simulation.label_maps import find_label_maps
from pipeline.simulation.options import SimulationOptions
from pipeline.simulation.plan import CasePlan, CohortSeeds, plan_cohort
from pipeline.simulation.reference_standard import manifest_row
from pipeline.simulation.shapes import Shapes, find_shapes, paint_abdomens, split_donors, warp_to_donors
from pipeline.simulation.simulated_case import make_case
from pipeline.simulation.tables import write_rows
from pipeline.simulation.truth import SIGN_MAPS, TRUE_MASKS, CaseTruth
from pipeline.simulation.workers import worker_pool

DESCRIPTION = (
    "Simulated: graded signs of fibrosis put into other anatomy. Stages, stiffness and images describe no patient."
)


def simulate(
    out: Path,
    options: SimulationOptions,
    *,
    anatomies: Path | None = None,
    shapes: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Simulate a cohort into the folder ``out`` and return its manifest.

    The folder then holds images/ and masks/ (labels 0-4), true_masks/ (of cases with a poor mask), signs/ (where
    texture signs were drawn, if asked for), manifest.csv, truth.csv (what the manifest does not contain: each case's
    stage, signs, true mask, and Dice and HD95 of the mask in masks/) and cohort.json. The same seed gives the same
    voxels, whatever the number of workers.

    Args:
        anatomies: folder in nnU-Net's raw layout (imagesTr and labelsTr, or images and labels), or a manifest, as
            ``find_anatomies`` takes it.
        shapes: folder of label maps, as ``find_label_maps`` takes it. Whole abdomens are painted as further anatomies;
            the other livers lend their shapes to the real ones.
        progress: called with the numbers of finished and of all cases.

    A script that calls this needs the usual ``if __name__ == "__main__"`` guard, since workers are spawned.

    Raises:
        ManifestError: ``out`` already holds a cohort, ``anatomies`` holds no pair of image and labels, or ``options``
            do not fit each other.
    """
    if (out / "manifest.csv").exists():
        raise ManifestError("The output folder already holds a cohort; choose an empty folder.")
    options = options.resolved(has_anatomies=anatomies is not None or shapes is not None)
    with tempfile.TemporaryDirectory() as scratch, worker_pool(options.workers) as pool:
        train, test = prepare_anatomies(pool, Path(scratch), options, anatomies, shapes)
        plans = plan_cohort(train, test, options)
        wanted = {"images": True, "masks": True, TRUE_MASKS: options.poor_masks > 0, SIGN_MAPS: options.sign_maps}
        for name in (name for name, needed in wanted.items() if needed):
            (out / name).mkdir(parents=True, exist_ok=True)
        truths = _make_cases(pool, plans, out, options, progress)
    write_rows(out / "truth.csv", [truth.to_row() for truth in truths])
    write_json(out / "cohort.json", _description(options, [*train, *test], shapes))
    # Last, so that a manifest exists only beside a complete cohort.
    rows = [manifest_row(plan, truth, options.parameters) for plan, truth in zip(plans, truths, strict=True)]
    return write_rows(out / "manifest.csv", rows)


def prepare_anatomies(
    pool: Executor, folder: Path, options: SimulationOptions, anatomies: Path | None, shapes: Path | None
) -> tuple[list[Anatomy], list[Anatomy]]:
    """Anatomies of the training and of the test cases; those that have no files yet are written into ``folder``."""
    seeds = CohortSeeds.of(options.seed)
    real = find_anatomies(anatomies) if anatomies else []
    kinds = [real, make_phantoms(pool, folder, seeds.phantoms.spawn(options.phantoms or 0), options)]
    paint_seed, split_seed, *warp_seeds = seeds.shapes.spawn(4)
    found = find_shapes(pool, shapes, real) if shapes else Shapes([], [])
    kinds.append(paint_abdomens(pool, folder, found.whole, paint_seed))
    if not any(kinds):
        raise ManifestError("None of the label maps is a whole abdomen; give anatomies or phantoms too.")
    sides = split_anatomies(kinds, options.cases, options.test, seeds.test)
    donors = split_donors(found.donors, share_of_test(options.cases, options.test), split_seed)
    for side, own, seed in zip(sides, donors, warp_seeds, strict=True):
        side += warp_to_donors(pool, folder, [anatomy for anatomy in side if anatomy in real], own, seed)
    return sides


def _make_cases(
    pool: Executor,
    plans: Sequence[CasePlan],
    out: Path,
    options: SimulationOptions,
    progress: Callable[[int, int], None],
) -> list[CaseTruth]:
    """Write the images and masks of all cases in parallel; their truths in the order of ``plans``."""
    jobs = [pool.submit(make_case, plan, out, options.parameters, sign_map=options.sign_maps) for plan in plans]
    for done, job in enumerate(as_completed(jobs), 1):
        job.result()
        progress(done, len(plans))
    return [job.result() for job in jobs]


def _description(options: SimulationOptions, anatomies: Sequence[Anatomy], shapes: Path | None) -> dict[str, object]:
    """Content of cohort.json: what the cohort is and how to simulate it again."""
    sources = sorted({one.source for one in find_label_maps(shapes)} - {""}) if shapes else []
    return {
        "simulated": True,
        # Repeated by the card of every classifier that learns from the cohort: licences demand it.
        "description": f"{DESCRIPTION} Label maps of {'; '.join(sources)}." if sources else DESCRIPTION,
        "seed": options.seed,
        "cases": options.cases,
        "test": options.test,
        "confounding": options.confounding,
        "poor_masks": options.poor_masks,
        "anatomies": list(dict.fromkeys(anatomy.name for anatomy in anatomies)),
        "donors": {anatomy.donor: anatomy.name for anatomy in anatomies if anatomy.donor},
        "parameters": dataclasses.asdict(options.parameters),
        "parameters_sha256": options.parameters.sha256,
    }
