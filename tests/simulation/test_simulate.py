"""The simulated cohort: its files and columns, its signs, and that a seed decides it."""

from __future__ import annotations

import csv
import json
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from pipeline.case import LIVER, SPLEEN
from pipeline.cohort.manifest import COLUMNS, read_manifest
from pipeline.errors import ManifestError
from pipeline.simulation.anatomies import Anatomy, find_anatomies, split_anatomies
from pipeline.simulation.contact_sheet import contact_sheet
from pipeline.simulation.deformation import deform_anatomy
from pipeline.simulation.fibrosis_signs import FibrosisSigns
from pipeline.simulation.mask_faults import FAULTS, degrade
from pipeline.simulation.options import SimulationOptions
from pipeline.simulation.parameters import DEFAULTS
from pipeline.simulation.plan import Split, plan_cases
from pipeline.simulation.reference_standard import draw_biopsy, draw_elastography
from pipeline.simulation.scanner import Background, Scan, apply_background
from pipeline.simulation.shape_signs import displacement
from pipeline.simulation.simulate import simulate
from pipeline.simulation.simulated_case import draw_signs, image_on_grid
from pipeline.simulation.texture_signs import add_ascites, add_texture
from pipeline.statistics.overlap import compare
from pipeline.thresholds import segmentation_score

OPTIONS = SimulationOptions(
    cases=4,
    test=2,
    seed=4,
    phantoms=2,
    phantom_size_xyz=(48, 48, 12),
    phantom_spacing_mm_xyz=(6.7, 6.7, 20.0),
    sites=3,
    poor_masks=0.5,
)
SPACING_ZYX = np.array([10.0, 2.5, 2.5])


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


@pytest.fixture
def organs() -> np.ndarray:
    """(z, y, x): a liver of about 150 x 135 x 100 mm on the patient's right and a small spleen on the left."""
    z, y, x = np.ogrid[:14, :90, :120]
    labels = np.zeros((14, 90, 120), np.uint8)
    labels[((z - 7) / 5) ** 2 + ((y - 42) / 27) ** 2 + ((x - 40) / 30) ** 2 < 1] = LIVER
    labels[((z - 7) / 3) ** 2 + ((y - 60) / 12) ** 2 + ((x - 98) / 10) ** 2 < 1] = SPLEEN
    return labels


def test_a_manifests_relatives_are_one_anatomy_and_those_of_its_test_split_are_left_out(tmp_path):
    for name in ("i.nii", "m.nii"):
        (tmp_path / name).touch()
    lines = [
        "a2,i.nii,m.nii,,A",
        "a1,i.nii,m.nii,train,A",
        "b1,i.nii,m.nii,,B",
        "b2,gone.nii,m.nii,test,B",
        "c,i.nii,m.nii,,",
    ]
    (tmp_path / "m.csv").write_text("\n".join(["patient_id,image,mask,split,source_anatomy", *lines]) + "\n")
    assert [anatomy.name for anatomy in find_anatomies(tmp_path / "m.csv")] == ["A", "c"]
    (tmp_path / "m.csv").write_text("\n".join(["patient_id,image,mask,split,source_anatomy", *lines[2:4]]) + "\n")
    with pytest.raises(ManifestError, match="test split too"):
        find_anatomies(tmp_path / "m.csv")


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def moved(labels: np.ndarray, signs: FibrosisSigns) -> np.ndarray:
    shift = displacement(signs, labels, SPACING_ZYX, np.random.default_rng(0))
    at = [i + s / mm for i, s, mm in zip(np.indices(labels.shape), shift, SPACING_ZYX, strict=True)]
    return ndimage.map_coordinates(labels, at, order=0)


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


