"""Evaluation: who may read which case, resuming, degenerate cohorts, and the files that are written."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from models.masked_attention import MaskedAttentionNet
from models.registry import ModelFolder, find, write_model_json
from models.weights import save_member
from pipeline.case import LIVER
from pipeline.classification import Classifier
from pipeline.classification.predict import predict_member
from pipeline.classification.slices import InputSpec
from pipeline.cohort import result_cache as remembered
from pipeline.cohort.out_of_fold import out_of_fold_members
from pipeline.errors import ManifestError
from pipeline.evaluation import classifier as evaluation
from pipeline.evaluation import figures as evaluation_figures
from pipeline.evaluation import measures as evaluation_measures
from pipeline.evaluation import predictions as evaluation_cases
from pipeline.evaluation.classifier import SIMULATED_COHORT, evaluate
from pipeline.evaluation.measures import Answers, comparisons, measures, segmentation, strata, to_json
from pipeline.training.classifier.data import prepare
from tests.cohort.boxes import write_cohort, write_image

SPEC = InputSpec(spacing_mm=4.0, size_yx=(32, 32))
FOLDS = {"fold0": ["case0", "case1"], "fold1": ["case2", "case3"]}


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(evaluation_measures, "DRAWS", 40)
    monkeypatch.setattr(evaluation_figures, "BAND_DRAWS", 40)


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


def test_no_member_reads_what_it_has_seen(tmp_path):
    (tmp_path / "folds.json").write_text(json.dumps(FOLDS))
    info = {"members": ["fold0", "fold1"], "unseen_anatomies": {"fold0": ["a0"], "fold1": ["a1", "a9"]}}
    readers = out_of_fold_members(model_folder(tmp_path, info), {})
    expected = {("case0", "a0"): ("fold0",), ("new", "a1"): ("fold1",), ("new", "new"): ("fold0", "fold1")}
    assert {names: readers.unseen_members(names).members for names in expected} == expected  # type: ignore[union-attr]
    assert readers.unseen_members(("case0", "a1")) is None  # one has seen the case, the other the anatomy
    assert readers.unseen_members(("case2", "a0")) is None


def test_anatomies_are_also_known_from_the_manifest_of_the_training(tmp_path):
    (tmp_path / "folds.json").write_text(json.dumps(FOLDS))
    readers = out_of_fold_members(
        model_folder(tmp_path, {}), {"case0": "a0", "case1": "a1", "case2": "a1", "case3": "a3"}
    )
    assert readers.unseen_members(("new", "a0")).members == ("fold0",)  # type: ignore[union-attr]
    assert readers.unseen_members(("new", "a1")) is None  # cases of it stand on both sides
    assert readers.cases_known
    assert not readers.anatomies_known


def test_a_model_that_says_nothing_is_read_by_all_and_reported(tmp_path):
    readers = out_of_fold_members(model_folder(tmp_path, {}), {})
    assert readers.unseen_members(("case0",)).members == ("fold0", "fold1")  # type: ignore[union-attr]
    assert not readers.cases_known


def test_a_cohort_is_evaluated_out_of_fold_from_image_to_report(tmp_path, manifest):
    model = write_model(tmp_path / "model", folds=FOLDS, anatomies={"fold0": ["anatomy0"], "fold1": ["anatomy1"]})
    other = write_model(tmp_path / "other", seed=1)
    found = evaluate(manifest, [str(model), str(other)], tmp_path / "out", prevalence=0.2, device="cpu")

    table = pd.read_csv(tmp_path / "out" / "cases.csv").set_index("patient_id")
    assert table["read_by:model"].tolist() == ["fold0"] * 2 + ["fold1"] * 2 + ["ensemble"] * 2
    assert table["read_by:other"].tolist() == ["ensemble"] * 6
    classifier = Classifier(find(model, "classifier"), torch.device("cpu"))
    slices = prepare(tmp_path / "image2.nii.gz", tmp_path / "mask2.nii.gz", SPEC)
    logit, _ = predict_member(classifier.networks[1], slices.tensor(SPEC))
    assert table.loc["case2", "probability:model"] == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-5)

    (single,) = evaluate(manifest, [str(model / "fold1")], tmp_path / "single", device="cpu")["models"].values()
    assert single["read_by"] == {"fold1": 4}

    assert found["statements"][0] == SIMULATED_COHORT
    assert any("4 of 6 cases were read out of fold" in words for words in found["statements"])
    assert any("other does not say" in words for words in found["statements"])
    stored = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert stored["models"]["model"]["measures"]["auc"]["cases"] == 6
    assert stored["models"]["model"]["measures"]["auc"]["anatomies"] == 3
    assert stored["cohort"]["prevalence"] == 0.2
    assert [pair["first"] for pair in stored["comparisons"]] == ["model"]
    report = (tmp_path / "out" / "report.html").read_text()
    assert report.count("data:image/svg+xml") == 4  # no true masks, so no figure of them
    assert SIMULATED_COHORT in report
    assert "http" not in report.split("<body>")[0]
    assert str(tmp_path) not in report + json.dumps(stored) + (tmp_path / "out" / "cases.csv").read_text()


def test_an_interrupted_evaluation_goes_on_and_ends_the_same(tmp_path, manifest, monkeypatch, no_report):
    model = write_model(tmp_path / "model")
    whole = to_json(evaluate(manifest, [str(model)], tmp_path / "whole", device="cpu"))
    probability_of, read = evaluation_cases.probability_of, []

    def stop_at_third(*arguments):
        read.append(arguments)
        if len(read) == 3:
            raise KeyboardInterrupt
        return probability_of(*arguments)

    monkeypatch.setattr(evaluation_cases, "probability_of", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        evaluate(manifest, [str(model)], tmp_path / "out", device="cpu")
    assert not (tmp_path / "out" / "evaluation.json").exists()
    assert to_json(evaluate(manifest, [str(model)], tmp_path / "out", device="cpu")) == whole
    assert len(read) == 3 + 4  # the two that were done are not read again
    write_model(model, seed=5)
    evaluate(manifest, [str(model)], tmp_path / "out", device="cpu")
    assert len(read) == 7 + 6


def test_true_masks_give_dice(tmp_path, manifest):
    labels = np.zeros((6, 24, 24), np.uint8)
    labels[1:5, 6:18, 5:10] = LIVER
    write_image(tmp_path / "true.nii.gz", labels)
    (tmp_path / "truth.csv").write_text(
        "patient_id,true_mask\ncase0,true.nii.gz\ncase1,copy.nii.gz\ncase2,mask2.nii.gz\n"
    )
    shutil.copy(tmp_path / "mask1.nii.gz", tmp_path / "copy.nii.gz")
    found = evaluate(manifest, [str(write_model(tmp_path / "model"))], tmp_path / "out", device="cpu")
    table = pd.read_csv(tmp_path / "out" / "cases.csv").set_index("patient_id")
    assert table.loc["case0", "dice"] == pytest.approx(2 * 5 / (5 + 11))
    assert table.loc["case1", ["dice", "hd95_mm"]].tolist() == [1.0, 0.0]
    assert table["dice"].notna().sum() == 2, "a mask that is the true one is not compared with itself"
    assert found["segmentation"]["dice"]["cases"] == 2
    assert (tmp_path / "out" / "report.html").read_text().count("data:image/svg+xml") == 5


def test_cases_that_got_no_mask_are_stated(tmp_path, manifest, no_report):
    (tmp_path / "left_out.csv").write_text("patient_id,reason\np1,No liver.\np2,No liver.\np3,Seen.\n")
    found = evaluate(manifest, [str(write_model(tmp_path / "model"))], tmp_path / "out", device="cpu")
    words = "3 cases were left out of the manifest and are in no figure (2: No liver.; 1: Seen.)."
    assert found["statements"][1] == words


def test_answers_of_another_version_are_not_used(tmp_path, manifest, monkeypatch, no_report):
    model, read = str(write_model(tmp_path / "model")), []
    probability_of = evaluation_cases.probability_of
    monkeypatch.setattr(evaluation_cases, "probability_of", lambda *given: read.append(given) or probability_of(*given))
    for version, calls in (("0.1.0", 6), ("0.1.0", 6), ("0.1.1", 12)):
        monkeypatch.setattr(remembered, "__version__", version)
        evaluate(manifest, [model], tmp_path / "out", device="cpu")
        assert len(read) == calls
    monkeypatch.setattr(remembered, "FORMAT", remembered.FORMAT + 1)
    evaluate(manifest, [model], tmp_path / "out", device="cpu")
    assert len(read) == 18


def test_an_empty_mask_is_reported_and_a_misfit_names_its_line(tmp_path, manifest, no_report):
    model = str(write_model(tmp_path / "model"))
    write_image(tmp_path / "mask3.nii.gz", np.zeros((6, 24, 24), np.uint8))
    found = evaluate(manifest, [model], tmp_path / "out", device="cpu")
    assert sum(found["models"]["model"]["not_read"].values()) == 1
    assert any("1 of 6 cases have no probability" in words for words in found["statements"])
    write_image(tmp_path / "mask4.nii.gz", np.ones((6, 24, 20), np.uint8))
    with pytest.raises(ManifestError, match=r"^Line 6: image and mask have different sizes\.$"):
        evaluate(manifest, [model], tmp_path / "out", device="cpu")


def test_wrong_inputs_have_one_clear_sentence(tmp_path, manifest, no_report):
    model = str(write_model(tmp_path / "model"))
    (tmp_path / "truth.csv").write_text("patient_id,true_mask\ncase0,gone.nii.gz\n")
    with pytest.raises(ManifestError, match="does not exist"):
        evaluate(manifest, [model], tmp_path / "out")
    rows = pd.read_csv(manifest)
    rows.assign(split="train").to_csv(manifest, index=False)
    with pytest.raises(ManifestError, match="--split all"):
        evaluate(manifest, [model], tmp_path / "out")


def test_the_positive_class_is_that_of_the_rows_that_are_read(tmp_path, manifest, no_report):
    rows = pd.read_csv(manifest, dtype=str)
    others = rows.head(2).assign(
        patient_id=["t0", "t1"], split="train", label_source="lsm", metavir="", lsm_kpa="9", lsm_method="TE"
    )
    pd.concat([rows, others]).to_csv(manifest, index=False)
    model = str(write_model(tmp_path / "model"))
    assert evaluate(manifest, [model], tmp_path / "out")["cohort"]["positive_class"] == "METAVIR >= F3"
    both = evaluate(manifest, [model], tmp_path / "all", split="all")
    assert both["cohort"]["positive_class"] == "METAVIR >= F3 or, without histology, LSM > 12 kPa"


def answers_table(labels, probabilities, **columns) -> pd.DataFrame:
    n = len(labels)
    table = pd.DataFrame({"label": labels, "probability:m": probabilities, "anatomy": [f"a{i}" for i in range(n)]})
    table["advanced:m"] = table["probability:m"] >= 0.5
    plain = {"segmentation_score": "", "site": "", "sex": "", "metavir": "", "dice": np.nan}
    return table.assign(**(plain | columns))


@pytest.mark.parametrize("label", [True, False])
def test_one_class_only_is_not_estimable_and_no_crash(label):
    table = answers_table([label] * 3, [0.2, 0.6, 0.9])
    found = measures(Answers.of(table, "m"), prevalence=float(label), seed=0)
    unknown = {name for name, measure in found.items() if not measure.estimate.known}
    missing = "specificity" if label else "sensitivity"
    assert unknown == {"auc", missing, "ppv", "npv", "calibration_slope", "calibration_intercept"}
    assert json.dumps(to_json(found), allow_nan=False)
    answers = {"m": Answers.of(table, "m")}
    assert evaluation_figures.draw_roc(answers, 0)
    assert evaluation_figures.draw_decision(answers, 0.5)


def test_strata_of_one_case_and_no_case_at_all():
    table = answers_table([True, False, True], [0.9, 0.2, np.nan], site=["A", "B", "C"], sex=["", "", ""])
    found = strata(table, "m")
    assert set(found) == {"site"}
    assert found["site"]["A"]["sensitivity"].estimate.value == 1
    assert found["site"]["A"]["sensitivity"].estimate.low < 0.3
    assert not found["site"]["A"]["auc"].estimate.known
    assert found["site"]["C"]["accuracy"].cases == 0
    assert json.dumps(to_json(found), allow_nan=False)
    nothing = Answers.of(answers_table([True, False], [np.nan, np.nan]), "m")
    assert not any(m.estimate.known for m in measures(nothing, prevalence=0.5, seed=0).values())


def test_perfect_answers_have_an_auc_interval_with_width():
    found = measures(
        Answers.of(answers_table([False] * 6 + [True] * 4, np.arange(10) / 10), "m"), prevalence=0.4, seed=0
    )
    assert found["auc"].estimate.value == 1
    assert found["auc"].estimate.low < 0.9
    assert "degenerates" in found["auc"].method
    assert not found["calibration_slope"].estimate.known


def test_intervals_know_that_cases_share_an_anatomy():
    random = np.random.default_rng(0)
    labels, probabilities = random.random(60) < 0.5, random.random(60)
    alone = answers_table(labels, probabilities)
    shared = pd.concat([alone] * 4, ignore_index=True)
    found, single = (measures(Answers.of(t, "m"), prevalence=0.5, seed=0) for t in (shared, alone))
    assert found["auc"].estimate.low == pytest.approx(single["auc"].estimate.low, abs=0.01)
    assert found["accuracy"].estimate.low == pytest.approx(single["accuracy"].estimate.low, abs=0.01)
    assert (found["auc"].cases, found["auc"].anatomies) == (240, 60)
    assert "cluster" in found["auc"].method


def test_models_are_compared_on_the_cases_that_both_read():
    table = answers_table([True, False] * 5, np.linspace(0.1, 0.9, 10))
    table = table.assign(**{"probability:n": [np.nan, *np.linspace(0.9, 0.1, 9)], "advanced:n": False})
    (pair,) = comparisons(table, ["m", "n"])
    assert pair["difference"].cases == 9
    assert 0 <= pair["p"] <= 1


def test_segmentation_is_summed_up_without_infinite_distances():
    table = pd.DataFrame(
        {
            "dice": [0.9, 0.0, np.nan],
            "iou": [0.82, 0.0, np.nan],
            "hd95_mm": [5.0, np.inf, np.nan],
            "assd_mm": [1.0, np.inf, np.nan],
            "volume_error_percent": [2.0, -100.0, np.nan],
            "anatomy": ["a", "b", "c"],
        }
    )
    found = segmentation(table)
    assert found is not None
    assert (found["dice"]["mean"], found["hd95_mm"]["mean"], found["hd95_mm"]["cases"]) == (0.45, 5.0, 1)
    assert found["dice"]["not_found"] == 1
    assert found["dice"]["anatomies"] == 2
    assert (found["dice"]["low"], found["dice"]["high"]) == (0, 1), "two anatomies tell nearly nothing"
    assert segmentation(table[2:]) is None
