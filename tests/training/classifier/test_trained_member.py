"""A member as it ships: calibrated by Platt scaling, rounded, measured on the cases that it has not seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.weights import WEIGHT_BITS, as_stored
from pipeline.classification.predict import predict_member
from pipeline.training.classifier import trained_member
from pipeline.training.classifier.fold import FoldTask, MemberTraining
from pipeline.training.classifier.settings import Settings
from pipeline.training.classifier.trained_member import finish_member
from tests.training.classifier.cohorts import CPU, SPEC, TINY


@pytest.fixture
def run(cases, tmp_path, tiny_backbone) -> MemberTraining:
    torch.manual_seed(0)
    return MemberTraining(FoldTask(0, cases[:4], Settings(backbone=TINY, patch=32), SPEC, CPU, tmp_path / "fold0.pt"))


def test_platt_scaling_is_written_into_the_network(run, cases, monkeypatch):
    fitted = {}

    def platt(labels, logits):
        fitted.update(labels=labels.tolist(), logits=logits.copy())
        return 3.0, 0.5

    monkeypatch.setattr(trained_member, "platt", platt)
    member = finish_member(run, cases[4:])
    assert fitted["labels"] == [case.label for case in cases[4:]]
    assert member.scale_and_shift == (3.0, 0.5)
    np.testing.assert_array_equal(member.raw_logits, fitted["logits"])
    np.testing.assert_allclose(member.logits, 3 * member.raw_logits + 0.5, atol=5e-3)
    shipped = [predict_member(member.net, case.tensor(SPEC))[0] for case in cases[4:]]
    np.testing.assert_array_equal(shipped, member.logits)


def test_what_is_measured_is_what_is_stored(run, cases):
    state = finish_member(run, cases[4:]).net.state_dict()
    assert all(torch.equal(value, as_stored(value, WEIGHT_BITS).to(value.dtype)) for value in state.values())