def test_stage_anatomy_and_site_are_shared_out_independently(tmp_path):
    sources = [Anatomy(f"c{k}", tmp_path / f"image{k}", tmp_path / f"label{k}") for k in range(5)]
    seeds = np.random.SeedSequence(1).spawn(2)
    plans = plan_cases(sources, Split(1000, *seeds), SimulationOptions(poor_masks=0.2))
    late = np.array([p.stage >= 3 for p in plans])
    site = np.array([p.site for p in plans])
    assert late.mean() == pytest.approx(sum(DEFAULTS.stage_shares[3:]), abs=0.01)
    assert abs(np.corrcoef(late, site)[0, 1]) < 0.1
    poor = np.array([p.poor_mask for p in plans])
    assert poor.sum() == 200
    assert abs(np.corrcoef(late, poor)[0, 1]) < 0.1
    for name in {p.source_anatomy for p in plans}:
        own = np.array([p.source_anatomy == name for p in plans])
        assert own.sum() == 200
        assert abs(late[own].mean() - late.mean()) < 0.12


def test_confounding_ties_the_site_to_the_label(tmp_path):
    sources = [Anatomy("c", tmp_path / "image", tmp_path / "label")]
    split = Split(300, *np.random.SeedSequence(1).spawn(2))
    plans = plan_cases(sources, split, SimulationOptions(confounding=1.0))
    assert {(p.stage >= 3, p.site) for p in plans} == {(True, 0), (False, 1)}


def test_test_cases_have_anatomies_of_their_own(cohort, tmp_path):
    table = rows(cohort)
    sides = [{row["source_anatomy"] for row in table if row["split"] == split} for split in ("train", "test")]
    assert all(sides)
    assert not sides[0] & sides[1]
    sources = [Anatomy(f"c{k}", tmp_path / "i", tmp_path / "l") for k in range(15)]
    phantoms = [Anatomy(f"p{k}", tmp_path / "i", tmp_path / "l") for k in range(6)]
    train, test = split_anatomies([sources, phantoms], 200, 50, np.random.SeedSequence(0))
    assert len(set(test) & set(sources)) == 3
    assert len(set(test) & set(phantoms)) == 1
    assert set(train) | set(test) == {*sources, *phantoms}
    train, test = split_anatomies([sources, phantoms], 10, 500, np.random.SeedSequence(0))
    assert (len(train), len(test)) == (14, 7)  # a third at most
    train, test = split_anatomies([sources[:1], phantoms[:1]], 10, 5, np.random.SeedSequence(0))
    assert (len(train), len(test)) == (1, 1)
    with pytest.raises(ManifestError, match="at least two"):
        split_anatomies([sources[:1], []], 20, 5, np.random.SeedSequence(0))


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


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_spoils_the_liver_its_own_way(fault, organs, monkeypatch):
    monkeypatch.setattr("pipeline.simulation.mask_faults.FAULTS", {fault: FAULTS[fault]})
    image = np.full(organs.shape, 400, np.float32)
    truth, found = organs == LIVER, []
    for seed in range(8):
        spoilt, names = degrade(organs, image, SPACING_ZYX, np.random.default_rng(seed))
        assert names == fault
        assert not np.array_equal(spoilt == LIVER, truth)
        assert np.array_equal((spoilt == SPLEEN) & ~truth, (organs == SPLEEN) & (spoilt != LIVER))
        found.append((spoilt == LIVER).sum() / truth.sum())
    if fault in ("missing_lobe", "under_segmented"):
        assert 0.2 < min(found) <= max(found) < 1
    if fault in ("leak", "over_segmented"):
        assert min(found) > 1


def test_no_poor_mask_is_excellent_and_many_are_poor(organs):
    image, truth = np.full(organs.shape, 400, np.float32), organs == LIVER
    scores = []
    for seed in range(24):
        spoilt, _ = degrade(organs, image, SPACING_ZYX, np.random.default_rng(seed))
        measured = compare(spoilt == LIVER, truth, tuple(SPACING_ZYX))
        scores.append(segmentation_score(measured["dice"], measured["hd95_mm"]))
    assert set(scores) == {2, 3}
    assert scores.count(3) > 6, "poor is the rule"


@pytest.mark.parametrize(
    ("dice", "hd95_mm", "expected"),
    [(0.96, 5, 1), (0.93, 20, 1), (0.92, 5, 2), (0.80, 20, 2), (0.79, 5, 3), (0.97, 21, 3)],
)
def test_scores_follow_dice_and_distance(dice, hd95_mm, expected):
    assert segmentation_score(dice, hd95_mm) == expected


