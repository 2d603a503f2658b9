"""What is decided before any voxel is made: options, anatomies, stages, sites and splits."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import ManifestError
from pipeline.simulation.anatomies import Anatomy, find_anatomies, split_anatomies
from pipeline.simulation.options import PHANTOMS, SimulationOptions
from pipeline.simulation.parameters import DEFAULTS
from pipeline.simulation.plan import Split, plan_cases


@pytest.mark.parametrize(
    ("options", "has_anatomies", "message"),
    [
        ({"cases": 0}, False, "at least one case"),
        ({"test": -1}, False, "at least one case"),
        ({"phantoms": 0}, False, "one anatomy"),
        ({"phantoms": -1}, True, "one anatomy"),
        ({"poor_masks": 1.1}, False, "between 0 and 1"),
        ({"confounding": -0.1}, True, "between 0 and 1"),
        ({"sites": 27}, False, "Give 1 to 26 sites"),
    ],
)
def test_options_that_fit_no_cohort_are_refused(options, has_anatomies, message):
    with pytest.raises(ManifestError, match=message):
        SimulationOptions(**options).resolved(has_anatomies=has_anatomies)


def test_phantoms_are_the_default_where_there_are_no_other_anatomies():
    options = SimulationOptions(sites=3)
    assert options.resolved(has_anatomies=False).phantoms == PHANTOMS
    assert options.resolved(has_anatomies=True).phantoms == 0
    assert [site.name for site in options.resolved(has_anatomies=True).parameters.sites] == ["A", "B", "C"]


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


def test_the_test_split_takes_its_share_of_each_kind_of_anatomy_and_a_third_at_most(tmp_path):
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
