"""The training command on a cohort of a few tiny volumes."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import timm
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from models.registry import find
from pipeline.case import LIVER
from pipeline.classification import Classifier
from pipeline.classification.predict import predict_member
from pipeline.classification.slices import InputSpec
from pipeline.cohort.manifest import read_manifest
from pipeline.cohort.out_of_fold import out_of_fold_members
from pipeline.errors import ManifestError, ModelError
from pipeline.statistics import Estimate
from pipeline.training.classifier import fold as classifier_fold
from pipeline.training.classifier.card import command, model_card
from pipeline.training.classifier.data import CachedCase, cache_case, draw_slices, draw_training_input, vary_mask
from pipeline.training.classifier.fold import Run, Settings, learning_rate, train_fold
from pipeline.training.classifier.model_files import LEAK_NOTES, SIMULATED_NOTE, Measured, model_info
from pipeline.training.classifier.pretrained import backbone_weights
from pipeline.training.classifier.split import relabel, split_folds, split_inner
from pipeline.training.classifier.train import train_classifier

SPEC = InputSpec(spacing_mm=4.0, size_yx=(32, 32))
CPU = torch.device("cpu")


def write_cohort(folder: Path, *, anatomies: int = 4, simulated: bool = True) -> Path:
    """Two cases of each anatomy, 24 x 24 x 6 voxels: a liver box, rough inside where the case is positive."""
    rows = []
    for number in range(2 * anatomies):
        random, positive = np.random.default_rng(number), number % 2 == 1
        labels = np.zeros((6, 24, 24), np.uint8)
        labels[1:5, 6:18, 5 : 16 + number // 2] = LIVER
        voxels = 50 + 50 * (labels == LIVER) + random.normal(0, 15 if positive else 2, labels.shape)
        for name, array in (("image", voxels.astype(np.float32)), ("mask", labels)):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((4.0, 4.0, 8.0))
            sitk.WriteImage(image, folder / f"{name}{number}.nii.gz")
        rows.append(
            {
                "patient_id": f"case{number}",
                "image": f"image{number}.nii.gz",
                "mask": f"mask{number}.nii.gz",
                "lsm_kpa": 20 if positive else 5,
                "lsm_method": "TE",
                "label_source": "lsm",
                "source_anatomy": f"anatomy{number // 2}",
            }
        )
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    about = {"simulated": simulated, "seed": 0, "description": "Boxes." if simulated else ""}
    (folder / "cohort.json").write_text(json.dumps(about))
    return folder / "manifest.csv"


@pytest.fixture
def cases(tmp_path) -> list[CachedCase]:
    rows = read_manifest(write_cohort(tmp_path)).rows
    return [cache_case(index, row, tmp_path / "slices", SPEC) for index, row in rows.iterrows()]


def test_prepared_slices_are_known_by_what_the_files_hold_not_by_where_they_lie(cases, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in tmp_path.glob("*.*"):
        shutil.copy2(file, moved)
    rows = read_manifest(moved / "manifest.csv").rows
    again = [cache_case(index, row, tmp_path / "slices", SPEC) for index, row in rows.iterrows()]
    assert [case.file for case in again] == [case.file for case in cases]


def train(manifest: Path, out: Path, **arguments):
    return train_classifier(manifest, out, folds=2, slices=3, device="cpu", spec=SPEC, **({"epochs": 1} | arguments))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Measured]:
    """The folder of a cohort and of the model trained on it, and what the training measured."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, train(write_cohort(folder), folder / "model", epochs=2)


def test_a_training_writes_a_classifier_that_says_what_it_is(trained):
    folder, measured = trained
    found = find(folder / "model", "classifier")
    classifier = Classifier(found, CPU)
    assert found.members == ("fold0", "fold1")
    assert classifier.info.note.startswith(SIMULATED_NOTE)
    assert "8 simulated cases (4 positive) from 4 anatomies" in classifier.info.trained_on
    assert classifier.positive_class == "LSM > 12 kPa"
    assert classifier.threshold == pytest.approx(measured.threshold, abs=1e-3)
    assert classifier.heat_scale == pytest.approx(measured.heat_scale, rel=1e-3)


