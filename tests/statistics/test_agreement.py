"""Agreement of raters against published values and values by other programs."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from pipeline.statistics.agreement import fleiss_kappa, icc_agreement, weighted_kappa
from tests.shared import shared_path
from tests.statistics.studies import van_dyke

LEVELS = range(1, 6)

SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float
)
"""Shrout & Fleiss 1979, table 2: six targets, four judges; ICC(2,1) is .29 there, .2897638 to more digits."""


@pytest.mark.parametrize("modality", [0, 1])
@pytest.mark.parametrize(
    ("weights", "key"), [("none", "cohen_unweighted"), ("linear", "cohen_linear"), ("quadratic", "cohen_quadratic")]
)
def test_kappas_of_van_dyke(modality, weights, key):
    ratings = van_dyke().ratings[modality].astype(int)
    expected = json.loads(shared_path("reader_study/expected.json").read_text())["VanDyke_agreement"]
    for pair, value in expected[f"treatment{modality + 1}"][key].items():
        a, b = (int(number) - 1 for number in pair.split("-"))
        found = weighted_kappa(ratings[a], ratings[b], LEVELS, weights)
        assert found.estimate.value == pytest.approx(value, abs=1e-12)
        assert found.cases == 114


@pytest.mark.parametrize("modality", [0, 1])
def test_fleiss_kappa_and_icc_of_van_dyke(modality):
    ratings = van_dyke().ratings[modality]
    expected = json.loads(shared_path("reader_study/expected.json").read_text())["VanDyke_agreement"]
    values = expected[f"treatment{modality + 1}"]
    assert fleiss_kappa(ratings.T, LEVELS, seed=0).estimate.value == pytest.approx(values["fleiss"], abs=1e-12)
    assert icc_agreement(ratings.T).estimate.value == pytest.approx(values["ICC(2,1)"], abs=1e-12)


def test_fleiss_1971():
    ratings = pd.read_csv(shared_path("reader_study/irr_diagnoses_fleiss1971.csv")).to_numpy()
    found = fleiss_kappa(ratings, LEVELS, seed=0)
    assert found.estimate.value == pytest.approx(0.4302445, abs=5e-8)
    assert 0.25 < found.estimate.low < 0.4302445 < found.estimate.high < 0.65


def test_icc_of_shrout_and_fleiss_with_its_interval():
    found = icc_agreement(SHROUT_FLEISS)
    # R: psych::ICC prints ICC2 = 0.29 with 0.019 to 0.761.
    assert found.estimate == pytest.approx((0.28976378, 0.01878651, 0.76108436), abs=2e-5)


@pytest.mark.parametrize(("weights", "theirs"), [("none", None), ("linear", "linear"), ("quadratic", "quadratic")])
def test_unused_levels_count_as_scikit_learn_counts_them(weights, theirs):
    random = np.random.default_rng(0)
    first = random.choice([0, 1, 3], 60)
    second = np.where(random.random(60) < 0.6, first, random.choice([0, 1, 3], 60))
    found = weighted_kappa(first, second, range(4), weights).estimate.value
    assert found == pytest.approx(cohen_kappa_score(first, second, labels=range(4), weights=theirs), abs=1e-12)
    dropped = weighted_kappa(first, second, (0, 1, 3), weights).estimate.value
    assert (found == pytest.approx(dropped, abs=1e-12)) == (weights == "none")


def test_the_kappa_interval_holds_95_percent():
    random, truth = np.random.default_rng(1), 0.5
    held = 0
    for _ in range(400):
        first = random.integers(0, 2, 80)
        second = np.where(random.random(80) < truth, first, random.integers(0, 2, 80))
        low, high = weighted_kappa(first, second, (0, 1), "none").estimate[1:]
        held += low <= truth <= high
    assert held / 400 == pytest.approx(0.945, abs=0.03)


def test_the_fleiss_interval_widens_with_fewer_cases():
    random = np.random.default_rng(2)
    truth = random.integers(0, 2, 200)
    ratings = np.where(random.random((200, 4)) < 0.8, truth[:, None], 1 - truth[:, None])
    widths = []
    for cases in (200, 40):
        estimate = fleiss_kappa(ratings[:cases], (0, 1), seed=3).estimate
        widths.append(estimate.high - estimate.low)
    assert widths[1] > 1.5 * widths[0]


ONES, MIXED = np.ones(6, int), np.array([0, 1, 0, 1, 1, 0])


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (lambda: weighted_kappa(ONES, MIXED, (0, 1), "none"), "one rater gave every case the same level"),
        (lambda: weighted_kappa(ONES, ONES, (0, 1), "quadratic"), "both raters gave every case one level"),
        (lambda: weighted_kappa(MIXED[:1], MIXED[:1], (0, 1), "none"), "fewer than two cases"),
        (lambda: fleiss_kappa(np.ones((6, 3)), (0, 1), seed=0), "all raters gave every case the same level"),
        (lambda: fleiss_kappa(MIXED[:, None], (0, 1), seed=0), "only one rater"),
        (lambda: icc_agreement(np.full((6, 3), 4.0)), "all raters gave every case the same rating"),
        (lambda: icc_agreement(np.ones((1, 3))), "fewer than two cases"),
    ],
)
def test_what_is_undefined_says_why(found, words):
    agreement = found()
    assert words in agreement.undefined
    assert math.isnan(agreement.estimate.value)
    assert str(agreement.estimate) == "not estimable"


def test_perfect_agreement_has_no_interval():
    found = weighted_kappa(MIXED, MIXED, (0, 1), "none")
    assert found.estimate.value == 1
    assert not found.estimate.bounded
