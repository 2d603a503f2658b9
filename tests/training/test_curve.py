"""Learning curves: what is kept of an interrupted training, and what TensorBoard reads."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.training import curve
from pipeline.training.curve import LearningCurve, curve_file, draw_curves, read_curve


def test_a_resumed_training_drops_what_its_checkpoint_does_not_hold(tmp_path):
    first = LearningCurve(tmp_path, 0, 0, "Dice")
    for step in (50, 100, 150):
        first.add(step, {"loss": step / 100, "liver": 0.9})
    resumed = LearningCurve(tmp_path, 0, 100, "Dice")
    resumed.add(150, {"loss": 7.0})
    rows = read_curve(curve_file(tmp_path, 0))
    assert rows[rows["name"] == "loss"].set_index("step")["value"].to_dict() == {50: 0.5, 100: 1.0, 150: 7.0}
    assert list(rows["step"][rows["name"] == "liver"]) == [50, 100]


def test_tensorboard_reads_loss_and_dice(tmp_path):
    LearningCurve(tmp_path, 1, 0, "Dice").add(50, {"loss": 0.5, "spleen": 0.8})
    events = EventAccumulator(str(tmp_path / "tensorboard" / "fold1")).Reload()
    assert {name: events.Scalars(name)[0].value for name in ("loss", "Dice/spleen")} == pytest.approx(
        {"loss": 0.5, "Dice/spleen": 0.8}
    )
    assert events.Scalars("loss")[0].step == 50


def test_without_tensorboard_the_csv_is_written_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(curve, "find_spec", lambda name: None)
    LearningCurve(tmp_path, 0, 0, "Dice").add(50, {"loss": 0.5})
    assert len(read_curve(curve_file(tmp_path, 0))) == 1
    assert not (tmp_path / "tensorboard").exists()


def test_the_picture_shows_every_member(tmp_path):
    for fold in (0, 1):
        LearningCurve(tmp_path, fold, 0, "Dice").add(50, {"loss": 0.5, "liver": 0.9})
    draw_curves(tmp_path, 2, tmp_path / "curve.png", score="Dice")
    picture = sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "curve.png"))
    assert picture.shape[1] > 2 * picture.shape[0]
    assert np.ptp(picture) > 100


def test_no_picture_without_a_curve(tmp_path):
    draw_curves(tmp_path, 2, tmp_path / "curve.png", score="Dice")
    assert not (tmp_path / "curve.png").exists()