def test_what_was_written_predicts_unseen_cases_as_measured(trained):
    folder, measured = trained
    classifier = Classifier(find(folder / "model", "classifier"), CPU)
    rows = read_manifest(folder / "manifest.csv").rows
    unseen = json.loads((folder / "model" / "folds.json").read_text())
    assert sorted(unseen["fold0"] + unseen["fold1"]) == [f"case{i}" for i in range(8)]
    probabilities = measured.out_of_fold.set_index("patient_id").probability
    for index, row in rows.iterrows():
        net = classifier.networks[row.patient_id in unseen["fold1"]]
        logit, _ = predict_member(net, cache_case(index, row, folder / "model.work" / "slices", SPEC).tensor(SPEC))
        assert 1 / (1 + np.exp(-logit)) == pytest.approx(probabilities[row.patient_id], abs=2e-3)


def test_the_model_card_carries_the_measured_figures_and_the_note(trained):
    folder, measured = trained
    card = (folder / "model" / "MODEL_CARD.md").read_text()
    assert f"{measured.auc[0]:.3f} (95 % interval {measured.auc[1]:.3f} to {measured.auc[2]:.3f})" in card
    assert SIMULATED_NOTE in card
    assert str(folder) not in card
    data = ModelCard(card).data
    assert data.license == "unknown"
    assert {result.metric_type: result.metric_value for result in data.eval_results}["auc"] == round(measured.auc[0], 3)
    info = json.loads((folder / "model" / "model.json").read_text())
    assert info["manifest_sha256"] == hashlib.sha256((folder / "manifest.csv").read_bytes()).hexdigest()
    assert info["manifest_sha256"] in card
    assert "train-classifier MANIFEST -o MODEL --folds 2 --epochs 2`" in card
    fitted = {"fold0": {"scale": 2.0, "shift": 0.1}}
    assert "No scale" not in model_card(info | {"calibration": fitted}, "boxes")
    kept = fitted | {"fold1": {"scale": 1.0, "shift": 0.0}}
    assert "No scale could be fitted for fold1, whose" in model_card(info | {"calibration": kept}, "boxes")


def test_a_real_cohort_carries_no_note(trained):
    folder, measured = trained
    cohort = replace(read_manifest(folder / "manifest.csv"), simulated=False, description="")
    able = replace(measured, auc=Estimate(0.81, 0.62, 0.93))
    info = model_info(cohort, [], Settings(), SPEC, able)
    assert info["note"] == ""
    by_chance = model_info(cohort, [], Settings(), SPEC, replace(measured, auc=Estimate(0.58, 0.41, 0.75)))
    assert by_chance["note"] == "Out of fold it was not shown to tell more than chance (AUC 0.58)."
    assert "simulated" not in info["trained_on"]


def test_same_seed_same_weights_also_when_resumed(tmp_path, monkeypatch):
    """Stopped after the first epoch of the second member, then resumed, against a training in one go."""
    manifest = write_cohort(tmp_path)
    once = train(manifest, tmp_path / "once", epochs=2, work=tmp_path / "w1")
    save, saved = Run.save, []

    def stop_at_third(*arguments):
        save(*arguments)
        saved.append(arguments)
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Run, "save", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        train(manifest, tmp_path / "twice", epochs=2, work=tmp_path / "w2")
    assert not (tmp_path / "twice").exists()
    twice = train(manifest, tmp_path / "twice", epochs=2, work=tmp_path / "w2", resume=True)
    assert len(saved) == 4
    assert not (tmp_path / "w2" / "fold0.part").exists()
    pd.testing.assert_frame_equal(once.out_of_fold, twice.out_of_fold)


def test_checkpoints_of_other_settings_or_cases_are_refused(trained, tmp_path):
    folder, _ = trained
    with pytest.raises(ModelError, match="other settings"):
        train(folder / "manifest.csv", folder / "model", epochs=3)
    with pytest.raises(ModelError, match="or cases"):
        train(write_cohort(tmp_path, anatomies=5), tmp_path / "other", epochs=2, work=folder / "model.work")


