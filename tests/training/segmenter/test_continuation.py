"""Training a model further on cases that are new to it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from models import registry
from pipeline.cohort.out_of_fold import out_of_fold_members
from pipeline.errors import ManifestError, ModelError
from pipeline.training.segmenter import train as segmenter
from pipeline.training.segmenter.continuation import merged
from pipeline.training.segmenter.options import SegmenterTraining
from tests.training.segmenter.boxes import write_case


@pytest.fixture
def corrected(tmp_path):
    """Two cases that the model has not seen."""
    return write_new_cases(tmp_path / "corrected")


@pytest.fixture(scope="module")
def continued(three_steps, tmp_path_factory):
    """The model, and one that was trained a step further on new cases, one of them with a kidney."""
    folder = tmp_path_factory.mktemp("continued")
    data = write_new_cases(folder / "corrected")
    file = data / "labelsTr" / "new0.nii.gz"
    image = sitk.ReadImage(str(file))
    image[:4, :4, 0] = 2
    sitk.WriteImage(image, str(file))
    further(data, folder / "further", three_steps)
    return registry.find(three_steps, "segmenter"), registry.find(folder / "further", "segmenter")


def write_new_cases(folder):
    for seed in range(2):
        write_case(folder, f"new{seed}", 10 + seed)
    return folder


def further(data, out, model, **settings):
    options = {"steps": 1, "device": "cpu", "folds": 2, "trained_on": "corrected boxes", "start_from": str(model)}
    segmenter.train_segmenter(data, out, SegmenterTraining(**(options | settings)))


def test_a_model_is_trained_further_on_new_cases_by_its_own_plan(continued):
    old, new = continued
    before, after = (json.loads((model.folder / "plans.json").read_text()) for model in continued)
    assert after["configurations"] == before["configurations"]
    assert after["label_manager"] == before["label_manager"]
    labels = [json.loads((model.folder / "dataset.json").read_text()) for model in continued]
    assert labels[1]["labels"] == labels[0]["labels"]
    assert labels[1]["numTraining"] == labels[0]["numTraining"] + 2
    assert new.info["training"]["steps"] == old.info["training"]["steps"] + 1
    assert new.info["training"]["blended"]
    assert new.info["trained_on"] == "boxes; further on corrected boxes"
    states = [model.state("fold1") for model in continued]
    assert states[0].keys() == states[1].keys()
    changes = [float((states[1][name].float() - value.float()).abs().max()) for name, value in states[0].items()]
    assert 0 < max(changes) < 0.01, "one step from the old weights"


def test_what_the_members_have_seen_before_stays_known(continued):
    folds = json.loads((continued[1].folder / "folds.json").read_text())
    assert folds == {"fold0": ["case1", "new0"], "fold1": ["case3", "new1"], "seen by all": ["case0", "case2"]}
    known = out_of_fold_members(continued[1], {})
    assert known.unseen_members({"case0"}) is None
    assert known.unseen_members({"case1"}).members == ("fold0",)
    assert known.unseen_members({"new1"}).members == ("fold1",)
    assert known.unseen_members({"elsewhere"}).members == ("fold0", "fold1")


def test_other_organs_than_the_models_are_background(continued):
    folder = continued[1].folder
    given = sitk.GetArrayFromImage(sitk.ReadImage(str(folder.with_name("corrected") / "labelsTr" / "new0.nii.gz")))
    raw = folder.with_name("further.work") / "raw" / "Dataset001_Liver" / "labelsTr" / "new0.nii.gz"
    numbered = sitk.GetArrayFromImage(sitk.ReadImage(str(raw)))
    assert np.unique(given).tolist() == [0, 1, 2, 4]
    assert np.unique(numbered).tolist() == [0, 1, 2]
    assert (numbered == 2).sum() == (given == 4).sum()


def test_liver_alone_would_make_the_model_forget_the_spleen(trained, corrected, tmp_path):
    for file in (corrected / "labelsTr").iterdir():
        image = sitk.ReadImage(str(file))
        sitk.WriteImage(sitk.Cast(image == 1, sitk.sitkUInt8), str(file))
    with pytest.raises(ManifestError, match="knows spleen"):
        further(corrected, tmp_path / "further", trained)
    assert not (tmp_path / "further").exists()


def test_a_model_that_knows_a_case_or_does_not_tell_is_refused(trained, corrected, tmp_path):
    write_case(corrected, "case0", 3)
    with pytest.raises(ModelError, match="other folds of these cases"):
        further(corrected, tmp_path / "further", trained)
    (trained / "folds.json").unlink()
    info = json.loads((trained / "model.json").read_text())
    info.pop("unseen_anatomies")
    (trained / "model.json").write_text(json.dumps(info))
    with pytest.raises(ModelError, match="does not say which cases"):
        further(corrected, tmp_path / "further", trained)


def test_another_number_of_folds_is_refused(trained, corrected, tmp_path):
    write_case(corrected, "new2", 5)
    with pytest.raises(ModelError, match="ask for --folds 2"):
        further(corrected, tmp_path / "further", trained, folds=3)


def test_merged_folds_keep_both():
    before, new = {"fold0": ["a"], "fold1": ["b"], "seen by all": ["c"]}, {"fold0": ["d"], "fold1": ["e"]}
    assert merged(before, new) == {"fold0": ["a", "d"], "fold1": ["b", "e"], "seen by all": ["c"]}
