"""Type I error and coverage on simulated studies, and that the check would notice a wrong formula.

A short run of ``benchmarks.mrmc_simulation``, whose figures for 2,000 studies a row are in docs/reader-studies.md.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import rankdata

from benchmarks.mrmc_simulation import STRUCTURES, rates, separation, simulated
from pipeline.statistics import obuchowski_rockette
from pipeline.statistics.obuchowski_rockette import mean_squares

STUDIES = 600
ERROR = math.sqrt(0.05 * 0.95 / STUDIES)
LOW, HIGH = 0.05 - 2.6 * ERROR, 0.05 + 2.6 * ERROR


def rejected(structure: str) -> float:
    return rates(STRUCTURES[structure], (0.80, 0.80), studies=STUDIES, seed=1).rejected


@pytest.mark.parametrize("structure", ["HL", "LH"])
def test_a_true_null_hypothesis_is_rejected_in_5_percent(structure):
    assert LOW < rejected(structure) < HIGH


def test_intervals_hold_a_true_difference_in_95_percent():
    found = rates(STRUCTURES["HH"], (0.85, 0.75), studies=STUDIES, seed=2)
    assert found.covered == pytest.approx(0.95, abs=2.6 * ERROR)
    assert found.rejected > 0.3
    assert 0.89 < found.single_covered < 0.97, "symmetric about an AUC near 1, so a little too rarely"


def mean_squares_without_interaction(values: np.ndarray) -> obuchowski_rockette.MeanSquares:
    return mean_squares(values)._replace(tr=1e-9)


@pytest.mark.parametrize(
    ("structure", "name", "wrong"),
    [
        ("HL", "hillis_df", lambda variance, mean_square, df: df),
        ("LH", "hillis_df", lambda variance, mean_square, df: math.inf),
        ("HL", "covariances", lambda matrix: obuchowski_rockette.Covariances(0, 0, 0, 0)),
        ("LH", "mean_squares", mean_squares_without_interaction),
    ],
    ids=["df of the interaction alone", "infinite df", "covariances left out", "interaction left out"],
)
def test_the_check_notices_a_wrong_formula(monkeypatch, structure, name, wrong):
    monkeypatch.setattr(obuchowski_rockette, name, wrong)
    assert not LOW < rejected(structure) < HIGH


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
def test_simulated_ratings_have_the_expected_auc(structure):
    positive, ratings = simulated(np.random.default_rng(0), structure, (0.85, 0.75), 500)
    ranks = rankdata(ratings, axis=-1)[..., positive].sum(axis=-1)
    means = ((ranks - 50 * 51 / 2) / 50**2).mean(axis=(0, 2))
    assert means == pytest.approx([0.85, 0.75], abs=0.006)  # three standard errors
    assert separation(0.5, structure) == pytest.approx(0)
