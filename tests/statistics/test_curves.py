"""ROC and decision curves, and the bootstrap below them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from pipeline.statistics.auc import auc
from pipeline.statistics.bootstrap import bootstrap_interval, cluster_draws
from pipeline.statistics.curves import decision_curve, roc_band, roc_points


@pytest.fixture
def cases() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = random.random(120) < 0.4
    return labels, np.round(random.normal(labels, 1), 1)


def test_roc_is_scikit_learn_s_and_its_area_the_auc(cases):
    labels, scores = cases
    false, true = roc_points(labels, scores)
    expected = roc_curve(labels, scores, drop_intermediate=False)
    assert false == pytest.approx(expected[0])
    assert true == pytest.approx(expected[1])
    assert np.trapezoid(true, false) == pytest.approx(auc(labels, scores))


def test_band_holds_the_curve_and_widens_with_clusters(cases):
    labels, scores = cases
    band = roc_band(labels, scores, np.arange(120), seed=0, draws=300)
    assert (band.low <= band.y + 1e-9).mean() > 0.95
    assert (band.high >= band.y - 1e-9).mean() > 0.95
    assert band.y[-1] == band.low[-1] == 1
    few = roc_band(labels, scores, np.arange(120) // 20, seed=0, draws=300)
    assert not np.array_equal(few.low, band.low)


def test_band_of_perfect_scores_is_the_curve_itself():
    labels = np.repeat([False, True], 5)
    band = roc_band(labels, labels.astype(float), np.arange(10), seed=0, draws=100)
    assert (band.y == 1).all()
    assert (band.low == 1).all()


def test_net_benefit_by_hand():
    labels, probabilities = np.array([True, True, False, False, False]), np.array([0.9, 0.3, 0.6, 0.2, 0.1])
    curve = decision_curve(labels, probabilities, np.array([0.25, 0.5]))
    assert curve.model == pytest.approx([2 / 5 - 1 / 5 / 3, 1 / 5 - 1 / 5])
    assert curve.all_positive == pytest.approx([2 / 5 - 3 / 5 / 3, 2 / 5 - 3 / 5])
    rare = decision_curve(labels, probabilities, np.array([0.25]), prevalence=0.1)
    assert rare.model == pytest.approx([0.1 - 0.9 / 3 / 3])


def test_draws_take_whole_clusters_and_repeat_with_the_seed():
    clusters = np.array(["a", "b", "a", "c", "b", "a"])
    for cases in cluster_draws(clusters, seed=4, draws=50):
        counts = np.bincount(cases, minlength=6)
        assert counts[0] == counts[2] == counts[5]
        assert counts[1] == counts[4]
        assert counts[0] + counts[1] + counts[3] == 3
    again = [list(cases) for cases in cluster_draws(clusters, seed=4, draws=50)]
    assert again == [list(cases) for cases in cluster_draws(clusters, seed=4, draws=50)]
    assert again != [list(cases) for cases in cluster_draws(clusters, seed=5, draws=50)]


def test_bootstrap_interval_of_a_mean_is_the_known_one():
    values = np.random.default_rng(0).normal(10, 2, 200)
    found = bootstrap_interval(lambda cases: float(values[cases].mean()), np.arange(200), seed=0)
    half = 1.96 * values.std() / math.sqrt(200)
    assert found == pytest.approx((values.mean(), values.mean() - half, values.mean() + half), abs=0.05)


def test_too_few_usable_draws_give_no_interval():
    found = bootstrap_interval(lambda cases: 1.0 if len(set(cases)) == 5 else math.nan, np.arange(5), seed=0, draws=200)
    assert found.value == 1
    assert not found.bounded
    assert not bootstrap_interval(lambda cases: math.nan, np.arange(5), seed=0, draws=10).known
