"""Training of one member: what it minimises, when it stops, how fast it learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from models.network_names import BACKBONES
from pipeline.training.classifier import fold as classifier_fold
from pipeline.training.classifier.data import CachedCase
from pipeline.training.classifier.fold import FoldTask, MemberTraining, learning_rate, train_epoch, train_fold
from pipeline.training.classifier.settings import Settings
from pipeline.training.classifier.split import split_inner
from tests.training.classifier.cohorts import CPU, SPEC, TINY


@pytest.mark.parametrize(("positives", "negatives"), [(1, 3), (4, 2)])
def test_the_rarer_class_weighs_as_much_as_the_other(cases, tmp_path, tiny_backbone, positives, negatives):
    """At a logit of 0 each case costs ln 2: a class weighted up to the other's size adds as much as that."""
    positive, negative = ([case for case in cases if case.label is label] for label in (True, False))
    drawn = positive[:positives] + negative[:negatives]
    settings = Settings(backbone=TINY, slices=2, smoothing=0.0)
    run = MemberTraining(FoldTask(0, drawn, settings, SPEC, CPU, tmp_path / "fold0.pt"))
    torch.nn.init.zeros_(run.net.head.weight)
    torch.nn.init.zeros_(run.net.head.bias)
    assert train_epoch(run, drawn) == pytest.approx(2 * negatives * math.log(2) / len(drawn), rel=1e-5)


def test_training_stops_when_the_inner_fold_no_longer_improves(cases, tmp_path, monkeypatch, tiny_backbone):
    """The inner fold's loss falls twice, then rises: three epochs of patience later the second epoch's weights stay."""
    losses, weights = iter([0.9, 0.7, 0.8, 0.8, 0.8, 0.1]), []

    def judged(net, stopping, *_):
        assert not {case.anatomy for case in stopping} & {case.anatomy for case in learned}
        weights.append(net.head.weight.clone())
        return next(losses)

    learned: list[CachedCase] = []
    monkeypatch.setattr(classifier_fold, "balanced_loss", judged)
    learned += split_inner(cases, 0)[0]
    settings = Settings(backbone=TINY, epochs=9, patience=3, slices=2)
    task = FoldTask(0, cases, settings, SPEC, CPU, tmp_path / "fold0.pt")
    run = train_fold(task)
    assert (run.epochs, run.best_epoch) == (5, 2)
    assert torch.equal(run.result().head.weight, weights[1])
    again = train_fold(task)
    assert again.epochs == 5
    assert torch.equal(again.result().head.weight, weights[1])


def test_the_inner_fold_s_loss_weighs_both_classes_equally(cases, monkeypatch):
    logits = {case.case_id: 2.0 if case.label else -1.0 for case in cases}
    drawn = cases[:5] + [case for case in cases[5:] if not case.label]
    answers = iter([(logits[case.case_id], np.ones(1)) for case in drawn])
    monkeypatch.setattr(classifier_fold, "predict_member", lambda net, x: next(answers))
    loss = classifier_fold.balanced_loss(torch.nn.Identity(), drawn, SPEC, CPU)
    assert loss == pytest.approx((math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2)


def test_learning_rate_warms_up_and_dies_down():
    rates = [learning_rate(step, 100, Settings()) for step in range(100)]
    assert rates[0] < rates[9] == max(rates)
    assert rates[-1] < 0.001 * max(rates)


def test_the_default_backbone_is_one_of_those_there_are():
    assert Settings.backbone in BACKBONES
