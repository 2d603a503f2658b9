"""The simulated cohort: its files and columns, its signs, and that a seed decides it."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from pipeline.case import LIVER, SPLEEN
from pipeline.errors import ManifestError
from pipeline.training.contact_sheet import contact_sheet
from pipeline.training.scanner import Background, apply_background
from pipeline.training.signs import Signs, add_ascites, add_texture, displacement
from pipeline.training.simulated_case import DEFAULTS, draw_lsm, draw_signs
from pipeline.training.simulation import COLUMNS, Anatomy, plan_cases, simulate

SMALL = {"phantom_anatomies": 1, "phantom_size_xyz": (48, 48, 12), "phantom_spacing_mm_xyz": (6.7, 6.7, 20.0)}
SPACING_ZYX = np.array([10.0, 2.5, 2.5])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("cohort")
    return simulate(out, cases=4, seed=4, workers=2, **SMALL)


@pytest.fixture
def organs() -> np.ndarray:
    """(z, y, x): a liver of about 150 x 135 x 100 mm on the patient's right and a small spleen on the left."""
    z, y, x = np.ogrid[:14, :90, :120]
    labels = np.zeros((14, 90, 120), np.uint8)
    labels[((z - 7) / 5) ** 2 + ((y - 42) / 27) ** 2 + ((x - 40) / 30) ** 2 < 1] = LIVER
    labels[((z - 7) / 3) ** 2 + ((y - 60) / 12) ** 2 + ((x - 98) / 10) ** 2 < 1] = SPLEEN
    return labels


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def moved(labels: np.ndarray, signs: Signs) -> np.ndarray:
    shift = displacement(signs, labels, SPACING_ZYX, np.random.default_rng(0))
    at = [i + s / mm for i, s, mm in zip(np.indices(labels.shape), shift, SPACING_ZYX, strict=True)]
    return ndimage.map_coordinates(labels, at, order=0)


def test_manifest_has_the_columns_and_the_files(cohort):
    table = rows(cohort)
    assert tuple(table[0]) == COLUMNS
    assert len(table) == 4
    for row in table:
        image, mask = (sitk.ReadImage(str(cohort.parent / row[c])) for c in ("image", "mask"))
        assert image.GetSize() == mask.GetSize()
        assert image.GetSpacing() == pytest.approx(mask.GetSpacing())
        assert set(np.unique(sitk.GetArrayFromImage(mask))) <= {0, 1, 2, 3, 4}
        assert np.count_nonzero(sitk.GetArrayFromImage(mask) == LIVER) > 100
        assert (row["label_source"], row["lsm_method"], row["split"]) == ("lsm", "te", "train")
        assert float(row["lsm_kpa"]) > 1
        assert row["source_anatomy"].startswith("phantom")


def test_cohort_file_says_that_it_is_simulated(cohort):
    facts = json.loads((cohort.parent / "cohort.json").read_text())
    assert facts["simulated"] is True
    assert facts["seed"] == 4
    assert len(facts["parameters_sha256"]) == 64


def test_seed_decides_the_voxels_whatever_the_workers(cohort, tmp_path):
    again = simulate(tmp_path / "again", cases=4, seed=4, workers=1, **SMALL)
    assert again.read_text() == cohort.read_text()
    for row in rows(cohort):
        first, second = (sitk.GetArrayFromImage(sitk.ReadImage(str(m.parent / row["image"]))) for m in (cohort, again))
        assert np.array_equal(first, second)


def test_a_folder_with_a_cohort_is_refused(cohort):
    with pytest.raises(ManifestError, match="empty folder"):
        simulate(cohort.parent, cases=1)


def test_stage_anatomy_and_site_are_shared_out_independently(tmp_path):
    sources = [Anatomy(f"c{k}", tmp_path / f"image{k}", tmp_path / f"label{k}") for k in range(5)]
    seeds = np.random.SeedSequence(1).spawn(2)
    plans = plan_cases(sources, 1000, *seeds, DEFAULTS)
    late = np.array([p.stage >= 3 for p in plans])
    site = np.array([p.site for p in plans])
    assert late.mean() == pytest.approx(sum(DEFAULTS.stage_shares[3:]), abs=0.01)
    assert abs(np.corrcoef(late, site)[0, 1]) < 0.1
    for name in {p.source_anatomy for p in plans}:
        own = np.array([p.source_anatomy == name for p in plans])
        assert own.sum() == 200
        assert abs(late[own].mean() - late.mean()) < 0.12


