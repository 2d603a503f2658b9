"""Whole trainings on a cohort of a few tiny volumes."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from huggingface_hub import ModelCard

from models.install import check
from models.registry import find
from pipeline.classification import Classifier
from pipeline.classification.predict import predict_member
from pipeline.cohort.manifest import read_manifest
from pipeline.cohort.out_of_fold import out_of_fold_members
from pipeline.errors import ManifestError, ModelError
from pipeline.training.classifier.config import read_config
from pipeline.training.classifier.data import cache_case
from pipeline.training.classifier.fold import MemberTraining
from pipeline.training.classifier.model_info import SIMULATED_NOTE
from pipeline.training.classifier.settings import Augmentation, TrainingOptions
from pipeline.training.classifier.train import train_classifier
from tests.training.classifier.cohorts import CPU, SPEC, TINY, train, write_cohort

ALL_CASES = [f"case{i}" for i in range(8)]


def test_a_training_writes_a_classifier_that_says_what_it_is(trained):
    folder, figures = trained
    found = find(folder / "model", "classifier")
    classifier = Classifier(found, CPU)
    assert found.members == ("fold0", "fold1")
    assert classifier.info.note.startswith(SIMULATED_NOTE)
    assert "8 simulated cases (4 positive) from 4 anatomies" in classifier.info.trained_on
    assert classifier.positive_class == "LSM > 12 kPa"
    assert classifier.threshold == pytest.approx(figures.threshold, abs=1e-3)
    assert classifier.heat_scale == pytest.approx(figures.heat_scale, rel=1e-3)


def test_what_was_written_predicts_unseen_cases_as_measured(trained):
    folder, figures = trained
    classifier = Classifier(find(folder / "model", "classifier"), CPU)
    rows = read_manifest(folder / "manifest.csv").rows
    unseen = json.loads((folder / "model" / "folds.json").read_text())
    assert sorted(unseen["fold0"] + unseen["fold1"]) == ALL_CASES
    probabilities = figures.out_of_fold.set_index("patient_id").probability
    for index, row in rows.iterrows():
        net = classifier.networks[row.patient_id in unseen["fold1"]]
        logit, _ = predict_member(net, cache_case(index, row, folder / "model.work" / "slices", SPEC).tensor(SPEC))
        assert 1 / (1 + np.exp(-logit)) == pytest.approx(probabilities[row.patient_id], abs=2e-3)


def test_the_model_card_carries_the_measured_figures_and_the_note(trained):
    folder, figures = trained
    card = (folder / "model" / "MODEL_CARD.md").read_text()
    assert f"{figures.auc[0]:.3f} (95 % interval {figures.auc[1]:.3f} to {figures.auc[2]:.3f})" in card
    assert SIMULATED_NOTE in card
    assert str(folder) not in card
    data = ModelCard(card).data
    assert data.license == "unknown"
    assert {result.metric_type: result.metric_value for result in data.eval_results}["auc"] == round(figures.auc[0], 3)
    info = json.loads((folder / "model" / "model.json").read_text())
    assert info["manifest_sha256"] == hashlib.sha256((folder / "manifest.csv").read_bytes()).hexdigest()
    assert info["manifest_sha256"] in card
    assert "train-classifier MANIFEST -o MODEL --config training.toml`" in card
    assert "](learning_curve.png)" in card
    assert set(info["training"]["diagnostics"]["fold1"]) == {"layer1", "layer2", "logit"}


def test_what_a_training_writes_can_be_installed(trained):
    folder, _ = trained
    tried = []
    assert check(folder / "model", tried.append).members == ("fold0", "fold1")
    assert len(tried) == 2
    assert (folder / "model" / "training.toml").is_file()


def test_same_seed_same_weights_also_when_resumed(tmp_path, monkeypatch, tiny_backbone):
    """Stopped after the first epoch of the second member, then resumed, against a training in one go."""
    manifest, settings = write_cohort(tmp_path), {"epochs": 2, "backbone": TINY}
    once = train(manifest, tmp_path / "once", settings=settings, work=tmp_path / "w1")
    save, saved = MemberTraining.save, []

    def stop_at_third(*arguments):
        save(*arguments)
        saved.append(arguments)
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(MemberTraining, "save", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        train(manifest, tmp_path / "twice", settings=settings, work=tmp_path / "w2")
    assert not (tmp_path / "twice").exists()
    twice = train(manifest, tmp_path / "twice", settings=settings, work=tmp_path / "w2")
    assert len(saved) == 4
    assert sorted(file.name for file in (tmp_path / "w2").glob("*.p*")) == ["fold0.pt", "fold1.pt"]
    pd.testing.assert_frame_equal(once.out_of_fold, twice.out_of_fold)
    weights = [find(tmp_path / name, "classifier").info["sha256"] for name in ("once", "twice")]
    assert weights[0] == weights[1]


def test_the_stored_settings_repeat_a_training(tmp_path, tiny_backbone):
    manifest = write_cohort(tmp_path)
    ranges = Augmentation(noise=0.1, coarser=(0.5, 0.75))
    train(manifest, tmp_path / "once", settings={"backbone": TINY, "seed": 5, "augmentation": ranges})
    config = read_config(tmp_path / "once" / "training.toml")
    assert (config.spec, config.settings.augmentation) == (SPEC, ranges)
    train_classifier(manifest, tmp_path / "again", TrainingOptions(config.settings, config.spec, device="cpu"))
    weights = [find(tmp_path / name, "classifier").info["sha256"] for name in ("once", "again")]
    assert weights[0] == weights[1]


def test_checkpoints_of_other_settings_or_cases_are_refused(tmp_path, tiny_backbone):
    (tmp_path / "other").mkdir()
    manifest, options = write_cohort(tmp_path), {"work": tmp_path / "work"}
    train(manifest, tmp_path / "model", settings={"backbone": TINY}, fold=0, **options)
    with pytest.raises(ModelError, match="other settings"):
        train(manifest, tmp_path / "model", settings={"backbone": TINY, "epochs": 2}, **options)
    with pytest.raises(ModelError, match="or cases"):
        train(write_cohort(tmp_path / "other", anatomies=6), tmp_path / "o", settings={"backbone": TINY}, **options)
    train(manifest, tmp_path / "model", settings={"backbone": TINY, "epochs": 2}, fold=0, resume=False, **options)


def test_folds_trained_one_by_one_make_the_same_model(tmp_path, tiny_backbone):
    manifest, settings = write_cohort(tmp_path), {"backbone": TINY}
    together = train(manifest, tmp_path / "together", settings=settings)
    for fold in (1, 0):
        assert train(manifest, tmp_path / "model", settings=settings, fold=fold) is None
    assert not (tmp_path / "model").exists()
    gathered = train(manifest, tmp_path / "model", settings=settings)
    pd.testing.assert_frame_equal(together.out_of_fold, gathered.out_of_fold)
    with pytest.raises(ModelError, match="0 to 1"):
        train(manifest, tmp_path / "model", settings=settings, fold=2)


def test_a_single_member_is_trained_and_the_other_folds_are_still_known(tmp_path, tiny_backbone):
    figures = train(write_cohort(tmp_path), tmp_path / "model", settings={"backbone": TINY, "members": 1})
    model = find(tmp_path / "model", "classifier")
    assert model.members == ("fold0",)
    unseen = json.loads((tmp_path / "model" / "folds.json").read_text())
    assert sorted(unseen["fold0"] + unseen["fold1"]) == ALL_CASES
    assert sorted(figures.out_of_fold.patient_id) == sorted(unseen["fold0"])
    members = out_of_fold_members(model, {})
    assert members.unseen_members((unseen["fold1"][0],)) is None
    assert members.unseen_members((unseen["fold0"][0],)) is not None


def test_rows_of_a_test_split_are_neither_learnt_from_nor_do_they_name_the_positive_class(tmp_path, tiny_backbone):
    manifest = write_cohort(tmp_path)
    rows = pd.read_csv(manifest, dtype=str, keep_default_na=False).assign(split="train", metavir="")
    rows.loc[[6, 7], ["split", "label_source", "metavir"]] = ["test", "histology", "F4"]
    rows.to_csv(manifest, index=False)
    train(manifest, tmp_path / "model", settings={"backbone": TINY, "members": 1})
    info = json.loads((tmp_path / "model" / "model.json").read_text())
    assert info["positive_class"] == "LSM > 12 kPa"
    assert info["out_of_fold"]["cases"] < 6, "one fold of two"
    assert info["trained_on"].startswith("6 simulated cases (3 positive)")
    assert "case7" not in (tmp_path / "model" / "folds.json").read_text()


def test_a_mask_without_liver_names_its_line(tmp_path):
    manifest = write_cohort(tmp_path)
    empty = sitk.ReadImage(tmp_path / "mask3.nii.gz") * 0
    sitk.WriteImage(empty, tmp_path / "mask3.nii.gz")
    with pytest.raises(ManifestError, match="Line 5"):
        train(manifest, tmp_path / "model")