def test_more_sites_have_scanners_of_their_own_and_stay_the_same():
    many = DEFAULTS.with_sites(5)
    assert [site.name for site in many.sites] == ["A", "B", "C", "D", "E"]
    assert many.with_sites(3).sites == DEFAULTS.with_sites(3).sites
    assert len({site.gamma for site in many.sites}) == 5
    for site in many.sites:
        ranges = [value for value in vars(site).values() if isinstance(value, tuple)]
        assert all(0 <= low < high for low, high in ranges)
    assert many.sha256 != DEFAULTS.sha256 == DEFAULTS.with_sites(2).sha256
    with pytest.raises(ManifestError, match="sites"):
        DEFAULTS.with_sites(0)


def test_stiffness_follows_the_stage_and_much_of_f3_lies_below_12_kpa():
    rng = np.random.default_rng(0)
    drawn = np.array([[draw_elastography(stage, rng, DEFAULTS) for _ in range(1000)] for stage in range(5)])
    lsm, iqr_median = drawn[..., 0], drawn[..., 1]
    assert np.median(lsm, axis=1) == pytest.approx([5, 6, 8, 11, 22], rel=0.06)
    assert 1 / 3 < np.mean(lsm[3] < 12) < 0.65
    assert 0.1 < np.median(iqr_median) < 0.2
    assert 0.005 < np.mean(iqr_median > 0.3) < 0.15, "a few examinations are unreliable"


def test_a_biopsy_is_at_most_a_stage_off():
    rng = np.random.default_rng(0)
    for stage in range(5):
        read = np.array([draw_biopsy(stage, rng, DEFAULTS) for _ in range(800)])
        assert abs(read - stage).max() == 1
        assert np.mean(read == stage) == pytest.approx(0.75, abs=0.05)


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


def test_most_cirrhotic_livers_have_changed_lobes():
    rng = np.random.default_rng(0)
    cirrhotic = [draw_signs(4, rng, DEFAULTS)[1] for _ in range(400)]
    lobar = np.array([signs.lobar for signs in cirrhotic])
    assert np.mean(lobar > 0) == pytest.approx(DEFAULTS.lobar_probability, abs=0.08)
    assert 0.4 < np.median(lobar[lobar > 0]) < 1
    assert all(signs.caudate == signs.lobar for signs in cirrhotic), "one process changes both"


def test_texture_stays_inside_the_liver_and_needs_a_sign(organs):
    before = np.full(organs.shape, 400, np.float32)
    image = before.copy()
    add_texture(image, organs, FibrosisSigns(), SPACING_ZYX, np.random.default_rng(0))
    assert np.array_equal(image, before)
    add_texture(image, organs, FibrosisSigns(septa=0.3, nodules=0.15), SPACING_ZYX, np.random.default_rng(0))
    assert np.array_equal(image[organs != LIVER], before[organs != LIVER])
    assert image[organs == LIVER].std() > 5
    assert (image > 404).any(), "bright septa"
    assert (image < 396).any(), "dark nodules"


def test_lobar_change_shrinks_the_right_and_grows_the_left(organs):
    after = moved(organs, FibrosisSigns(lobar=1.0))
    middle = 30
    right = [np.count_nonzero(m[..., :middle] == LIVER) for m in (organs, after)]
    left = [np.count_nonzero(m[..., middle + 25 :] == LIVER) for m in (organs, after)]
    assert right[1] < 0.9 * right[0]
    assert left[1] > left[0]