def test_folds_trained_one_by_one_make_the_same_model(trained, tmp_path):
    folder, measured = trained
    manifest = folder / "manifest.csv"
    for fold in (1, 0):
        assert train(manifest, tmp_path / "model", epochs=2, work=tmp_path / "work", fold=fold) is None
    assert not (tmp_path / "model").exists()
    gathered = train(manifest, tmp_path / "model", epochs=2, work=tmp_path / "work", resume=True)
    pd.testing.assert_frame_equal(measured.out_of_fold, gathered.out_of_fold)
    with pytest.raises(ModelError, match="0 to 1"):
        train(manifest, tmp_path / "model", fold=2)


def test_training_stops_when_the_inner_fold_no_longer_improves(cases, tmp_path, monkeypatch):
    """The inner fold's loss falls twice, then rises: three epochs of patience later the second epoch's weights stay."""
    losses, weights = iter([0.9, 0.7, 0.8, 0.8, 0.8, 0.1]), []

    def judged(net, stopping, *_):
        assert not {case.anatomy for case in stopping} & {case.anatomy for case in learned}
        weights.append(net.head.weight.clone())
        return next(losses)

    learned: list[CachedCase] = []
    monkeypatch.setattr(classifier_fold, "balanced_loss", judged)
    learned += split_inner(cases, 0)[0]
    settings = Settings(epochs=9, patience=3, slices=2)
    run = train_fold(cases, settings, SPEC, 0, CPU, tmp_path / "fold0.pt")
    assert (run.epochs, run.best_epoch) == (5, 2)
    assert torch.equal(run.result().head.weight, weights[1])
    again = train_fold(cases, settings, SPEC, 0, CPU, tmp_path / "fold0.pt")
    assert again.epochs == 5
    assert torch.equal(again.result().head.weight, weights[1])


def test_the_inner_fold_keeps_anatomies_together_and_holds_both_labels(cases):
    learning, stopping = split_inner(cases, 0)
    assert sorted(case.case_id for case in learning + stopping) == sorted(case.case_id for case in cases)
    assert not {case.anatomy for case in learning} & {case.anatomy for case in stopping}
    assert {case.label for case in stopping} == {True, False}
    with pytest.raises(ManifestError, match="Early stopping"):
        split_inner(cases[:2], 0)


def test_shuffled_labels_are_the_same_ones_in_other_places_and_said(cases, trained):
    folder, measured = trained
    shuffled = relabel(cases, "shuffled", [], 1)
    assert sorted(case.label for case in shuffled) == sorted(case.label for case in cases)
    assert [case.label for case in shuffled] != [case.label for case in cases]
    settings = Settings(labels="shuffled")
    info = model_info(read_manifest(folder / "manifest.csv"), cases, settings, SPEC, measured)
    assert info["note"].endswith(LEAK_NOTES["shuffled"])
    assert command(settings).endswith("--labels shuffled")


def test_a_site_classifier_learns_the_site(cases):
    sites = ["B", "A"] * (len(cases) // 2)
    assert [case.label for case in relabel(cases, "site", sites, 0)] == [site == "A" for site in sites]
    with pytest.raises(ManifestError, match="two sites"):
        relabel(cases, "site", ["A"] * len(cases), 0)


def test_a_single_member_is_trained_and_the_other_folds_are_still_known(trained, tmp_path):
    folder, _ = trained
    measured = train(folder / "manifest.csv", tmp_path / "model", members=1, resume=True, epochs=2)
    model = find(tmp_path / "model", "classifier")
    assert model.members == ("fold0",)
    unseen = json.loads((tmp_path / "model" / "folds.json").read_text())
    assert sorted(unseen["fold0"] + unseen["fold1"]) == [f"case{i}" for i in range(8)]
    assert sorted(measured.out_of_fold.patient_id) == sorted(unseen["fold0"])
    readers = out_of_fold_members(model, {})
    assert readers.unseen_members((unseen["fold1"][0],)) is None
    assert readers.unseen_members((unseen["fold0"][0],)) is not None


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory) -> Path:
    """A file as timm publishes it, with random weights."""
    file = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), file)
    return file


def test_pretrained_weights_are_where_a_training_starts(imagenet):
    start = backbone_weights("resnet18", str(imagenet))
    expected = load_file(imagenet)["conv1.weight"].sum(dim=1, keepdim=True)
    torch.testing.assert_close(start["conv1.weight"], expected)
    run = Run(Settings(), {}, start, CPU)
    torch.testing.assert_close(run.net.backbone.conv1.weight.detach(), expected)


