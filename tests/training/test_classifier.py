"""The training command on a cohort of a few tiny volumes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch

from models.registry import find
from pipeline.case import LIVER
from pipeline.classification import Classifier
from pipeline.classification.predict import read_member
from pipeline.classification.slices import InputSpec
from pipeline.errors import ManifestError, ModelError
from pipeline.training import classifier as training
from pipeline.training.classifier import Settings, learning_rate, split_folds, train_classifier
from pipeline.training.classifier_data import CachedCase, cache_case, draw_slices, draw_training_input, vary_mask
from pipeline.training.classifier_report import SIMULATED_NOTE, Measured, model_card, model_info
from pipeline.training.manifest import read_manifest

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
    assert classifier.info.note == SIMULATED_NOTE
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
        logit, _ = read_member(net, cache_case(index, row, folder / "training" / "slices", SPEC).tensor(SPEC))
        assert 1 / (1 + np.exp(-logit)) == pytest.approx(probabilities[row.patient_id], abs=2e-3)


def test_the_model_card_carries_the_measured_figures_and_the_note(trained):
    folder, measured = trained
    card = (folder / "model" / "MODEL_CARD.md").read_text()
    assert f"{measured.auc[0]:.3f} (95 % interval {measured.auc[1]:.3f} to {measured.auc[2]:.3f})" in card
    assert SIMULATED_NOTE in card
    assert str(folder) not in card


def test_a_real_cohort_carries_no_note(trained):
    folder, measured = trained
    cohort = replace(read_manifest(folder / "manifest.csv"), simulated=False, description="")
    info = model_info(cohort, [], Settings(), SPEC, measured)
    assert info["note"] == ""
    assert "simulated" not in model_card(info, measured)


def test_same_seed_same_weights_also_when_resumed(tmp_path, monkeypatch):
    """Stopped after the first epoch of the second member, then resumed, against a training in one go."""
    manifest = write_cohort(tmp_path)
    once = train(manifest, tmp_path / "once", epochs=2, work=tmp_path / "w1")
    save, saved = training.save_checkpoint, []

    def stop_at_third(*arguments):
        save(*arguments)
        saved.append(arguments)
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_checkpoint", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        train(manifest, tmp_path / "twice", epochs=2, work=tmp_path / "w2")
    assert not (tmp_path / "twice").exists()
    twice = train(manifest, tmp_path / "twice", epochs=2, work=tmp_path / "w2", resume=True)
    assert len(saved) == 4
    pd.testing.assert_frame_equal(once.out_of_fold, twice.out_of_fold)


def test_checkpoints_of_other_settings_are_refused(trained):
    folder, _ = trained
    with pytest.raises(ModelError, match="other settings"):
        train(folder / "manifest.csv", folder / "other", epochs=3, resume=True)


def test_anatomies_never_stand_on_both_sides(cases):
    for seen, unseen in split_folds(cases, Settings(folds=4)):
        assert not {cases[i].anatomy for i in seen} & {cases[i].anatomy for i in unseen}
        assert {cases[i].label for i in unseen} == {True, False}


def test_too_few_anatomies_are_refused(cases):
    with pytest.raises(ManifestError, match="5 folds"):
        split_folds(cases, Settings(folds=5))


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