def test_shape_signs_reach_voxels_and_labels_on_the_scans_grid(organs):
    still = replace(DEFAULTS, warp_mm=0.0, size_sd=0.0, tilt_deg=0.0)
    scan = Scan(3.0, 10.0, gamma=1, noise=0, shading=0, blur_mm=0, ghosts=0, bright=800)
    image, labels = (image_on_grid(a, SPACING_ZYX, (0, 0, 0)) for a in (100 * organs.astype(np.float32) + 50, organs))
    volumes_ml = {}
    for name, signs in {"healthy": FibrosisSigns(), "cirrhotic": FibrosisSigns(lobar=1.0, spleen=1.8)}.items():
        voxels, found, spacing = deform_anatomy(image, labels, signs, scan, np.random.default_rng(0), still)
        assert tuple(spacing) == (10.0, 3.0, 3.0)
        assert voxels.shape == found.shape == (14, 75, 100)
        assert np.median(voxels[found == SPLEEN]) == pytest.approx(50 + 100 * SPLEEN, rel=0.02)
        right = found[..., :25] == LIVER
        volumes_ml[name] = [np.count_nonzero(part) * 0.09 for part in (right, found == SPLEEN)]
    healthy, cirrhotic = volumes_ml["healthy"], volumes_ml["cirrhotic"]
    assert healthy[1] == pytest.approx(np.count_nonzero(organs == SPLEEN) * 0.0625, rel=0.05)
    assert cirrhotic[0] < 0.9 * healthy[0]
    assert 1.35 < cirrhotic[1] / healthy[1] < 2.2


def test_a_large_caudate_adds_liver_behind_and_leaves_the_right_edge(organs):
    gained = (organs != LIVER) & (moved(organs, FibrosisSigns(caudate=1.3)) == LIVER)
    assert gained.any()
    _, y, x = np.nonzero(gained)
    middle = np.argwhere(organs == LIVER).mean(0)
    assert np.median(y) > middle[1]
    assert np.median(x) > middle[2]


def test_a_notch_is_cut_into_the_right_lobe_from_behind(organs):
    lost = (organs == LIVER) & (moved(organs, FibrosisSigns(notch_mm=14.0)) != LIVER)
    assert lost.sum() > 20
    _, y, x = np.nonzero(lost)
    middle = np.argwhere(organs == LIVER).mean(0)
    assert y.min() > middle[1]
    assert x.max() < middle[2] + 6


def test_spleen_grows_by_about_the_factor(organs):
    after = moved(organs, FibrosisSigns(spleen=1.8))
    assert 1.35 < np.count_nonzero(after == SPLEEN) / np.count_nonzero(organs == SPLEEN) < 2.2


def test_ascites_is_bright_and_no_longer_liver(organs):
    image = np.where(organs == LIVER, 300, 100).astype(np.float32)
    image[:, :10, :12] = 900
    labels = organs.copy()
    add_ascites(image, labels, FibrosisSigns(ascites_mm=10), SPACING_ZYX, np.random.default_rng(0))
    assert set(np.unique(labels)) <= {0, LIVER, SPLEEN}
    fluid = (organs == LIVER) & (labels == 0)
    assert fluid.sum() > 200
    assert np.median(image[fluid]) > 500


def test_iron_darkens_the_liver_more_than_the_spleen(organs):
    image = np.where(organs > 0, 400, 100).astype(np.float32)
    apply_background(image, organs, Background(steatosis=1.0, iron=0.5, oedema=1.0))
    assert np.median(image[organs == LIVER]) == pytest.approx(200, rel=0.05)
    assert np.median(image[organs == SPLEEN]) == pytest.approx(283, rel=0.05)
    assert image[0, 0, 0] == 100


def test_contact_sheet_is_drawn_and_refuses_what_it_cannot_draw(cohort, tmp_path):
    assert contact_sheet(cohort, tmp_path / "sheet.png", columns=2).stat().st_size > 10_000
    with pytest.raises(ManifestError, match=r"\.png or \.pdf"):
        contact_sheet(cohort, tmp_path / "sheet.txt")
    with pytest.raises(ManifestError, match="no such manifest"):
        contact_sheet(tmp_path / "manifest.csv", tmp_path / "sheet.png")
    (tmp_path / "manifest.csv").touch()
    with pytest.raises(ManifestError, match=r"truth\.csv"):
        contact_sheet(tmp_path / "manifest.csv", tmp_path / "sheet.png")
