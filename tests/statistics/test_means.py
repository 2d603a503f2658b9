"""The interval of a mean, of independent and of related cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pipeline.statistics.means import mean_interval


def test_independent_cases_have_students_interval():
    values = np.random.default_rng(0).normal(0.9, 0.05, 12)
    low, high = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert mean_interval(values, np.arange(12)) == pytest.approx((values.mean(), low, high))


def test_copies_of_a_case_tell_no_more_than_the_case():
    values = np.random.default_rng(1).normal(0.9, 0.05, 6)
    copied = mean_interval(np.repeat(values, 20), np.repeat(np.arange(6), 20))
    assert copied == pytest.approx(mean_interval(values, np.arange(6)))


@pytest.mark.parametrize("spread_between", [0.0, 0.05])
def test_the_interval_holds_the_truth_as_often_as_it_says(spread_between):
    rng, hits = np.random.default_rng(2), 0
    clusters = np.repeat(np.arange(8), 10)
    for _ in range(400):
        values = 0.9 + rng.normal(0, spread_between, 8)[clusters] + rng.normal(0, 0.05, 80)
        _, low, high = mean_interval(values, clusters)
        hits += low <= 0.9 <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_one_anatomy_has_no_interval_and_no_case_no_mean():
    assert np.isnan(mean_interval(np.array([0.9, 0.8]), np.array(["a", "a"])).low)
    assert not mean_interval(np.array([]), np.array([])).known
