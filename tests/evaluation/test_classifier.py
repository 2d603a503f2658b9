"""Evaluation: which members predict a case, resuming, degenerate cohorts, and the files that are written."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from models.files import file_sha256
from models.masked_attention import MaskedAttentionNet
from models.registry import ModelFolder, find, write_model_json
from models.weights import save_member
from pipeline.case import LIVER
from pipeline.classification import Classifier
from pipeline.classification.predict import predict_member
from pipeline.classification.slices import InputSpec
from pipeline.cohort import result_cache
from pipeline.cohort.out_of_fold import out_of_fold_members
from pipeline.errors import ManifestError
from pipeline.evaluation import classifier as evaluation
from pipeline.evaluation import under_test
from pipeline.evaluation.classifier import EvaluationOptions, evaluate
from pipeline.evaluation.statements import SIMULATED_COHORT
from pipeline.training.classifier.data import prepare
from tests.cohort.boxes import write_cohort, write_image

SPEC = InputSpec(spacing_mm=4.0, size_yx=(32, 32))
CPU = EvaluationOptions(device="cpu")
FOLDS = {"fold0": ["case0", "case1"], "fold1": ["case2", "case3"]}


@pytest.fixture
def no_report(monkeypatch):
    """Drawing takes the most time, and is looked at where the report is the subject."""
    monkeypatch.setattr(evaluation, "html_report", lambda *arguments, **named: "")


@pytest.fixture
def manifest(tmp_path) -> Path:
    return write_cohort(tmp_path)


def write_model(folder: Path, *, folds: dict | None = None, anatomies: dict | None = None, seed: int = 0) -> Path:
    """Two untrained members; how good they are does not matter here."""
    torch.manual_seed(seed)
    for member in ("fold0", "fold1"):
        net = MaskedAttentionNet("resnet18", "attention")
        torch.nn.init.normal_(net.head.weight, std=0.3)
        save_member(folder, member, net.state_dict())
    write_model_json(
        folder,
        {
            "kind": "classifier",
            "trained_on": "boxes",
            "positive_class": "METAVIR >= F3",
            "threshold": 0.5,
            "heat_scale": 1.0,
            "network": {"backbone": "resnet18", "mask": "attention"},
            "input": SPEC.to_json(),
        }
        | ({"unseen_anatomies": anatomies} if anatomies else {}),
    )
    if folds:
        (folder / "folds.json").write_text(json.dumps(folds))
    return folder


def model_folder(folder: Path, info: dict) -> ModelFolder:
    return ModelFolder("m", folder, info, ("fold0", "fold1"))


def test_no_member_predicts_what_it_has_seen(tmp_path):
    (tmp_path / "folds.json").write_text(json.dumps(FOLDS))
    info = {"members": ["fold0", "fold1"], "unseen_anatomies": {"fold0": ["a0"], "fold1": ["a1", "a9"]}}
    members = out_of_fold_members(model_folder(tmp_path, info), {})
    expected = {("case0", "a0"): ("fold0",), ("new", "a1"): ("fold1",), ("new", "new"): ("fold0", "fold1")}
    assert {names: members.unseen_members(names).members for names in expected} == expected  # type: ignore[union-attr]
    assert members.unseen_members(("case0", "a1")) is None  # one has seen the case, the other the anatomy
    assert members.unseen_members(("case2", "a0")) is None


def test_anatomies_are_also_known_from_the_manifest_of_the_training(tmp_path):
    (tmp_path / "folds.json").write_text(json.dumps(FOLDS))
    members = out_of_fold_members(
        model_folder(tmp_path, {}), {"case0": "a0", "case1": "a1", "case2": "a1", "case3": "a3"}
    )
    assert members.unseen_members(("new", "a0")).members == ("fold0",)  # type: ignore[union-attr]
    assert members.unseen_members(("new", "a1")) is None  # both members have seen cases of it
    assert members.cases_known
    assert not members.anatomies_known


def test_a_model_that_does_not_name_its_cases_predicts_with_all_members_and_is_reported(tmp_path):
    members = out_of_fold_members(model_folder(tmp_path, {}), {})
    assert members.unseen_members(("case0",)).members == ("fold0", "fold1")  # type: ignore[union-attr]
    assert not members.cases_known


def test_a_cohort_is_evaluated_out_of_fold_from_image_to_report(tmp_path, manifest):
    model = write_model(tmp_path / "model", folds=FOLDS, anatomies={"fold0": ["anatomy0"], "fold1": ["anatomy1"]})
    other = write_model(tmp_path / "other", seed=1)
    found = evaluate(
        manifest, [str(model), str(other)], tmp_path / "out", EvaluationOptions(prevalence=0.2, device="cpu")
    )

    table = pd.read_csv(tmp_path / "out" / "predictions.csv").set_index(["model", "patient_id"])
    assert table.loc["model", "predicted_by"].tolist() == ["fold0"] * 2 + ["fold1"] * 2 + ["ensemble"] * 2
    assert table.loc["other", "predicted_by"].tolist() == ["ensemble"] * 6
    classifier = Classifier(find(model, "classifier"), torch.device("cpu"))
    slices = prepare(tmp_path / "image2.nii.gz", tmp_path / "mask2.nii.gz", SPEC)
    logit, _ = predict_member(classifier.networks[1], slices.tensor(SPEC))
    assert table.loc[("model", "case2"), "probability"] == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-5)

    (single,) = evaluate(manifest, [str(model / "fold1")], tmp_path / "single", CPU).models.values()
    assert single.predicted_by == {"fold1": 4}

    assert found.statements[0] == SIMULATED_COHORT
    assert any("4 of 6 cases were predicted out of fold" in words for words in found.statements)
    assert any("other does not say" in words for words in found.statements)
    stored = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert stored["models"]["model"]["measures"]["auc"]["cases"] == 6
    assert stored["models"]["model"]["measures"]["auc"]["anatomies"] == 3
    assert stored["cohort"]["prevalence"] == 0.2
    assert [pair["first"] for pair in stored["comparisons"]] == ["model"]
    report = (tmp_path / "out" / "report.html").read_text()
    assert report.count("data:image/svg+xml") == 4  # no true masks, so no figure of them
    assert SIMULATED_COHORT in report
    assert "http" not in report.split("<body>")[0]
    assert str(tmp_path) not in report + "".join(
        (tmp_path / "out" / name).read_text() for name in ("evaluation.json", "cases.csv", "predictions.csv")
    )


def test_an_interrupted_evaluation_resumes_and_ends_the_same(tmp_path, manifest, monkeypatch, no_report):
    model = write_model(tmp_path / "model")
    whole = evaluate(manifest, [str(model)], tmp_path / "whole", CPU).to_json()
    probability_of, predicted = under_test.probability_of, []

    def stop_at_third(*arguments):
        predicted.append(arguments)
        if len(predicted) == 3:
            raise KeyboardInterrupt
        return probability_of(*arguments)

    monkeypatch.setattr(under_test, "probability_of", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        evaluate(manifest, [str(model)], tmp_path / "out", CPU)
    assert not (tmp_path / "out" / "evaluation.json").exists()
    assert evaluate(manifest, [str(model)], tmp_path / "out", CPU).to_json() == whole
    assert len(predicted) == 3 + 4  # the two that were done are not predicted again
    write_model(model, seed=5)
    evaluate(manifest, [str(model)], tmp_path / "out", CPU)
    assert len(predicted) == 7 + 6


def test_true_masks_give_dice(tmp_path, manifest):
    labels = np.zeros((6, 24, 24), np.uint8)
    labels[1:5, 6:18, 5:10] = LIVER
    write_image(tmp_path / "true.nii.gz", labels)
    (tmp_path / "truth.csv").write_text(
        "patient_id,true_mask\ncase0,true.nii.gz\ncase1,copy.nii.gz\ncase2,mask2.nii.gz\n"
    )
    shutil.copy(tmp_path / "mask1.nii.gz", tmp_path / "copy.nii.gz")
    found = evaluate(manifest, [str(write_model(tmp_path / "model"))], tmp_path / "out", CPU)
    table = pd.read_csv(tmp_path / "out" / "cases.csv").set_index("patient_id")
    assert table.loc["case0", "dice"] == pytest.approx(2 * 5 / (5 + 11))
    assert table.loc["case1", ["dice", "hd95_mm"]].tolist() == [1.0, 0.0]
    assert table["dice"].notna().sum() == 2, "a mask that is the true one is not compared with itself"
    assert found.segmentation is not None
    assert found.segmentation.measures["dice"].cases == 2
    assert (tmp_path / "out" / "report.html").read_text().count("data:image/svg+xml") == 5


def test_cases_that_got_no_mask_are_stated(tmp_path, manifest, no_report):
    (tmp_path / "left_out.csv").write_text("patient_id,reason\np1,No liver.\np2,No liver.\np3,Seen.\n")
    found = evaluate(manifest, [str(write_model(tmp_path / "model"))], tmp_path / "out", CPU)
    words = "3 cases were left out of the manifest and are in no figure (2: No liver.; 1: Seen.)."
    assert found.statements[1] == words


def test_cached_predictions_keep_the_names_of_version_0_1_0(tmp_path, manifest, no_report):
    """Other names would compute everything again where an evaluation of that version was interrupted."""
    model = write_model(tmp_path / "model")
    shutil.copy(tmp_path / "mask1.nii.gz", tmp_path / "true.nii.gz")
    (tmp_path / "truth.csv").write_text("patient_id,true_mask\ncase0,true.nii.gz\n")
    evaluate(manifest, [str(model)], tmp_path / "out", CPU)
    files = [[file_sha256(tmp_path / f"{name}{i}.nii.gz") for name in ("image", "mask")] for i in range(6)]
    keys = [["reading", *each, result_cache.model_fingerprint(find(model, "classifier"))] for each in files]
    keys.append(["overlap", *files[0], file_sha256(tmp_path / "true.nii.gz")])
    stored = {file.stem for file in (tmp_path / "out" / "answers").iterdir()}
    assert stored == {result_cache.digest(key) for key in keys}


def test_predictions_of_another_version_are_not_used(tmp_path, manifest, monkeypatch, no_report):
    model, predicted = str(write_model(tmp_path / "model")), []
    probability_of = under_test.probability_of
    monkeypatch.setattr(under_test, "probability_of", lambda *given: predicted.append(given) or probability_of(*given))
    for version, calls in (("0.1.0", 6), ("0.1.0", 6), ("0.1.1", 12)):
        monkeypatch.setattr(result_cache, "__version__", version)
        evaluate(manifest, [model], tmp_path / "out", CPU)
        assert len(predicted) == calls
    monkeypatch.setattr(result_cache, "FORMAT", result_cache.FORMAT + 1)
    evaluate(manifest, [model], tmp_path / "out", CPU)
    assert len(predicted) == 18


def test_an_empty_mask_is_reported_and_a_misfit_names_its_line(tmp_path, manifest, no_report):
    model = str(write_model(tmp_path / "model"))
    write_image(tmp_path / "mask3.nii.gz", np.zeros((6, 24, 24), np.uint8))
    found = evaluate(manifest, [model], tmp_path / "out", CPU)
    assert sum(found.models["model"].not_predicted.values()) == 1
    assert any("1 of 6 cases have no probability" in words for words in found.statements)
    write_image(tmp_path / "mask4.nii.gz", np.ones((6, 24, 20), np.uint8))
    with pytest.raises(ManifestError, match=r"^Line 6: image and mask have different sizes\.$"):
        evaluate(manifest, [model], tmp_path / "out", CPU)


def test_wrong_inputs_have_one_clear_sentence(tmp_path, manifest, no_report):
    model = str(write_model(tmp_path / "model"))
    (tmp_path / "truth.csv").write_text("patient_id,true_mask\ncase0,gone.nii.gz\n")
    with pytest.raises(ManifestError, match="does not exist"):
        evaluate(manifest, [model], tmp_path / "out")
    rows = pd.read_csv(manifest)
    rows.assign(split="train").to_csv(manifest, index=False)
    with pytest.raises(ManifestError, match="--split all"):
        evaluate(manifest, [model], tmp_path / "out")


def test_the_positive_class_is_that_of_the_rows_that_are_evaluated(tmp_path, manifest, no_report):
    rows = pd.read_csv(manifest, dtype=str)
    others = rows.head(2).assign(
        patient_id=["t0", "t1"], split="train", label_source="lsm", metavir="", lsm_kpa="9", lsm_method="TE"
    )
    pd.concat([rows, others]).to_csv(manifest, index=False)
    model = str(write_model(tmp_path / "model"))
    assert evaluate(manifest, [model], tmp_path / "out", CPU).cohort.positive_class == "METAVIR >= F3"
    both = evaluate(manifest, [model], tmp_path / "all", EvaluationOptions(split="all", device="cpu"))
    assert both.cohort.positive_class == "METAVIR >= F3 or, without histology, LSM > 12 kPa"
