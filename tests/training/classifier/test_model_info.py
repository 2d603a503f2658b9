"""What ``model.json`` and card say of a training, from results put together by hand."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from models.registry import find
from pipeline.cohort.manifest import Cohort, read_manifest
from pipeline.statistics import Estimate
from pipeline.training.classifier.card import command, model_card
from pipeline.training.classifier.model_info import LEAK_NOTES, SIMULATED_NOTE, TrainedEnsemble, classifier_info
from pipeline.training.classifier.out_of_fold import OutOfFoldFigures, measure
from pipeline.training.classifier.prepared import PreparedCohort
from pipeline.training.classifier.settings import Settings
from pipeline.training.curve import PICTURE
from tests.training.classifier.cohorts import CPU, SPEC, cases_labelled, make_member, write_cohort

LABELS = [False, False, True, True]
KEYS = [
    "schema",
    "kind",
    "trained_on",
    "simulated",
    "licence",
    "cohort",
    "note",
    "positive_class",
    "threshold",
    "threshold_rule",
    "indeterminate",
    "heat_scale",
    "network",
    "input",
    "out_of_fold",
    "training",
    "manifest_sha256",
    "unseen_anatomies",
    "calibration",
]


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Not simulated, without a description."""
    return read_manifest(write_cohort(tmp_path, anatomies=2, simulated=False))


@pytest.fixture
def ensemble(cohort: Cohort) -> TrainedEnsemble:
    """One member of two folds, whose AUC is not due to chance."""
    logits = [-2.0, -1.0, 1.0, 2.0]
    member = make_member(LABELS, logits, logits)
    figures = replace(measure([member], seed=0), auc=Estimate(0.81, 0.62, 0.93))
    splits = [(np.array([2, 3]), np.array([0, 1])), (np.array([0, 1]), np.array([2, 3]))]
    prepared = PreparedCohort(cohort, "5b1e" * 16, cases_labelled(LABELS), splits)
    return TrainedEnsemble(prepared, [member], figures, Settings(), SPEC, "CC BY 4.0", CPU)


def with_auc(ensemble: TrainedEnsemble, *auc: float) -> TrainedEnsemble:
    figures: OutOfFoldFigures = replace(ensemble.figures, auc=Estimate(*auc))
    return replace(ensemble, figures=figures)


def with_cohort(ensemble: TrainedEnsemble, **changes) -> TrainedEnsemble:
    cohort = replace(ensemble.prepared.cohort, **changes)
    return replace(ensemble, prepared=replace(ensemble.prepared, cohort=cohort))


def test_a_real_cohort_carries_no_note_unless_its_auc_may_be_chance(ensemble):
    assert classifier_info(ensemble).note == ""
    assert classifier_info(ensemble).trained_on == "4 labelled cases (2 positive) from 4 anatomies"
    by_chance = classifier_info(with_auc(ensemble, 0.58, 0.41, 0.75))
    assert by_chance.note == "Out of fold it was not shown to tell more than chance (AUC 0.58)."


def test_simulation_and_leak_tests_are_said(ensemble):
    shuffled = replace(with_cohort(ensemble, simulated=True), settings=Settings(labels="shuffled"))
    assert classifier_info(shuffled).note == f"{SIMULATED_NOTE} {LEAK_NOTES['shuffled']}"
    site = classifier_info(replace(ensemble, settings=Settings(labels="site")))
    assert (site.positive_class, site.note) == ("the first site", LEAK_NOTES["site"])


def test_keys_of_model_json_and_their_order(ensemble):
    zone = replace(ensemble, figures=replace(ensemble.figures, indeterminate=(0.31234567, 0.6)))
    content = classifier_info(zone).to_json()
    assert list(content) == KEYS
    assert content["indeterminate"] == (0.3123, 0.6)
    without = classifier_info(replace(ensemble, figures=replace(ensemble.figures, indeterminate=None))).to_json()
    assert list(without) == [key for key in KEYS if key != "indeterminate"]
    own = ["torch", "timm", "epochs_done", "hours", "device", "command", "diagnostics"]
    assert list(content["training"]) == [*asdict(Settings()), *own]
    assert content["unseen_anatomies"] == {"fold0": ["anatomy0", "anatomy1"], "fold1": ["anatomy2", "anatomy3"]}
    assert content["calibration"] == {"fold0": {"scale": 1.0, "shift": 0.0}}


def test_the_card_says_what_differs_between_trainings(ensemble):
    info = classifier_info(ensemble).to_json()
    card = model_card(info, "boxes")
    assert "from random weights;" in card
    assert "All epochs on all cases outside the fold." in card
    assert "# Fibrosis classifier\n\nResearch use only." in card, "no note, no empty lines"
    other = Settings(patience=3, pretrained="imagenet")
    started = model_card(classifier_info(replace(ensemble, settings=other)).to_json(), "boxes")
    assert "from pretrained weights (imagenet);" in started
    assert "Early stopping after 3 epochs without" in started
    assert "| indeterminate zone | 0.2 to 0.6 |" in model_card(info | {"indeterminate": (0.2, 0.6)}, "boxes")
    info.pop("indeterminate", None)
    assert "| none: one threshold has both that sensitivity and that specificity |" in model_card(info, "boxes")


def test_the_card_names_the_members_that_could_not_be_calibrated(ensemble):
    info = classifier_info(ensemble).to_json()
    fitted = {"fold0": {"scale": 2.0, "shift": 0.1}}
    assert "No scale" not in model_card(info | {"calibration": fitted}, "boxes")
    kept = fitted | {"fold1": {"scale": 1.0, "shift": 0.0}}
    assert "No scale could be fitted for fold1, whose" in model_card(info | {"calibration": kept}, "boxes")


def test_the_card_s_command_repeats_the_training_from_its_settings():
    assert command(Settings()) == "python -m pipeline train-classifier MANIFEST -o MODEL --config training.toml"
    assert command(Settings(pretrained="imagenet")) == command(Settings())
    assert command(Settings(pretrained="sha256:12ab")) == f"{command(Settings())} --pretrained FILE"


def test_the_card_shows_what_attention_adds_and_the_curve_if_there_is_one(ensemble):
    member = replace(ensemble.members[0], diagnostics={"layer1": 0.25, "layer2": 0.01234})
    info = classifier_info(replace(ensemble, members=[member])).to_json()
    assert info["training"]["diagnostics"] == {"fold0": {"layer1": 0.25, "layer2": 0.0123}}
    card = model_card(info, "boxes", "curve.png")
    assert "| stage | fold0 |\n|---|---|\n| layer1 | 0.250 |\n| layer2 | 0.012 |\n\n" in card
    assert "](curve.png)" in card
    assert "learning_curve" not in model_card(info, "boxes")


def test_the_shipped_card_is_that_of_its_model_json():
    shipped = find("fibrosis_t2", "classifier")
    card = model_card(shipped.info, shipped.name, PICTURE)
    assert (shipped.folder / "MODEL_CARD.md").read_text(encoding="utf-8") == card
