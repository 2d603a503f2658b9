"""Training of one member: what it minimises, when it stops, how fast it learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from models.network_names import BACKBONES
from pipeline.training.classifier import fold as classifier_fold
from pipeline.training.classifier.batches import TrainingSamples, training_batches
from pipeline.training.classifier.data import CachedCase
from pipeline.training.classifier.fold import FoldTask, MemberTraining, learning_rate, train_epoch, train_fold
from pipeline.training.classifier.settings import Settings
from pipeline.training.classifier.split import split_inner
from pipeline.training.curve import curve_file, read_curve
from tests.training.classifier.cohorts import CPU, SPEC, TINY


@pytest.mark.parametrize(("positives", "negatives"), [(1, 3), (4, 2)])
def test_the_rarer_class_weighs_as_much_as_the_other(cases, tmp_path, tiny_backbone, positives, negatives):
    """At a logit of 0 each case costs ln 2: a class weighted up to the other's size adds as much as that."""
    positive, negative = ([case for case in cases if case.label is label] for label in (True, False))
    drawn = positive[:positives] + negative[:negatives]
    settings = Settings(backbone=TINY, slices=2, patch=32, smoothing=0.0)
    run = MemberTraining(FoldTask(0, drawn, settings, SPEC, CPU, tmp_path / "fold0.pt"))
    torch.nn.init.zeros_(run.net.head.weight)
    torch.nn.init.zeros_(run.net.head.bias)
    batches = training_batches(TrainingSamples(drawn, settings, SPEC, 0), 0, 0, CPU)
    assert train_epoch(run, batches, drawn) == pytest.approx(2 * negatives * math.log(2) / len(drawn), rel=1e-5)


def test_training_stops_when_the_inner_fold_no_longer_improves(cases, tmp_path, monkeypatch, tiny_backbone):
    """The inner fold's loss falls twice, then rises: three epochs of patience later the second epoch's weights stay."""
    losses, weights = iter([0.9, 0.7, 0.8, 0.8, 0.8, 0.1]), []
    predicted = classifier_fold.predicted

    def noted(net, *inputs):
        weights.append(net.head.weight.clone())
        return predicted(net, *inputs)

    def judged(logits, stopping):
        assert not {case.anatomy for case in stopping} & {case.anatomy for case in learned}
        return next(losses)

    learned: list[CachedCase] = []
    monkeypatch.setattr(classifier_fold, "balanced_loss", judged)
    monkeypatch.setattr(classifier_fold, "predicted", noted)
    learned += split_inner(cases, 0)[0]
    settings = Settings(backbone=TINY, epochs=9, patience=3, slices=2, patch=32)
    task = FoldTask(0, cases, settings, SPEC, CPU, tmp_path / "fold0.pt")
    run = train_fold(task)
    assert (run.epochs, run.best_epoch) == (5, 2)
    assert torch.equal(run.result().head.weight, weights[1])
    again = train_fold(task)
    assert again.epochs == 5
    assert torch.equal(again.result().head.weight, weights[1])


def test_the_inner_fold_s_loss_weighs_both_classes_equally(cases):
    drawn = cases[:5] + [case for case in cases[5:] if not case.label]
    loss = classifier_fold.balanced_loss(np.array([2.0 if case.label else -1.0 for case in drawn]), drawn)
    assert loss == pytest.approx((math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2)


def test_learning_rate_warms_up_and_dies_down():
    rates = [learning_rate(step, 100, Settings()) for step in range(100)]
    assert rates[0] < rates[9] == max(rates)
    assert rates[-1] < 0.001 * max(rates)


def test_the_default_backbone_is_one_of_those_there_are():
    assert Settings.backbone in BACKBONES


def test_the_curve_holds_loss_and_auc_by_epoch_and_changes_no_weights(cases, tmp_path, tiny_backbone):
    """The unseen cases are for the eye: a training that is shown none of them ends with the same weights."""
    settings = Settings(backbone=TINY, epochs=2, patience=2, slices=2, patch=32)
    learned, unseen = cases[:4], cases[4:]
    seeing = FoldTask(0, learned, settings, SPEC, CPU, tmp_path / "seeing" / "fold0.pt", unseen=unseen)
    blind = FoldTask(0, learned, settings, SPEC, CPU, tmp_path / "blind" / "fold0.pt")
    states = [train_fold(task).result().state_dict() for task in (seeing, blind)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    curve = read_curve(curve_file(tmp_path / "seeing", 0))
    assert list(zip(curve["step"], curve["name"], strict=True)) == [
        *((1, name) for name in ("loss", "inner_fold")),
        *((2, name) for name in ("loss", "inner_fold", "held_out")),  # the last epoch, else every fourth
    ]
    assert curve["value"][curve["name"] != "loss"].between(0, 1).all()


def test_a_curve_takes_as_many_slices_as_a_training_sample():
    x = torch.arange(24.0)[:, None, None, None]
    assert classifier_fold.evenly(x, 4).flatten().tolist() == [0, 8, 15, 23]
    assert len(classifier_fold.evenly(x[:2], 4)) == 2