def test_stiffness_follows_the_stage_and_much_of_f3_lies_below_12_kpa():
    rng = np.random.default_rng(0)
    drawn = np.array([[draw_lsm(stage, rng, DEFAULTS) for _ in range(2000)] for stage in range(5)])
    assert np.median(drawn, axis=1) == pytest.approx([5, 6, 8, 11, 22], rel=0.06)
    assert 1 / 3 < np.mean(drawn[3] < 12) < 0.65


def test_signs_grow_with_the_stage_and_overlap():
    rng = np.random.default_rng(0)
    drawn = [[draw_signs(stage, rng, DEFAULTS)[1] for _ in range(400)] for stage in range(5)]
    septa = [np.array([s.septa for s in stage]) for stage in drawn]
    assert np.all(np.diff([np.median(s) for s in septa]) > 0)
    assert np.quantile(septa[2], 0.9) > np.quantile(septa[3], 0.3), "F2 and F3 overlap"
    assert np.mean([s.ascites_mm > 0 for s in drawn[4]]) > 0.15
    assert all(s.ascites_mm == 0 and s.confluent == 0 for s in drawn[0])
    assert np.median([s.spleen for s in drawn[4]]) > 1.3
    assert all(s.lobar == 0 for s in drawn[0]), "lobar change belongs to late disease"


def test_texture_stays_inside_the_liver_and_needs_a_sign(organs):
    before = np.full(organs.shape, 400, np.float32)
    image = before.copy()
    add_texture(image, organs, Signs(), SPACING_ZYX, np.random.default_rng(0))
    assert np.array_equal(image, before)
    add_texture(image, organs, Signs(septa=0.3, nodules=0.15), SPACING_ZYX, np.random.default_rng(0))
    assert np.array_equal(image[organs != LIVER], before[organs != LIVER])
    assert image[organs == LIVER].std() > 5
    assert (image > 404).any(), "bright septa"
    assert (image < 396).any(), "dark nodules"


def test_lobar_change_shrinks_the_right_and_grows_the_left(organs):
    after = moved(organs, Signs(lobar=1.0))
    middle = 30
    right = [np.count_nonzero(m[..., :middle] == LIVER) for m in (organs, after)]
    left = [np.count_nonzero(m[..., middle + 25 :] == LIVER) for m in (organs, after)]
    assert right[1] < 0.9 * right[0]
    assert left[1] > left[0]


def test_spleen_grows_by_about_the_factor(organs):
    after = moved(organs, Signs(spleen=1.8))
    assert 1.35 < np.count_nonzero(after == SPLEEN) / np.count_nonzero(organs == SPLEEN) < 2.2


def test_ascites_is_bright_and_no_longer_liver(organs):
    image = np.where(organs == LIVER, 300, 100).astype(np.float32)
    image[:, :10, :12] = 900
    labels = organs.copy()
    add_ascites(image, labels, Signs(ascites_mm=10), SPACING_ZYX, np.random.default_rng(0))
    fluid = (organs == LIVER) & (labels == 0)
    assert fluid.sum() > 200
    assert np.median(image[fluid]) > 500


def test_iron_darkens_the_liver_more_than_the_spleen(organs):
    image = np.where(organs > 0, 400, 100).astype(np.float32)
    apply_background(image, organs, Background(steatosis=1.0, iron=0.5, oedema=1.0))
    assert np.median(image[organs == LIVER]) == pytest.approx(200, rel=0.05)
    assert np.median(image[organs == SPLEEN]) == pytest.approx(283, rel=0.05)
    assert image[0, 0, 0] == 100


def test_contact_sheet_is_drawn(cohort, tmp_path):
    assert contact_sheet(cohort, tmp_path / "sheet.png", columns=2).stat().st_size > 10_000
