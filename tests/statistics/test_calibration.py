"""Calibration, against scikit-learn and against probabilities that were bent in a known way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from pipeline.errors import ScoreError
from pipeline.statistics.calibration import (
    brier,
    calibration_bins,
    calibration_error,
    calibration_test,
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
    assert calibration_error(*honest) < 0.03
    assert calibration_test(*honest, seed=0) > 0.05


def test_intercept_makes_the_mean_probability_that_of_the_outcomes(honest):
    labels, probabilities = honest[0], expit(log_odds(honest[1]) - 0.7)
    moved = expit(log_odds(probabilities) + intercept(labels, probabilities))
    assert moved.mean() == pytest.approx(labels.mean(), abs=1e-8)


def test_probabilities_bent_in_a_known_way_are_found_out(honest):
    labels, odds = honest[0], log_odds(honest[1])
    assert slope(labels, expit(2 * odds)) == pytest.approx(slope(labels, expit(odds)) / 2, rel=1e-6)
    shifted = intercept(labels, expit(odds + 1))
    assert shifted == pytest.approx(intercept(labels, expit(odds)) - 1, rel=1e-6)
    assert calibration_error(labels, expit(odds + 1)) > 0.1
    assert calibration_test(labels, expit(odds + 1), seed=0) < 0.001


def test_the_calibration_error_by_hand():
    """Two bins: shares 1/5 and 4/5 at mean probabilities 0.3 and 0.9; 0.16 / 4 is the variance of a share."""
    labels = np.array([False] * 4 + [True] * 5 + [False])
    probabilities = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.8, 0.9, 0.9, 0.9, 1.0])
    square = (0.1**2 - 0.16 / 4) / 2 + (0.1**2 - 0.16 / 4) / 2
    assert square < 0
    assert calibration_error(labels, probabilities) == 0
    far = np.clip(probabilities - 0.4, 0, 1)
    square = ((far[:5].mean() - 0.2) ** 2 - 0.04 + (far[5:].mean() - 0.8) ** 2 - 0.04) / 2
    assert calibration_error(labels, far) == pytest.approx(math.sqrt(square))
    assert math.isnan(calibration_error(labels[:4], probabilities[:4]))


def outcomes(random: np.random.Generator, probabilities: np.ndarray, anatomies: np.ndarray | None) -> np.ndarray:
    """Outcomes with these probabilities; with anatomies, those of one err together (a Gaussian copula)."""
    if anatomies is None:
        return random.random(len(probabilities)) < probabilities
    shared = random.normal(size=anatomies.max() + 1)[anatomies]
    return norm.cdf(math.sqrt(0.1) * shared + math.sqrt(0.9) * random.normal(size=len(anatomies))) < probabilities


def rejections(bend: float, shift: float, *, repetitions: int, clustered: bool = False) -> float:
    """Share of simulations of 23 cases where the test is below 0.05, for log odds that are bent and shifted."""
    random = np.random.default_rng(1)
    found = 0
    for _ in range(repetitions):
        odds = random.normal(0.3, 1.2, 23)
        anatomies = random.integers(0, 9, 23) if clustered else None
        labels = outcomes(random, expit(odds), anatomies)
        found += calibration_test(labels, expit(bend * odds + shift), anatomies, seed=0, draws=400) <= 0.05
    return found / repetitions


@pytest.mark.parametrize("clustered", [False, True])
def test_at_23_cases_a_calibrated_model_is_rejected_one_time_in_twenty(clustered):
    """Within three standard errors, 0.9 % each."""
    assert 0.023 <= rejections(1, 0, repetitions=600, clustered=clustered) <= 0.077


@pytest.mark.parametrize(("bend", "shift"), [(1, 1.5), (3, 0), (-1, 0)])
def test_at_23_cases_a_badly_calibrated_model_is_found(bend, shift):
    assert rejections(bend, shift, repetitions=100) > 0.7


def test_the_squared_error_of_a_calibrated_model_is_zero_on_average_at_23_cases():
    """The usual error's square is 0.07 there; the root cuts what is below 0, so it is the square that is unbiased."""
    random, errors = np.random.default_rng(2), []
    for _ in range(400):
        probabilities = expit(random.normal(0.3, 1.2, 23))
        errors.append(calibration_error(random.random(23) < probabilities, probabilities))
    assert np.mean(np.array(errors) == 0) > 0.4


@pytest.mark.parametrize("function", [brier, slope, intercept, calibration_error, calibration_bins])
def test_a_probability_that_is_no_number_is_an_error(function):
    with pytest.raises(ScoreError, match="1 of 6 scores"):
        function(np.array([True, False] * 3), np.array([0.2, math.nan, 0.4, 0.5, 0.6, 0.7]))


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


def test_too_few_clusters_give_no_p():
    labels = np.arange(60) % 2 == 0
    wrong = np.where(labels, 0.01, 0.99)
    assert np.isnan(calibration_test(labels, wrong, np.arange(60) % 5, seed=0))
    assert calibration_test(labels, wrong, np.arange(60) % 8, seed=0) < 0.05
