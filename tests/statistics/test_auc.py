"""AUC with intervals, against published values, brute force, the jackknife and scikit-learn."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from pipeline.errors import ScoreError
from pipeline.statistics.auc import (
    CLUSTERED,
    DELONG,
    NEWCOMBE,
    auc,
    auc_interval,
    auc_with_interval,
    compare_aucs,
    delong,
    newcombe,
)
from pipeline.statistics.estimate import Z95
from tests.shared import shared_path


@pytest.fixture
def asah() -> tuple[np.ndarray, dict[str, np.ndarray], dict]:
    """Outcome and three tests of 113 patients, and what pROC says of them."""
    table = pd.read_csv(shared_path("reader_study/pROC_aSAH.csv"))
    expected = json.loads(shared_path("reader_study/expected.json").read_text())["pROC_aSAH"]
    scores = {name: table[name].to_numpy(float) for name in ("wfns", "s100b", "ndka")}
    return (table.outcome == "Poor").to_numpy(), scores, expected


@pytest.fixture
def tied() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores in steps of 1, and clusters of about three cases."""
    random = np.random.default_rng(3)
    labels = random.random(60) < 0.4
    return labels, np.round(random.normal(labels * 1.5, 2)), random.integers(0, 20, 60)


def test_aucs_and_delong_intervals_are_the_published_ones(asah):
    labels, scores, expected = asah
    aucs, covariance = delong(labels, np.stack(list(scores.values())))
    for number, name in enumerate(scores):
        half = Z95 * math.sqrt(covariance[number, number])
        assert aucs[number] == pytest.approx(expected["auc"][name], abs=1e-12)
        assert [aucs[number] - half, aucs[number] + half] == pytest.approx(expected["ci95_delong"][name], abs=1e-9)


@pytest.mark.parametrize("pair", ["wfns-s100b", "wfns-ndka", "ndka-s100b"])
def test_paired_test_is_the_published_one(asah, pair):
    labels, scores, expected = asah
    first, second = pair.split("-")
    found, published = compare_aucs(labels, scores[first], scores[second]), expected["paired"][pair]
    assert (found.z, found.p) == pytest.approx((published["z"], published["p"]), abs=1e-10)
    assert found.difference[1:] == pytest.approx(published["ci"], abs=1e-9)


def test_auc_is_scikit_learn_s_with_ties(tied):
    labels, scores, _ = tied
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))


def test_variance_is_that_of_every_pair_written_out(tied):
    """DeLong's definition by brute force: psi of all pairs, means over rows and columns, their variances."""
    labels, scores, _ = tied
    positive, negative = scores[labels][:, None], scores[~labels][None]
    psi = (positive > negative) + 0.5 * (positive == negative)
    variance = psi.mean(axis=1).var(ddof=1) / labels.sum() + psi.mean(axis=0).var(ddof=1) / (~labels).sum()
    assert delong(labels, scores)[1][0, 0] == pytest.approx(variance, rel=1e-12)


def test_clustered_variance_is_near_the_jackknife_over_clusters():
    """Many small clusters whose cases are alike: leaving clusters out one by one knows nothing of placements."""
    random = np.random.default_rng(0)
    clusters = np.repeat(np.arange(150), 3)
    labels = (random.random(150) < 0.5)[clusters] ^ (random.random(450) < 0.1)
    scores = random.normal(labels * 1.0, 1) + random.normal(0, 2, 150)[clusters]
    left_out = np.array([auc(labels[clusters != name], scores[clusters != name]) for name in range(150)])
    jackknife = 149 / 150 * ((left_out - left_out.mean()) ** 2).sum()
    assert delong(labels, scores, clusters)[1][0, 0] == pytest.approx(jackknife, rel=0.03)
    assert delong(labels, scores)[1][0, 0] < 0.7 * jackknife


def test_clusters_of_one_case_change_nothing_and_their_order_neither(tied):
    labels, scores, clusters = tied
    names = np.array([f"p{number}" for number in np.random.default_rng(1).permutation(60)])
    assert delong(labels, scores, names)[1] == pytest.approx(delong(labels, scores)[1], rel=1e-12)
    turned = np.random.default_rng(2).permutation(60)
    shuffled = delong(labels[turned], scores[turned], clusters[turned])[1]
    assert shuffled == pytest.approx(delong(labels, scores, clusters)[1], rel=1e-12)


def test_a_case_repeated_in_its_cluster_tells_nothing_new(tied):
    labels, scores, _ = tied
    twice = np.tile(np.arange(60), 2)
    single = delong(labels, scores)[1][0, 0]
    assert delong(labels[twice], scores[twice], twice)[1][0, 0] == pytest.approx(single, rel=1e-9)
    assert delong(labels[twice], scores[twice])[1][0, 0] < 0.55 * single


