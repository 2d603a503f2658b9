"""Added training cases: which are made, who may learn from them, and how often."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from models import registry
from pipeline.errors import ManifestError
from pipeline.simulation.label_maps import find_label_maps
from pipeline.training.segmenter import added_cases
from pipeline.training.segmenter import plan as nnunet_plan
from pipeline.training.segmenter import train as segmenter
from pipeline.training.segmenter.added_cases import AddedCase, may_learn, plan_added, read_added, sampling
from pipeline.training.segmenter.options import SegmenterTraining
from pipeline.training.segmenter.trainer import make_trainer
from tests.simulation.abdomens import labels_of, write_label_map

PAINTED, WARPED_0, WARPED_1 = (
    AddedCase("a-painted0", "a", None),
    AddedCase("case0-as-a", "a", "case0"),
    AddedCase("case1-as-a", "a", "case1"),
)


@pytest.fixture(scope="module")
def anatomies(tmp_path_factory):
    """A whole abdomen with its CT, and a liver alone."""
    folder = tmp_path_factory.mktemp("anatomies")
    write_label_map(folder, "abdomen", labels_of(), ct=True)
    write_label_map(folder, "liver", (labels_of((45, 40, 60)) == 1).astype(np.uint8), ct=False)
    (folder / "anatomies.csv").write_text('case,source\nabdomen,"Atlas, CC BY 4.0"\nliver,"Livers, CC0"\n')
    return folder


@pytest.fixture(scope="module")
def added(anatomies, data, prepared, tmp_path_factory):
    """A work folder with its added cases."""
    work = shutil.copytree(prepared, tmp_path_factory.mktemp("added") / "mini.work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(added_cases, "PAINTINGS", 1)
        patch.setattr("pipeline.simulation.warping.CLOSE_ENOUGH", 0.0)  # boxes of voxels are no livers
        patch.setattr("pipeline.simulation.warping.JACOBIAN", (-np.inf, np.inf))
        cases, _ = nnunet_plan.divide(data)
        nnunet_plan.set_folders(work)
        added_cases.prepare(anatomies, cases, work, 0, lambda line: None)
    return work


def test_whole_abdomens_are_painted_and_every_real_case_is_warped(anatomies):
    planned = plan_added(find_label_maps(anatomies), ["case0", "case1"], seed=0)
    painted = [one.name for one in planned if one.subject is None]
    assert painted == [f"abdomen-painted{k}" for k in range(added_cases.PAINTINGS)]
    assert sorted(one.name for one in planned if one.subject) == [
        f"{case}-as-{shape}" for case in ("case0", "case1") for shape in ("abdomen", "liver")
    ]


def test_a_member_never_sees_a_warped_image_of_a_case_that_it_holds_out():
    assert may_learn([PAINTED, WARPED_0, WARPED_1], ["case0", "case2"]) == ["a-painted0", "case0-as-a"]


def test_samples_are_shared_between_the_kinds_whatever_their_numbers():
    names = ["case0", "case2", "case3", "a-painted0", "b-painted0", "case0-as-a"]
    added = [PAINTED, AddedCase("b-painted0", "b", None), WARPED_0]
    shares = sampling(names, added)
    assert shares[:3].sum() == pytest.approx(added_cases.REAL)
    assert shares[3:5].sum() == pytest.approx(added_cases.PAINTED)
    assert shares[5] == pytest.approx(added_cases.WARPED)
    assert sampling(names[:3], []) == pytest.approx([1 / 3] * 3)


def test_prepared_cases_lie_beside_the_real_ones_on_the_plans_grid(added):
    cases = read_added(added)
    folder = added / "preprocessed" / nnunet_plan.DATASET / "nnUNetPlans_3d_fullres"
    assert {one.name for one in cases} >= {"abdomen-painted0", "case0-as-abdomen"}
    for case in cases:
        assert (folder / f"{case.name}.b2nd").is_file()
    assert not list((added / "raw" / nnunet_plan.DATASET).glob("added*"))
    assert added_cases.record(added).sources == ["Atlas, CC BY 4.0", "Livers, CC0"]


def test_a_second_call_makes_nothing_and_other_anatomies_are_refused(added, anatomies, data, tmp_path, monkeypatch):
    cases, _ = nnunet_plan.divide(data)
    monkeypatch.setattr(added_cases, "PAINTINGS", 1)
    monkeypatch.setattr(added_cases, "paint", None)
    monkeypatch.setattr(added_cases, "warp", None)
    added_cases.prepare(anatomies, cases, added, 0, lambda line: None)
    write_label_map(tmp_path, "other", labels_of(), ct=True)
    with pytest.raises(ManifestError, match="other anatomies"):
        added_cases.prepare(tmp_path, cases, added, 0, lambda line: None)


def test_an_interrupted_preparation_makes_only_what_is_missing(added, anatomies, data, tmp_path, monkeypatch):
    work = shutil.copytree(added, tmp_path / "mini.work")
    folder = work / "preprocessed" / nnunet_plan.DATASET
    file = folder / added_cases.FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"cases": None}))
    (folder / "nnUNetPlans_3d_fullres" / "case1-as-liver.pkl").unlink()
    made = []
    make = added_cases.make_added
    monkeypatch.setattr(added_cases, "PAINTINGS", 1)
    monkeypatch.setattr("pipeline.simulation.warping.CLOSE_ENOUGH", 0.0)
    monkeypatch.setattr("pipeline.simulation.warping.JACOBIAN", (-np.inf, np.inf))
    monkeypatch.setattr(added_cases, "make_added", lambda one, *rest: made.append(one.name) or make(one, *rest))
    cases, _ = nnunet_plan.divide(data)
    nnunet_plan.set_folders(work)
    added_cases.prepare(anatomies, cases, work, 0, lambda line: None)
    assert made == ["case1-as-liver"]


def test_no_member_trains_on_a_warped_image_of_a_case_that_it_holds_out(added):
    for fold in (0, 1):
        train, held_out = make_trainer(added, fold, torch.device("cpu")).do_split()
        subjects = {name.split("-as-")[0] for name in train if "-as-" in name}
        assert subjects == {"case0", "case1", "case2", "case3"} - set(held_out)
        assert "abdomen-painted0" in train


def test_anatomies_are_named_again_at_every_call(added, anatomies, data, prepared, tmp_path):
    """A training must not add them, or leave them out, because of what the work folder held before."""
    cases, _ = nnunet_plan.divide(data)
    with pytest.raises(ManifestError, match="was prepared with anatomies"):
        segmenter.train_segmenter(data, tmp_path / "out", SegmenterTraining(steps=1, device="cpu", work=added))
    work = shutil.copytree(prepared, tmp_path / "mini.work")
    (work / "fold0.pt").touch()
    with pytest.raises(ManifestError, match="was trained without anatomies"):
        added_cases.prepare(anatomies, cases, work, 0, lambda line: None)


def test_an_interrupted_preparation_resumes_for_the_same_seed_only(added, anatomies, data, tmp_path, monkeypatch):
    work = shutil.copytree(added, tmp_path / "mini.work")
    file = work / "preprocessed" / nnunet_plan.DATASET / added_cases.FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"cases": None}))
    monkeypatch.setattr(added_cases, "PAINTINGS", 1)
    cases, _ = nnunet_plan.divide(data)
    with pytest.raises(ManifestError, match="other anatomies"):
        added_cases.prepare(anatomies, cases, work, 1, lambda line: None)


def test_a_label_map_with_the_name_of_a_real_case_is_refused(data, prepared, tmp_path):
    write_label_map(tmp_path / "maps", "case1", labels_of(), ct=True)
    cases, _ = nnunet_plan.divide(data)
    with pytest.raises(ManifestError, match="label maps and real cases at once: case1"):
        added_cases.prepare(tmp_path / "maps", cases, shutil.copytree(prepared, tmp_path / "mini.work"), 0, print)


def test_a_training_on_added_cases_says_so_in_its_record(added, anatomies, data, monkeypatch):
    monkeypatch.setattr(added_cases, "PAINTINGS", 1)
    out = added.with_name("mini")
    training = SegmenterTraining(steps=2, device="cpu", anatomies=anatomies)
    segmenter.train_segmenter(data, out, training)
    info = registry.find(out, "segmenter").info
    assert info["training"]["anatomies"] == {
        "painted": 1,
        "warped": 8,
        "shapes": 2,
        "sources": ["Atlas, CC BY 4.0", "Livers, CC0"],
    }
    unseen = info["unseen_anatomies"]
    assert unseen == {"fold0": ["case1"], "fold1": ["case3"], "seen by all": ["abdomen", "case0", "case2", "liver"]}
    assert json.loads((out / "folds.json").read_text())["fold0"] == ["case1"]
    assert "Atlas, CC BY 4.0" in (out / "MODEL_CARD.md").read_text()
