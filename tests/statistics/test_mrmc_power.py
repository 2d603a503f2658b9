"""Planning from a pilot study, against RJafroc's published figures for VanDyke's data and against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.mrmc_simulation import STRUCTURES, rates, simulated
from pipeline.errors import ReadingsError
from pipeline.statistics.mrmc import analyse_readings
from pipeline.statistics.mrmc_power import Pilot, cases_needed, power
from pipeline.statistics.obuchowski_rockette import (
    Covariances,
    VarianceComponents,
    components,
    covariances,
    mean_squares,
)
from pipeline.statistics.reader_figures import Readings, reader_figures
from tests.statistics.studies import van_dyke

EFFECT = 0.043800322
"""The pilot's own difference, with the digits that RJafroc's tests give."""


@pytest.fixture
def pilot() -> Pilot:
    found = analyse_readings(van_dyke())
    return Pilot(found.components, found.cov, 114)


@pytest.mark.parametrize(
    ("generalisation", "readers", "cases", "published"),
    [
        ("rrrc", 10, 165, 0.80541995),
        ("rrrc", 6, 111, 0.5526116),
        ("frrc", 10, 131, 0.80091813),
        ("rrfc", 10, 53, 0.80496663),
    ],
)
def test_power_is_that_of_rjafroc(pilot, generalisation, readers, cases, published):
    for difference in (EFFECT, -EFFECT):
        found = power(pilot, difference, readers, cases, generalisation=generalisation)
        assert found.power == pytest.approx(published, abs=5e-8)


def test_noncentrality_and_degrees_of_freedom_are_those_of_rjafroc(pilot):
    found = power(pilot, EFFECT, 6, 112)
    assert (round(found.noncentrality, 1), round(found.df2, 1)) == (4.8, 23.1)


@pytest.mark.parametrize(("readers", "published"), [(6, 251), (10, 163), (100, 103)])
def test_cases_needed_are_those_of_rjafroc(pilot, readers, published):
    assert cases_needed(pilot, EFFECT, readers) == published


def test_a_difference_of_0_is_found_at_the_level_of_the_test(pilot):
    assert power(pilot, 0, 6, 100, alpha=0.03).power == pytest.approx(0.03)


def test_a_negative_variance_of_the_interaction_counts_as_0(pilot):
    below, none = (pilot._replace(components=VarianceComponents(0.001, interaction)) for interaction in (-0.0001, 0.0))
    assert power(below, EFFECT, 6, 100) == power(none, EFFECT, 6, 100)


def test_power_that_no_number_of_cases_reaches_is_refused(pilot):
    with pytest.raises(ReadingsError, match="add readers"):
        cases_needed(pilot, 0.01, 3)


@pytest.mark.parametrize(("readers", "cases", "alpha"), [(1, 100, 0.05), (5, 3, 0.05), (5, 100, 0), (5, 100, 1)])
def test_designs_that_are_none_are_refused(pilot, readers, cases, alpha):
    with pytest.raises(ReadingsError):
        power(pilot, EFFECT, readers, cases, alpha=alpha)


def test_a_pilot_without_variances_is_refused():
    for empty in (0.0, math.nan):
        flat = Pilot(VarianceComponents(empty, empty), Covariances(empty, empty, empty, empty), 100)
        with pytest.raises(ReadingsError, match="0 or not estimable"):
            power(flat, EFFECT, 5, 100)


def test_simulated_studies_reject_as_often_as_planned():
    structure, aucs = STRUCTURES["LL"], (0.85, 0.78)
    positive, ratings = simulated(np.random.default_rng(3), structure, aucs, 300)
    parts = []
    for study in ratings:
        figures = reader_figures(Readings(("1", "2"), tuple("12345"), positive, study))
        ms, cov = mean_squares(figures.values), covariances(figures.covariance)
        parts.append((*components(ms, cov, 2), *cov))
    means = np.mean(parts, axis=0)
    planned = power(Pilot(VarianceComponents(*means[:2]), Covariances(*means[2:]), 100), 0.07, 5, 100).power
    found = rates(structure, aucs, studies=600, seed=8).rejected
    assert found == pytest.approx(planned, abs=0.06)  # three standard errors
