"""Figures out of fold, from members whose predictions are given."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from pipeline.training.classifier.out_of_fold import heat_scale, measure, predictions
from tests.training.classifier.cohorts import make_member

LABELS = [False, False, True, True]


def test_the_threshold_is_one_of_calibrated_probabilities():
    """Two members whose raw logits lie on scales so different that no threshold on them divides both."""
    first = make_member(LABELS, [-0.4, -0.2, 0.2, 0.4], [-2.0, -1.0, 1.0, 2.0])
    second = make_member(LABELS, [5.0, 6.0, 8.0, 9.0], [-2.0, -1.0, 1.0, 2.0])
    figures = measure([first, second], seed=0)
    np.testing.assert_allclose(figures.out_of_fold.probability, expit([-2, -1, 1, 2] * 2))
    assert figures.threshold == pytest.approx(0.5)
    assert (figures.sensitivity.value, figures.specificity.value) == (1, 1)
    assert figures.rule == "maximises Youden's index"
    assert figures.indeterminate is None


def test_the_auc_is_of_the_raw_logits():
    member = make_member(LABELS, [3.0, 2.0, 1.0, 0.0], [-2.0, -1.0, 1.0, 2.0])
    figures = measure([member], seed=0)
    assert figures.auc.value == 0
    assert figures.fold_aucs == (0,)


def test_a_target_sensitivity_chooses_the_highest_threshold_that_reaches_it():
    logits = [-3.0, 0.5, -1.0, 1.0]
    figures = measure([make_member(LABELS, logits, logits)], seed=0, target_sensitivity=0.9)
    assert expit(-3) < figures.threshold < expit(-1)
    assert figures.sensitivity.value == 1
    assert figures.rule == "is the highest with a sensitivity of 0.9"


def test_the_heat_scale_is_the_upper_quartile_of_the_positives_that_have_heat():
    table = predictions(make_member([True] * 6 + [False], [0] * 7, [0] * 7), 0)
    table["heat_peak"] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 99.0]
    assert heat_scale(table) == 4
    assert heat_scale(table[table.heat_peak == 0]) == 1
