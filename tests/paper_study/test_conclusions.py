"""Sentences that follow from figures: each rule on figures that fit it, and on figures that do not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.paper_study.conclusions import (
    about_leak,
    about_learning,
    about_pair,
    about_seeds,
    about_small_tests,
)
from pipeline.paper_study.rows import ComparisonRow, Counts, LeakRow, NetworkRow
from pipeline.statistics import Estimate
from pipeline.statistics.trainings import Difference, Trainings

COUNTS = Counts(500, 250, 10)


def area(*values: float) -> Trainings:
    """AUCs of trainings; the draws of cases have a standard deviation of 0.01."""
    noise = np.resize([-0.01, 0.01], (100, 1))
    return Trainings(np.array(values), np.array(values) + noise, 10, True)


def unknown() -> Trainings:
    return Trainings(np.array([0.7]), np.zeros((0, 1)), 1, False)


def pair(other: str, low: float, high: float, *, test: str = "test_500", cases: int = 500) -> ComparisonRow:
    difference = Difference(Estimate((low + high) / 2, low, high), 0.5)
    return ComparisonRow(other, test, Counts(cases, cases // 2, 10), difference)


def leak(network: str, found: Trainings, **controls: Trainings) -> str:
    return about_leak(LeakRow(network, COUNTS, found, controls))


def test_a_leak_test_that_misses_what_its_control_finds_has_no_power():
    words = leak("mask_only", area(0.50, 0.52, 0.51), texture_outline=area(0.74))
    assert "no power" in words
    assert "Logistic regression on the outline finds 0.740" in words
    assert "cannot exclude a leak" in words


def test_a_leak_test_whose_controls_find_nothing_excludes_large_leaks_only():
    words = leak("mask_only", area(0.50, 0.52, 0.51), texture_outline=area(0.51))
    assert "neither the network (0.510" in words
    assert "power" not in words
    assert "smaller one cannot be excluded" in words


def test_a_network_that_finds_something_tells_of_the_label_whatever_its_control_says():
    for control in (0.51, 0.8):
        words = leak("mask_only", area(0.70, 0.71, 0.72), texture_outline=area(control))
        assert "tells of the label without the liver's texture" in words
        assert "no power" not in words


def test_only_controls_that_find_something_are_named():
    words = leak("background_only", area(0.5), texture_volumes=area(0.71), texture_background=area(0.5))
    assert "volumes finds" in words
    assert "background texture" not in words


def test_without_a_control_or_an_interval_nothing_is_concluded():
    assert "excludes nothing" in leak("mask_only", area(0.5, 0.51, 0.5))
    assert "nothing can be concluded" in leak("mask_only", unknown(), texture_outline=area(0.8))


def test_shuffled_labels_must_hold_one_half():
    assert "holds 0.5, as it must" in leak("shuffled", area(0.44, 0.56, 0.5))
    for found in ((0.60, 0.61, 0.60), (0.40, 0.41, 0.40)):
        assert "look for a leak" in leak("shuffled", area(*found))


def test_the_site_is_judged_by_its_own_sentence():
    assert leak("site", area(0.8, 0.81, 0.79)).startswith("The site can be predicted")
    assert "not shown" in leak("site", area(0.5, 0.51, 0.49))


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.1, "has a higher AUC than ResNet with masked pooling only: 0.055 (0.010 to 0.100) at n = 500."),
        (-0.1, -0.01, "has a lower AUC than ResNet with masked pooling only"),
        (-0.01, 0.1, "cannot be told apart by AUC"),
    ],
)
def test_a_difference_is_one_only_if_its_interval_excludes_0(low, high, words):
    sentence = about_pair(pair("pooling", low, high), seeds=3)
    assert words in sentence
    assert ("What masked attention adds to masked pooling is not known" in sentence) == (low < 0 < high)


def test_a_difference_of_single_trainings_may_be_chance():
    assert "chance of the seed" in about_pair(pair("unmasked", 0.01, 0.1), seeds=1)
    assert "chance of the seed" not in about_pair(pair("unmasked", 0.01, 0.1), seeds=3)
    assert "nothing is known" in about_pair(pair("unmasked", math.nan, math.nan), seeds=3)


def test_the_drawn_severity_is_a_bound_and_no_rival():
    assert "no network is expected to surpass" in about_pair(pair("severity", -0.1, -0.01), seeds=3)


def test_a_network_at_chance_did_not_learn_and_says_nothing_of_its_kind():
    rows = [
        NetworkRow(network, "test_500", COUNTS, {"auc": found})
        for network, found in (("resnet", area(0.8, 0.8)), ("swin_tiny", area(0.45, 0.5, 0.6)))
    ]
    (sentence,) = about_learning(rows)
    assert sentence.startswith("Masked-attention Swin Transformer")
    assert "did not learn" in sentence


def test_a_small_test_is_counted_without_the_severity():
    pairs = [
        pair("unmasked", 0.01, 0.2, test="test_23", cases=23),
        pair("pooling", -0.1, 0.2, test="test_23", cases=23),
        pair("severity", -0.3, -0.1, test="test_23", cases=23),
    ]
    (sentence,) = about_small_tests(pairs)
    assert "At n = 23 the interval of 1 of 2 differences" in sentence


def test_unfinished_studies_and_single_seeds_are_stated():
    assert list(about_seeds(3, 3)) == []
    assert [sentence[:6] for sentence in about_seeds(1, 3)] == ["1 of 3", "Each n"]
    assert len(list(about_seeds(2, 3))) == 1
