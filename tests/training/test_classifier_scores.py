"""Figures of a classifier, against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.classifier_scores import auc_with_interval, platt, wilson, youden_threshold


def test_auc_and_interval_hold_the_truth():
    random = np.random.default_rng(0)
    labels = np.repeat([False, True], 200)
    scores = random.normal(0, 1, 400) + labels  # AUC = Phi(1 / sqrt 2) = 0.760
    auc, low, high = auc_with_interval(labels, scores, np.arange(400).astype(str), seed=0, draws=500)
    assert auc == pytest.approx(0.76, abs=0.05)
    assert low < 0.76 < high
    assert high - low == pytest.approx(4 * 0.0235, rel=0.25)


def test_interval_widens_where_cases_come_from_few_anatomies():
    random = np.random.default_rng(1)
    anatomy = np.repeat(np.arange(20), 20)
    labels = np.tile([False, True], 200)
    scores = random.normal(0, 2, 20)[anatomy] * np.where(labels, 1, -1) + random.normal(0, 0.2, 400)
    single = auc_with_interval(labels, scores, np.arange(400).astype(str), seed=0, draws=300)
    grouped = auc_with_interval(labels, scores, anatomy.astype(str), seed=0, draws=300)
    assert grouped[2] - grouped[1] > 2 * (single[2] - single[1])


def test_threshold_lies_between_the_classes():
    labels = np.array([False, False, False, True, True])
    assert youden_threshold(labels, np.array([0.1, 0.2, 0.3, 0.7, 0.9])) == pytest.approx(0.5)


def test_platt_recovers_scale_and_shift_and_never_turns_round():
    random = np.random.default_rng(2)
    logits = random.normal(0, 2, 4000)
    labels = random.random(4000) < 1 / (1 + np.exp(-(0.5 * logits + 1)))
    scale, shift = platt(labels, logits)
    assert (scale, shift) == pytest.approx((0.5, 1.0), abs=0.1)
    assert platt(~labels, logits) == (1.0, 0.0)


def test_wilson_matches_the_paper_s_figures():
    assert wilson(14, 18) == pytest.approx((0.778, 0.55, 0.91), abs=0.005)
    assert wilson(4, 5) == pytest.approx((0.8, 0.38, 0.96), abs=0.005)
