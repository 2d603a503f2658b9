"""Sentences that several outputs share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.exports.wording import outline_words, percents, range_words, side_words, span
from tests.builders import make_analysis


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.49, "at or above the operating point"),
        (0.48, "at or above the operating point"),
        (0.47, "below the operating point"),
    ],
)
def test_the_operating_point_itself_counts_as_above(probability, words):
    assert side_words(replace(make_analysis().fibrosis, probability=probability, threshold=0.48)) == words


@pytest.mark.parametrize(
    ("shares", "as_span", "as_percents"),
    [
        ((0.138, 0.262), "0.14 to 0.26", "14–26 %"),
        ((0.138, 0.142), "0.14", "14 %"),
        ((0.0, 1.0), "0.00 to 1.00", "0–100 %"),
    ],
)
def test_a_range_whose_ends_are_shown_alike_is_one_figure(shares, as_span, as_percents):
    assert (span(shares), percents(shares)) == (as_span, as_percents)


def test_every_sentence_of_the_range():
    fibrosis = replace(
        make_analysis().fibrosis,
        threshold=0.48,
        ensemble_range=(0.3, 0.6),
        indeterminate=(0.2, 0.7),
        mask_sensitivity=(0.44, 0.66),
    )
    assert range_words(fibrosis) == (
        "The ensemble's members, lowest to highest: 0.30 to 0.60 (not a confidence interval). "
        "They fall on both sides of the operating point. "
        "Indeterminate between the rule-out point 0.20 and the rule-in point 0.70. "
        "With the liver outline a voxel tighter or wider: 0.44 to 0.66."
    )
    assert outline_words("44–66 %") == "With the liver outline a voxel tighter or wider: 44–66 %."
