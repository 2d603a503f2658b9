"""The stream of training batches: the same from any number of workers, and from wherever a training resumes."""

from __future__ import annotations

import pytest
import torch

from pipeline.training.classifier.batches import TrainingSamples, steps_per_epoch, training_batches
from pipeline.training.classifier.settings import Settings
from tests.training.classifier.cohorts import CPU, SPEC

SETTINGS = Settings(slices=2, patch=32, batch=3, epochs=2)


@pytest.fixture
def samples(cases) -> TrainingSamples:
    return TrainingSamples(cases, SETTINGS, SPEC, fold=1)


def stream(samples: TrainingSamples, first_epoch: int = 0, workers: int = 0) -> list[torch.Tensor]:
    return [slices for slices, _ in training_batches(samples, first_epoch, workers, CPU)]


def test_every_epoch_holds_every_case_once_in_another_order(samples, cases):
    batches = list(training_batches(samples, 0, 0, CPU))
    assert [len(labels) for _, labels in batches] == [3, 3, 2] * 2
    assert batches[0][0].shape == (3, 2, 2, 32, 32)
    for epoch in (batches[:3], batches[3:]):
        assert sum(labels.sum() for _, labels in epoch) == sum(case.label for case in cases)
    assert not torch.equal(batches[0][0], batches[3][0])


def test_workers_change_nothing(samples):
    alone, together = stream(samples), stream(samples, workers=2)
    assert len(alone) == len(together)
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def test_a_resumed_stream_is_the_rest_of_an_uninterrupted_one(samples):
    whole, rest = stream(samples), stream(samples, first_epoch=1)
    assert all(torch.equal(one, other) for one, other in zip(whole[3:], rest, strict=True))


def test_folds_and_cases_draw_different_numbers(samples, cases):
    x, _ = samples[0, 0]
    assert torch.equal(x, samples[0, 0][0])
    assert not torch.equal(x, samples[1, 0][0])
    assert not torch.equal(x, TrainingSamples(cases, SETTINGS, SPEC, fold=2)[0, 0][0])
    assert not torch.equal(x, TrainingSamples([cases[0]] * 2, SETTINGS, SPEC, fold=1)[0, 1][0])


def test_no_batch_holds_a_single_case():
    for batch in (2, 3, 8):
        settings = Settings(batch=batch)
        assert all(cases // steps_per_epoch(cases, settings) >= 2 for cases in range(2, 40))
