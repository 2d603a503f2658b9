"""Trainings on hand-crafted features: a planted sign is found, nothing is not, and what is stored predicts the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from models import registry
from models.install import install
from models.registry import find
from pipeline.classification import Classifier
from pipeline.classification.predict import probability_of
from pipeline.cohort.manifest import read_manifest
from pipeline.errors import ManifestError, ModelError
from pipeline.training.classifier.feature_cases import read_case
from pipeline.training.classifier.feature_fit import fit, fit_member
from pipeline.training.classifier.feature_settings import FeatureOptions, FeatureSettings, feature_options
from pipeline.training.classifier.out_of_fold import OutOfFoldFigures
from pipeline.training.classifier.settings import Settings, TrainingOptions
from pipeline.training.classifier.train_features import train_features
from pipeline.trial_run import try_out
from tests.training.classifier.cohorts import CPU, SPEC, cases_labelled, write_cohort


def run(manifest: Path, name: str, **settings: object) -> OutOfFoldFigures:
    folder = manifest.parent
    options = FeatureOptions(FeatureSettings(**{"folds": 2} | settings), SPEC, cache=folder / "cache")
    return train_features(manifest, folder / name, options)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    """12 cases of 6 anatomies: rough inside where positive, and a wider liver in later cases whatever their label."""
    return write_cohort(tmp_path_factory.mktemp("cohort"), anatomies=6)


@pytest.fixture(scope="module")
def fitted(manifest) -> OutOfFoldFigures:
    return run(manifest, "model")


def test_a_planted_texture_is_found_inside_the_liver_and_a_shape_that_is_not_there_is_not(manifest, fitted):
    assert fitted.auc.value > 0.95
    assert fitted.heat_scale is None
    assert run(manifest, "outline", features=("outline",)).auc.value < 0.8


def test_shuffled_labels_are_not_learnt(manifest):
    aucs = [run(manifest, f"shuffled{s}", labels="shuffled", seed=s).auc.value for s in range(3)]
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.2)


def test_the_stored_model_predicts_unseen_cases_as_measured(manifest, fitted):
    folder = manifest.parent / "model"
    unseen = json.loads((folder / "folds.json").read_text())
    rows, probabilities = read_manifest(manifest).rows, fitted.out_of_fold.set_index("patient_id").probability
    for member in ("fold0", "fold1"):
        classifier = Classifier(find(f"{folder}/{member}", "classifier"), CPU)
        for case_id in unseen[member][:2]:
            row = rows[rows.patient_id == case_id].iloc[0]
            case = read_case(Path(row["image"]), Path(row["mask"]), SPEC)
            assert probability_of(case, classifier) == pytest.approx(probabilities[case_id], abs=1e-3)


def test_the_folds_are_those_of_a_network(trained, tmp_path):
    folder, network = trained
    options = FeatureOptions(FeatureSettings(folds=2), SPEC, work=tmp_path / "work")
    features = train_features(folder / "manifest.csv", tmp_path / "model", options)
    folds = [figures.out_of_fold.set_index("patient_id")["fold"].to_dict() for figures in (network, features)]
    assert folds[0] == folds[1]


def test_model_json_and_card_say_what_it_is(manifest, fitted):
    model = find(manifest.parent / "model", "classifier")
    info, card = model.info, (model.folder / "MODEL_CARD.md").read_text()
    assert info["features"] == ["texture"]
    assert len(info["feature_names"]) == 115
    assert not {"network", "heat_scale"} & set(info)
    assert info["training"]["folds"] == 2
    assert info["threshold"] == pytest.approx(fitted.threshold, abs=1e-4)
    assert "No network: 115 hand-crafted features (texture)" in card
    assert "train-classifier MANIFEST -o MODEL --features texture --folds 2`" in card
    assert f"{fitted.auc[0]:.3f} (95 % interval {fitted.auc[1]:.3f} to {fitted.auc[2]:.3f})" in card
    assert "It has no heat map." in card


def test_it_installs(manifest, fitted, tmp_path, monkeypatch):
    monkeypatch.setenv("FIBROREVIEW_MODELS", str(tmp_path))
    assert install(str(manifest.parent / "model"), try_out).info["features"] == ["texture"]
    assert "model" in registry.names("classifier")


def test_a_group_that_needs_the_spleen_names_the_line(manifest):
    with pytest.raises(ManifestError, match=r"Line 2: .*no spleen is outlined"):
        run(manifest, "volumes", features=("volumes",))


def test_cached_features_are_not_computed_again(manifest, fitted, monkeypatch):
    monkeypatch.setattr("pipeline.training.classifier.feature_cases.read_case", None)
    again = run(manifest, "again")
    assert again.out_of_fold.equals(fitted.out_of_fold)


def test_the_penalty_is_chosen_without_the_unseen_cases():
    """One feature tells the label, 60 are noise: a strong penalty generalises, and the choice is near the best one."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2 == 1
    values = random.normal(size=(120, 61))
    values[:, 0] += np.tile(2.0 * labels, 2)
    cases = cases_labelled(labels.tolist())
    member, chosen = fit_member(cases, values[:60], seed=0)
    loss = {
        c: np.mean(np.log1p(np.exp(np.where(labels, -1, 1) * fit(labels, values[:60], c).logits(values[60:]))))
        for c in (chosen, 10.0)
    }
    assert loss[chosen] < loss[10.0]
    assert member.logits(values[60:]) == pytest.approx(fit(labels, values[:60], chosen).logits(values[60:]))
    assert np.corrcoef(expit(member.logits(values[60:])), labels)[0, 1] > 0.4


def test_options_of_a_network_are_refused():
    given = TrainingOptions(Settings(folds=5, seed=2, labels="site"), licence="CC0")
    options = feature_options("outline, volumes", given, None)
    assert options.settings.features == ("outline", "volumes")
    assert (options.settings.folds, options.settings.seed, options.settings.labels) == (5, 2, "site")
    assert options.licence == "CC0"
    with pytest.raises(ModelError, match="must be of texture, outline"):
        feature_options("colour", given, None)
    for other, fold in ((replace(given, settings=Settings(epochs=3)), None), (given, 1)):
        with pytest.raises(ModelError, match="takes no option of a network"):
            feature_options("texture", other, fold)
