"""The simulated cohort as a whole: its files and columns, and that a seed determines it."""

from __future__ import annotations

import csv
import json
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.case import LIVER
from pipeline.cohort.manifest import COLUMNS, read_manifest
from pipeline.errors import ManifestError
from pipeline.simulation.contact_sheet import contact_sheet
from pipeline.simulation.options import SimulationOptions
from pipeline.simulation.simulate import simulate
from pipeline.statistics.overlap import compare

OPTIONS = SimulationOptions(
    cases=4,
    test=2,
    seed=4,
    phantoms=2,
    phantom_size_xyz=(48, 48, 12),
    phantom_spacing_mm_xyz=(6.7, 6.7, 20.0),
    sites=3,
    poor_masks=0.5,
    sign_maps=True,
)


class InProcess(Executor):
    """Computes each job when it is submitted: starting worker processes takes longer than a small cohort."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Manifest of a cohort of six cases, simulated in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.simulation.simulate.worker_pool", lambda workers: nullcontext(InProcess()))
        return simulate(tmp_path_factory.mktemp("cohort"), OPTIONS)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_manifest_has_the_columns_and_the_files(cohort):
    table = rows(cohort)
    assert tuple(table[0]) == COLUMNS
    assert len(table) == 6
    for row in table:
        image, mask = (sitk.ReadImage(str(cohort.parent / row[c])) for c in ("image", "mask"))
        assert image.GetSize() == mask.GetSize()
        assert image.GetSpacing() == pytest.approx(mask.GetSpacing())
        assert set(np.unique(sitk.GetArrayFromImage(mask))) <= {0, 1, 2, 3, 4}
        assert np.count_nonzero(sitk.GetArrayFromImage(mask) == LIVER) > 100
        assert (row["label_source"], row["split"]) in (("lsm", "train"), ("histology", "test"))
        assert (row["metavir"] in ("F0", "F1", "F2", "F3", "F4")) == (row["split"] == "test")
        assert float(row["lsm_kpa"]) > 1
        assert row["source_anatomy"].startswith("phantom")


def test_cohort_file_says_that_it_is_simulated(cohort):
    facts = json.loads((cohort.parent / "cohort.json").read_text())
    assert facts["simulated"] is True
    assert facts["seed"] == 4
    assert len(facts["parameters_sha256"]) == 64


def test_seed_decides_the_voxels_whatever_the_workers(cohort, tmp_path):
    again = simulate(tmp_path / "again", replace(OPTIONS, workers=2))
    assert again.read_text() == cohort.read_text()
    for row in rows(cohort):
        first, second = (sitk.GetArrayFromImage(sitk.ReadImage(str(m.parent / row["image"]))) for m in (cohort, again))
        assert np.array_equal(first, second)


def test_names_tell_cohorts_of_different_seeds_apart(cohort):
    table = rows(cohort)
    assert {row["patient_id"].split("-")[0] for row in table} == {"SIM4"}
    assert {row["source_anatomy"].split("-")[0] for row in table} == {"phantom4"}


def test_a_folder_with_a_cohort_is_refused(cohort):
    with pytest.raises(ManifestError, match="empty folder"):
        simulate(cohort.parent, SimulationOptions(cases=1))


def test_test_cases_have_anatomies_of_their_own(cohort):
    table = rows(cohort)
    sides = [{row["source_anatomy"] for row in table if row["split"] == split} for split in ("train", "test")]
    assert all(sides)
    assert not sides[0] & sides[1]


def test_the_manifest_is_one_that_the_trainer_accepts(cohort):
    checked = read_manifest(cohort)
    assert checked.simulated
    assert len(checked.rows) == 6


def test_poor_masks_keep_the_true_one_and_its_figures(cohort):
    truth = {case["patient_id"]: case for case in rows(cohort.parent / "truth.csv")}
    poor = [case for case in truth.values() if case["mask_fault"]]
    assert len(poor) == 3
    for row in rows(cohort):
        case = truth[row["patient_id"]]
        assert row["segmentation_score"] == case["segmentation_score"]
        given, true = (sitk.ReadImage(str(cohort.parent / name)) for name in (row["mask"], case["true_mask"]))
        livers = [sitk.GetArrayFromImage(mask) == LIVER for mask in (given, true)]
        measured = compare(*livers, given.GetSpacing()[::-1])
        assert measured["dice"] == pytest.approx(float(case["liver_dice"]), abs=1e-4)
        assert (measured["dice"] < 1) == bool(case["mask_fault"])


def test_sign_maps_lie_on_the_images_grid_inside_the_liver_and_grow_with_severity(cohort):
    truth = rows(cohort.parent / "truth.csv")
    means = {}
    for case in truth:
        signs = sitk.ReadImage(str(cohort.parent / "signs" / f"{case['patient_id']}.nii.gz"))
        mask = sitk.ReadImage(str(cohort.parent / case["true_mask"]))
        assert signs.GetPixelID() == sitk.sitkUInt8
        assert (signs.GetSize(), signs.GetOrigin()) == (mask.GetSize(), mask.GetOrigin())
        drawn, liver = sitk.GetArrayFromImage(signs), sitk.GetArrayFromImage(mask) == LIVER
        assert not drawn[~liver].any()
        means[float(case["severity"])] = drawn[liver].mean()
    assert means[max(means)] > 2 * means[min(means)]


def test_contact_sheet_is_drawn_and_refuses_what_it_cannot_draw(cohort, tmp_path):
    assert contact_sheet(cohort, tmp_path / "sheet.png", columns=2).stat().st_size > 10_000
    with pytest.raises(ManifestError, match=r"\.png or \.pdf"):
        contact_sheet(cohort, tmp_path / "sheet.txt")
    with pytest.raises(ManifestError, match="no such manifest"):
        contact_sheet(tmp_path / "manifest.csv", tmp_path / "sheet.png")
    (tmp_path / "manifest.csv").touch()
    with pytest.raises(ManifestError, match=r"truth\.csv"):
        contact_sheet(tmp_path / "manifest.csv", tmp_path / "sheet.png")
