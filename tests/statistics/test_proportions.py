"""Proportions and predictive values, against the paper's figures and against chance drawn many times."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from pipeline.statistics.estimate import Z95
from pipeline.statistics.proportions import effective_count, operating_point, predictive_values, proportion, wilson


def test_wilson_matches_the_paper_s_figures():
    assert wilson(14, 18) == pytest.approx((0.778, 0.55, 0.91), abs=0.005)
    assert wilson(4, 5) == pytest.approx((0.8, 0.38, 0.96), abs=0.005)
    assert wilson(18, 23) == pytest.approx((0.783, 0.58, 0.90), abs=0.005)


def test_wilson_has_width_at_the_ends():
    assert wilson(5, 5)[1:] == pytest.approx((0.566, 1.0), abs=0.001)
    assert wilson(0, 5)[1:] == pytest.approx((0.0, 0.434), abs=0.001)
    assert not wilson(0, 0).known


def test_operating_point_counts_as_the_paper_s_table():
    labels = np.repeat([True, False], [18, 5])
    called = np.r_[np.repeat([True, False], [14, 4]), np.repeat([True, False], [1, 4])]
    point = operating_point(labels, called, prevalence=18 / 23)
    assert point.sensitivity.value == pytest.approx(14 / 18)
    assert point.specificity.value == pytest.approx(4 / 5)
    assert point.accuracy == wilson(18, 23)
    assert point.ppv.value == pytest.approx(14 / 15)  # at the sample's own prevalence, counting gives the same
    assert point.npv.value == pytest.approx(4 / 8)


def test_predictive_values_follow_bayes_at_another_prevalence():
    ppv, npv = predictive_values(0.9, 0.8, (100, 100), 0.1)
    assert ppv.value == pytest.approx(0.09 / (0.09 + 0.18))
    assert npv.value == pytest.approx(0.72 / (0.72 + 0.01))
    assert ppv.low < ppv.value < ppv.high
    rarer, _ = predictive_values(0.9, 0.8, (100, 100), 0.01)
    assert rarer.high < ppv.low


def test_predictive_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    truth = 0.2 * 0.85 / (0.2 * 0.85 + 0.8 * 0.3)
    draws = zip(random.binomial(40, 0.85, 2000) / 40, random.binomial(30, 0.7, 2000) / 30, strict=True)
    found = [predictive_values(sens, spec, (40, 30), 0.2)[0] for sens, spec in draws]
    assert 0.935 < np.mean([low < truth < high for _, low, high in found]) < 0.98


@pytest.mark.parametrize(("sensitivity", "specificity"), [(1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_perfect_and_useless_tests_have_intervals_or_none(sensitivity, specificity):
    for estimate in predictive_values(sensitivity, specificity, (8, 6), 0.3):
        assert not estimate.known or 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert not estimate.known or estimate.high - estimate.low > 0.05


def test_without_a_class_nothing_is_estimable_but_the_rest():
    point = operating_point(np.ones(4, bool), np.array([True, True, False, True]), prevalence=0.5)
    assert point.sensitivity.value == 0.75
    assert not point.specificity.known
    assert not point.ppv.known
    assert not point.npv.known


def test_clusters_of_one_case_are_independent_cases():
    right = np.random.default_rng(0).random(30) < 0.8
    # One less, as for any variance, and the price of estimating it from 30 clusters.
    assert effective_count(right, np.arange(30)) == pytest.approx(29 * (Z95 / t.ppf(0.975, 29)) ** 2, abs=0.01)
    assert proportion(right, None) == wilson(int(right.sum()), 30)


def test_cases_that_repeat_each_other_count_once():
    right = np.repeat(np.random.default_rng(0).random(40) < 0.7, 5)
    expected = 39 * (Z95 / t.ppf(0.975, 39)) ** 2
    assert effective_count(right, np.repeat(np.arange(40), 5)) == pytest.approx(expected, abs=0.01)
    assert effective_count(np.ones(200, bool), np.repeat(np.arange(40), 5)) == 40


def test_clustered_interval_covers_the_truth_where_the_plain_one_does_not():
    random, clusters = np.random.default_rng(1), np.repeat(np.arange(30), 6)
    covered = {"plain": 0, "clustered": 0}
    for _ in range(400):
        right = random.random(180) < random.beta(3, 1, 30)[clusters]  # 0.75 on average, differing by cluster
        for name, names in (("plain", None), ("clustered", clusters)):
            _, low, high = proportion(right, names)
            covered[name] += low < 0.75 < high
    assert covered["clustered"] / 400 > 0.92
    assert covered["plain"] / 400 < 0.88