def test_pretrained_weights_that_cannot_be_had_stop_a_training(imagenet, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="safetensors file, or leave"):
        backbone_weights("resnet18", "imagenet")
    with pytest.raises(ModelError, match="do not fit densenet121"):
        backbone_weights("densenet121", str(imagenet))
    with pytest.raises(ModelError, match="file that exists"):
        train(tmp_path / "manifest.csv", tmp_path / "model", pretrained="weights.pth")


def test_anatomies_never_stand_on_both_sides(cases):
    for seen, unseen in split_folds(cases, 4, seed=0):
        assert not {cases[i].anatomy for i in seen} & {cases[i].anatomy for i in unseen}
        assert {cases[i].label for i in unseen} == {True, False}


def test_too_few_anatomies_are_refused(cases):
    with pytest.raises(ManifestError, match="5 folds"):
        split_folds(cases, 5, seed=0)


def test_a_mask_without_liver_names_its_line(tmp_path):
    manifest = write_cohort(tmp_path)
    empty = sitk.ReadImage(tmp_path / "mask3.nii.gz") * 0
    sitk.WriteImage(empty, tmp_path / "mask3.nii.gz")
    with pytest.raises(ManifestError, match="Line 5"):
        train(manifest, tmp_path / "model")


def test_training_inputs_differ_each_time_and_are_seeded(cases):
    def draw(seed: int) -> torch.Tensor:
        return draw_training_input(cases[0], SPEC, 3, np.random.default_rng(seed))

    assert draw(1).shape == (3, 2, 32, 32)
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    for seed in range(30):
        x = draw(seed)
        assert torch.isfinite(x).all()
        assert x[:, 0].min() >= -1
        assert 0 <= x[:, 1].min() <= x[:, 1].max() <= 1
        assert x[:, 1].any()


def test_varied_geometry_keeps_image_and_mask_together(cases):
    """Bright voxels of the picture stay the liver's."""
    for seed in range(10):
        x = draw_training_input(cases[0], SPEC, 3, np.random.default_rng(seed))
        if x[:, 1].min() < 0.5:  # not a draw without mask
            assert x[:, 0][x[:, 1] > 0.95].mean() > x[:, 0][x[:, 1] < 0.05].mean() + 0.2


def test_masks_vary_and_are_dropped_now_and_then(cases):
    _, distance = cases[0].arrays()
    distance = torch.from_numpy(distance)[:, None]
    areas = [float(vary_mask(distance, SPEC, np.random.default_rng(seed)).mean()) for seed in range(200)]
    assert 5 < sum(area == 1 for area in areas) < 40
    assert np.std([area for area in areas if area < 1]) > 0.01
    assert min(areas) > 0


def test_slices_are_spread_through_the_liver():
    random = np.random.default_rng(0)
    picks = np.array([draw_slices(24, 8, random) for _ in range(50)])
    assert (np.diff(picks) > 0).all()
    assert (picks // 3 == np.arange(8)).all()
    few = draw_slices(3, 8, random)
    assert (np.diff(few) >= 0).all()
    assert set(few) == {0, 1, 2}


def test_learning_rate_warms_up_and_dies_down():
    rates = [learning_rate(step, 100, Settings()) for step in range(100)]
    assert rates[0] < rates[9] == max(rates)
    assert rates[-1] < 0.001 * max(rates)


def test_rows_of_a_test_split_are_neither_learnt_from_nor_do_they_name_the_positive_class(tmp_path):
    manifest = write_cohort(tmp_path)
    rows = pd.read_csv(manifest, dtype=str, keep_default_na=False).assign(split="train", metavir="")
    rows.loc[[6, 7], ["split", "label_source", "metavir"]] = ["test", "histology", "F4"]
    rows.to_csv(manifest, index=False)
    train(manifest, tmp_path / "model", members=1)
    info = json.loads((tmp_path / "model" / "model.json").read_text())
    assert info["positive_class"] == "LSM > 12 kPa"
    assert info["out_of_fold"]["cases"] < 6, "one fold of two"
    assert info["trained_on"].startswith("6 simulated cases (3 positive)")
    assert "case7" not in (tmp_path / "model" / "folds.json").read_text()
