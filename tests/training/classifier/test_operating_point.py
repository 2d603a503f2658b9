"""Scale and operating point of a classifier, against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.classifier.operating_point import (
    indeterminate_zone,
    platt,
    threshold_at_sensitivity,
    threshold_at_specificity,
    youden_threshold,
)


def test_threshold_lies_between_the_classes():
    labels = np.array([False, False, False, True, True])
    assert youden_threshold(labels, np.array([0.1, 0.2, 0.3, 0.7, 0.9])) == pytest.approx(0.5)


def test_target_sensitivity_takes_the_highest_cut_that_keeps_it():
    labels = np.repeat([False, True], 10)
    probabilities = np.concatenate([np.linspace(0.05, 0.5, 10), np.linspace(0.32, 0.95, 10)])
    for target in (0.5, 0.8, 0.9, 1.0):
        cut = threshold_at_sensitivity(labels, probabilities, target)
        assert (probabilities[labels] >= cut).mean() >= target
        higher = probabilities[probabilities > cut].min()
        assert (probabilities[labels] > higher).mean() < target
    cut = threshold_at_specificity(labels, probabilities, 0.9)
    assert (probabilities[~labels] < cut).mean() == pytest.approx(0.9)


def test_indeterminate_zone_keeps_both_promises_and_holds_the_threshold():
    random = np.random.default_rng(3)
    labels = np.repeat([False, True], 300)
    probabilities = 1 / (1 + np.exp(-random.normal(np.where(labels, 0.8, -0.8), 1)))
    low, high = indeterminate_zone(labels, probabilities, 0.5)
    assert (probabilities[labels] >= low).mean() == pytest.approx(0.9, abs=0.005)
    assert (probabilities[~labels] < high).mean() == pytest.approx(0.9, abs=0.005)
    assert low < 0.5 < high
    assert indeterminate_zone(labels, probabilities, 0.01) == (0.01, high)
    assert indeterminate_zone(labels, probabilities, 0.99) == (low, 0.99)


def test_classes_far_apart_leave_no_indeterminate_zone():
    labels = np.repeat([False, True], 20)
    assert indeterminate_zone(labels, np.where(labels, 0.9, 0.1) + np.linspace(0, 0.01, 40), 0.5) is None


def test_platt_recovers_scale_and_shift_and_never_turns_round():
    random = np.random.default_rng(2)
    logits = random.normal(0, 2, 4000)
    labels = random.random(4000) < 1 / (1 + np.exp(-(0.5 * logits + 1)))
    scale, shift = platt(labels, logits)
    assert (scale, shift) == pytest.approx((0.5, 1.0), abs=0.1)
    assert platt(~labels, logits) == (1.0, 0.0)


def test_a_classifier_worse_than_chance_still_gets_a_probability_for_a_threshold():
    labels, probabilities = np.array([True, True, False, False]), np.array([0.1, 0.2, 0.8, 0.9])
    assert youden_threshold(labels, probabilities) == pytest.approx(0.1)