def test_interval_stays_within_0_and_1_and_says_its_method():
    labels = np.repeat([False, True], 8)
    scores = np.r_[np.arange(8), np.arange(8) + 6.5]
    (value, low, high), method = auc_interval(labels, scores)
    assert 0 < low < value < high < 1
    assert method == DELONG
    assert auc_interval(labels, scores, np.arange(16) // 2)[1] == CLUSTERED


@pytest.mark.parametrize("scores", [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [1, 1, 1, 1, 1, 1]])
def test_where_delong_degenerates_the_interval_has_width(scores):
    labels = np.array([False, False, False, True, True, True])
    (value, low, high), method = auc_interval(labels, np.array(scores, float))
    assert low <= value <= high
    assert high - low > 0.3
    assert method == NEWCOMBE


def test_one_positive_case_and_one_class_only():
    scores = np.array([0.2, 0.5, 0.7, 0.4])
    estimate, method = auc_interval(np.array([False, False, False, True]), scores)
    assert method == NEWCOMBE
    assert estimate.value == pytest.approx(1 / 3)
    assert not auc_interval(np.ones(4, bool), scores)[0].known
    assert math.isnan(compare_aucs(np.ones(4, bool), scores, scores).p)
    assert math.isnan(auc(np.zeros(4, bool), scores))


@pytest.mark.parametrize("clusters", [8, 10])
def test_the_interval_of_few_clusters_holds_the_truth(clusters):
    random, held = np.random.default_rng(clusters), 0
    of = np.repeat(np.arange(clusters), 40)
    for _ in range(200):
        labels = random.random(len(of)) < 0.5
        shared = random.normal(0, 0.5, (2, clusters))  # an anatomy moves its positives and negatives apart
        scores = random.normal(0, 1, len(of)) + labels + np.where(labels, shared[0][of], shared[1][of])
        (_, low, high), _ = auc_interval(labels, scores, of)
        held += low < norm.cdf(1 / math.sqrt(2.5)) < high
    assert 0.90 <= held / 200 <= 0.99


def test_a_single_cluster_gives_a_wide_interval(tied):
    labels, scores, _ = tied
    (_, low, high), method = auc_interval(labels, scores, np.zeros(60))
    assert method == NEWCOMBE
    assert high - low > 0.7


def test_newcombe_s_ends_put_the_value_two_standard_errors_away():
    for value, m, n in ((0.811, 18, 5), (1.0, 10, 12), (0.0, 4, 3)):
        found = newcombe(value, m, n)
        for end in {found.low, found.high} - {value}:
            more = (m + n) / 2 - 1
            variance = end * (1 - end) * (1 + more * ((1 - end) / (2 - end) + end / (1 + end))) / (m * n)
            assert abs(value - end) / math.sqrt(variance) == pytest.approx(Z95, rel=1e-6)


def test_the_paper_s_auc_at_23_patients():
    """0.811 of 18 x 5 pairs is about 0.62 to 1.00 by the plain method; the score interval is of that width."""
    _, low, high = newcombe(0.811, 18, 5)
    assert low == pytest.approx(0.55, abs=0.04)
    assert high == pytest.approx(0.93, abs=0.04)


def test_equal_tests_have_nothing_to_compare(tied):
    labels, scores, clusters = tied
    found = compare_aucs(labels, scores, scores, clusters)
    assert found.difference.value == 0
    assert math.isnan(found.p)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    random, labels = np.random.default_rng(5), np.repeat([False, True], [40, 25])
    truth = 0.5 * (1 + math.erf(1 / 2))  # two unit normals 1 apart
    intervals = [auc_interval(labels, random.normal(labels, 1))[0] for _ in range(400)]
    assert 0.92 < np.mean([low < truth < high for _, low, high in intervals]) < 0.98


def test_auc_and_bootstrap_interval_hold_the_truth():
    random = np.random.default_rng(0)
    labels = np.repeat([False, True], 200)
    scores = random.normal(0, 1, 400) + labels  # AUC = Phi(1 / sqrt 2) = 0.760
    value, low, high = auc_with_interval(labels, scores, np.arange(400).astype(str), seed=0, draws=500)
    assert value == pytest.approx(0.76, abs=0.05)
    assert low < 0.76 < high
    assert high - low == pytest.approx(4 * 0.0235, rel=0.25)


def test_bootstrap_interval_widens_where_cases_come_from_few_anatomies():
    random = np.random.default_rng(1)
    anatomy = np.repeat(np.arange(20), 20)
    labels = np.tile([False, True], 200)
    scores = random.normal(0, 2, 20)[anatomy] * np.where(labels, 1, -1) + random.normal(0, 0.2, 400)
    single = auc_with_interval(labels, scores, np.arange(400).astype(str), seed=0, draws=300)
    grouped = auc_with_interval(labels, scores, anatomy.astype(str), seed=0, draws=300)
    assert grouped.high - grouped.low > 2 * (single.high - single.low)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_an_error(wrong):
    labels, scores = np.array([True, False, True, False]), np.array([0.1, wrong, 0.3, 0.4])
    fine = np.arange(4) / 4
    for compute in (
        lambda: auc(labels, scores),
        lambda: auc_interval(labels, scores),
        lambda: auc_interval(np.ones(4, bool), scores),
        lambda: compare_aucs(labels, fine, scores),
    ):
        with pytest.raises(ScoreError, match="1 of"):
            compute()
