"""Calibration, against scikit-learn and against probabilities that were bent in a known way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from pipeline.statistics.calibration import (
    brier,
    calibration_bins,
    expected_calibration_error,
    intercept,
    log_odds,
    slope,
)


@pytest.fixture
def honest() -> tuple[np.ndarray, np.ndarray]:
    """4000 outcomes drawn with the probabilities that are given with them."""
    random = np.random.default_rng(0)
    probabilities = expit(random.normal(-0.5, 1.5, 4000))
    return random.random(4000) < probabilities, probabilities


def test_brier_is_scikit_learn_s(honest):
    assert brier(*honest) == pytest.approx(brier_score_loss(*honest))


def test_slope_is_that_of_an_unpenalised_logistic_regression(honest):
    labels, probabilities = honest[0][:150], honest[1][:150]
    fit = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000).fit(log_odds(probabilities)[:, None], labels)
    assert slope(labels, probabilities) == pytest.approx(float(fit.coef_[0, 0]), rel=1e-4)


def test_honest_probabilities_are_calibrated(honest):
    assert slope(*honest) == pytest.approx(1, abs=0.12)
    assert intercept(*honest) == pytest.approx(0, abs=0.1)
    assert expected_calibration_error(*honest) < 0.03


def test_intercept_makes_the_mean_probability_that_of_the_outcomes(honest):
    labels, probabilities = honest[0], expit(log_odds(honest[1]) - 0.7)
    moved = expit(log_odds(probabilities) + intercept(labels, probabilities))
    assert moved.mean() == pytest.approx(labels.mean(), abs=1e-8)


def test_probabilities_bent_in_a_known_way_are_found_out(honest):
    labels, odds = honest[0], log_odds(honest[1])
    assert slope(labels, expit(2 * odds)) == pytest.approx(slope(labels, expit(odds)) / 2, rel=1e-6)
    shifted = intercept(labels, expit(odds + 1))
    assert shifted == pytest.approx(intercept(labels, expit(odds)) - 1, rel=1e-6)
    assert expected_calibration_error(labels, expit(odds + 1)) > 0.1


def test_ece_by_hand():
    labels = np.array([True, False, True, True])
    probabilities = np.array([0.05, 0.06, 0.92, 1.0])
    assert expected_calibration_error(labels, probabilities) == pytest.approx((1 - 0.11 + 2 - 1.92) / 4)


def test_bins_hold_every_case_once_with_its_interval(honest):
    bins = calibration_bins(*honest)
    assert sum(part.cases for part in bins) == 4000
    assert all(part.observed.low <= part.observed.value <= part.observed.high for part in bins)
    assert sum(part.observed.low < part.predicted < part.observed.high for part in bins) >= 8


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [
        ([False, False, True, True], [0.1, 0.4, 0.4, 0.9]),  # divided by one cut, a tie on it
        ([False, True, False, True], [0.9, 0.2, 0.8, 0.1]),
        ([True, True, True], [0.1, 0.5, 0.9]),
        ([True, False, True], [0.3, 0.3, 0.3]),
    ],
)
def test_a_slope_without_a_maximum_is_not_given(labels, probabilities):
    assert math.isnan(slope(np.array(labels), np.array(probabilities)))


def test_certain_probabilities_do_not_break_the_regression():
    labels = np.array([True, False, True, False, True, False])
    assert math.isfinite(slope(labels, np.array([1.0, 0.0, 0.0, 0.3, 0.7, 1.0])))
    assert math.isnan(intercept(np.zeros(3, bool), np.array([0.0, 0.5, 1.0])))
    assert math.isnan(brier(np.zeros(0, bool), np.zeros(0)))
