"""Multi-reader analysis against published tables, textbook loops, the bootstrap and its own symmetries."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from pipeline.errors import ReadingsError, ScoreError
from pipeline.statistics.auc import auc, compare_aucs
from pipeline.statistics.obuchowski_rockette import (
    GENERALISATIONS,
    components,
    covariances,
    infer,
    mean_squares,
)
from pipeline.statistics.reader_figures import ReaderFigures, Readings, reader_figures
from tests.shared import shared_path
from tests.statistics.studies import by_loops, delong_by_loops, jackknife_by_loops, small_study, van_dyke

METHODS = ("jackknife", "delong")
FED_AUC = (
    (0.90425, 0.7982, 0.81175, 0.86645),
    (0.86425, 0.8447, 0.8205, 0.8716),
    (0.81295, 0.81635, 0.75275, 0.8573),
    (0.90235, 0.8315, 0.78865, 0.8798),
    (0.8414, 0.773, 0.77115, 0.848),
)
"""Five modalities of four readers of 200 cases (Zanca et al., 2009), as printed by OR-DBM MRMC 2.51 in RJafroc's
``inst/Iowa/FedRoc.txt``; exact, being multiples of 1/20,000."""
FED_COVARIANCES = (0.00078912, 0.00029480, 0.00023331, 0.00021213)


def symmetric_figures(values: np.ndarray, var: float, cov1: float, cov2: float, cov3: float) -> ReaderFigures:
    """Figures whose covariance matrix has only these four values."""
    t, r = values.shape
    modality, reader = np.eye(t)[:, None, :, None], np.eye(r)[None, :, None, :]
    matrix = cov3 + (cov2 - cov3) * modality + (cov1 - cov3) * reader + (var - cov1 - cov2 + cov3) * modality * reader
    return ReaderFigures(values, matrix)


@pytest.mark.parametrize("method", METHODS)
def test_van_dyke_is_the_published_one_to_all_digits(method):
    published = json.loads(shared_path("reader_study/expected.json").read_text())["VanDyke.csv"][method]
    figures = reader_figures(van_dyke(), "auc", method)
    ms, cov = mean_squares(figures.values), covariances(figures.covariance)
    random, fixed_readers, fixed_cases = (infer(figures, name) for name in GENERALISATIONS)
    assert np.abs(figures.values - published["theta"]).max() < 5e-9
    assert np.abs(figures.values.mean(axis=1) - published["means"]).max() < 5e-9
    assert ms == pytest.approx([published[name] for name in ("MST", "MSR", "MSTR")], rel=1e-11)
    assert cov == pytest.approx([published[name] for name in ("varerr", "cov1", "cov2", "cov3")], rel=1e-11)
    said = published["RRRC"]
    assert random.test == pytest.approx((said["F"], 1, said["ddf"], said["p"]), rel=1e-10)
    (difference,) = random.pairwise
    assert (difference.first, difference.second) == (0, 1)
    assert (difference.value, difference.error) == pytest.approx((said["diff12"], said["se_diff"]), rel=1e-11)
    assert (difference.low, difference.high) == pytest.approx(said["ci"], rel=1e-9)
    assert (fixed_readers.test.statistic, fixed_readers.test.p) == pytest.approx(
        (published["FRRC"]["X2"], published["FRRC"]["p"]), rel=1e-10
    )
    said = published["RRFC"]
    assert fixed_cases.test == pytest.approx((said["F"], 1, said["df2"], said["p"]), rel=1e-10)


def test_single_modality_intervals_of_van_dyke_are_those_of_the_iowa_program():
    figures = reader_figures(van_dyke())
    first, second = infer(figures, "frrc").single
    assert first[1:] == pytest.approx((0.02428971, math.inf, 0.84943008, 0.94464399), abs=5e-9)
    assert second[1:] == pytest.approx((0.01677632, math.inf, 0.90795637, 0.97371835), abs=5e-9)


def test_five_modalities_are_those_of_the_iowa_program():
    figures = symmetric_figures(np.array(FED_AUC), *FED_COVARIANCES)
    ms, cov = mean_squares(figures.values), covariances(figures.covariance)
    assert ms == pytest.approx((0.00189696, 0.00729418, 0.00046221), abs=5e-9)
    assert components(ms, cov, 5) == pytest.approx((0.00128372, -0.00001093), abs=1.5e-8)
    random, fixed = infer(figures, "rrrc"), infer(figures, "frrc")
    assert (round(random.test.statistic, 2), random.test.df1, round(random.test.df2, 1)) == (3.47, 4, 16.8)
    assert random.test.p == pytest.approx(0.0305, abs=5e-5)
    assert (fixed.test.statistic, fixed.test.df1) == (pytest.approx(13.60126, abs=5e-4), 4)
    assert fixed.test.p == pytest.approx(0.0087, abs=5e-5)
    by_pair = {(found.first, found.second): found for found in random.pairwise}
    assert len(by_pair) == 10
    assert by_pair[1, 2][2:4] == pytest.approx((0.04042, 0.01654), abs=6e-6)
    assert by_pair[1, 2][5:] == pytest.approx((0.00550, 0.07535, 0.0258), abs=6e-5)
    assert by_pair[2, 3][5:] == pytest.approx((-0.07566, -0.00582, 0.0249), abs=6e-5)


@pytest.mark.parametrize(("method", "loops"), [("delong", delong_by_loops), ("jackknife", jackknife_by_loops)])
def test_covariances_are_those_of_the_textbooks_loops(method, loops):
    study = small_study()
    assert np.abs(reader_figures(study, "auc", method).covariance - by_loops(study, loops)).max() < 1e-14


def test_covariances_are_near_those_of_the_bootstrap():
    study = small_study(modalities=2, readers=2, positives=60, negatives=80, seed=4)
    random = np.random.default_rng(0)
    flat = study.ratings.reshape(4, -1)
    drawn = []
    for _ in range(1500):
        cases = np.concatenate([random.integers(0, 60, 60), random.integers(60, 140, 80)])
        drawn.append([auc(study.positive[cases], row[cases]) for row in flat])
    ours = reader_figures(study, "auc", "delong").covariance.reshape(4, 4)
    assert np.abs(np.cov(np.array(drawn).T) / ours - 1).max() < 0.2


@pytest.mark.parametrize("fom", ["sensitivity", "specificity"])
@pytest.mark.parametrize("method", METHODS)
def test_a_proportion_has_the_unbiased_binomial_covariance_of_its_class(fom, method):
    study = small_study(modalities=2, readers=2)
    figures = reader_figures(study, fom, method, threshold=1)
    group = study.positive if fom == "sensitivity" else ~study.positive
    right = (study.ratings >= 1) == (fom == "sensitivity")
    flat = right.reshape(4, -1)[:, group].astype(float)
    assert figures.values.ravel() == pytest.approx(flat.mean(axis=1))
    assert figures.covariance.reshape(4, 4) == pytest.approx(np.cov(flat) / group.sum())


def test_binary_ratings_need_no_threshold_and_others_do():
    study = small_study()
    binary = replace(study, ratings=(study.ratings >= 1).astype(float))
    with_threshold = reader_figures(study, "sensitivity", threshold=1)
    assert reader_figures(binary, "sensitivity").values == pytest.approx(with_threshold.values)
    with pytest.raises(ReadingsError, match="--threshold"):
        reader_figures(study, "sensitivity")
    with pytest.raises(ReadingsError, match="finite"):
        reader_figures(study, "specificity", threshold=math.nan)


def test_one_reader_leaves_delongs_paired_test():
    study = small_study(modalities=2, readers=1)
    figures = reader_figures(study, "auc", "delong")
    (found,) = infer(figures, "frrc").pairwise
    expected = compare_aucs(study.positive, study.ratings[0, 0], study.ratings[1, 0])
    assert (found.value, found.low, found.high, found.p) == pytest.approx((*expected.difference, expected.p))
    for generalisation in ("rrrc", "rrfc"):
        random = infer(figures, generalisation)
        assert math.isnan(random.test.p)
        assert math.isnan(random.pairwise[0].error)


def test_one_modality_has_intervals_and_no_differences():
    study = small_study(modalities=1)
    found = infer(reader_figures(study), "rrrc")
    (interval,) = found.single
    assert found.pairwise == ()
    assert math.isnan(found.test.p)
    assert interval.low < interval.value < interval.high
    both = infer(
        reader_figures(replace(study, modalities=("1", "2"), ratings=np.tile(study.ratings, (2, 1, 1)))), "rrrc"
    )
    assert both.single[0] == pytest.approx(interval), "an interval of one modality owes nothing to the others"


def test_fixed_cases_are_the_paired_t_test_of_the_readers():
    figures = reader_figures(small_study(modalities=2, readers=6))
    expected = stats.ttest_rel(*figures.values)
    (found,) = infer(figures, "rrfc").pairwise
    assert (found.p, found.df) == pytest.approx((expected.pvalue, expected.df))
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_cov2_below_cov3_counts_as_no_difference():
    values = np.array(FED_AUC)
    below, equal = (symmetric_figures(values, 8e-4, 3e-4, cov2, 2.2e-4) for cov2 in (1.5e-4, 2.2e-4))
    assert covariances(below.covariance).excess == 0
    for generalisation in GENERALISATIONS:
        assert infer(below, generalisation).test == pytest.approx(infer(equal, generalisation).test)
    assert infer(below, "rrrc").test == pytest.approx(infer(below, "rrfc").test)


@pytest.mark.parametrize("generalisation", GENERALISATIONS)
def test_a_negative_cov2_of_a_modality_counts_as_0(generalisation):
    values = np.array(FED_AUC)
    below, none = (infer(symmetric_figures(values, 8e-4, 1e-4, cov2, 0), generalisation) for cov2 in (-1e-4, 0))
    assert np.array(below.single) == pytest.approx(np.array(none.single))


def test_without_interaction_the_degrees_of_freedom_are_infinite():
    values = np.array([[0.8, 0.85, 0.9], [0.7, 0.75, 0.8]])
    test = infer(symmetric_figures(values, 8e-4, 3e-4, 3e-4, 2e-4), "rrrc").test
    expected = 3 * 0.1**2 / 2 / (3 * 1e-4)  # MS(T) / (r (Cov2 - Cov3))
    assert (test.statistic, test.df2) == (pytest.approx(expected), math.inf)
    assert test.p == pytest.approx(stats.chi2.sf(expected, 1))


def test_equal_modalities_are_not_compared():
    study = small_study(modalities=1)
    twice = Readings(("1", "2"), study.readers, study.positive, np.tile(study.ratings, (2, 1, 1)))
    for generalisation in GENERALISATIONS:
        found = infer(reader_figures(twice), generalisation)
        assert math.isnan(found.test.p)
        (pair,) = found.pairwise
        assert pair.value == pytest.approx(0)
        assert np.isnan([pair.p, pair.low, pair.high, pair.error]).all(), "no interval without width"


def test_order_of_cases_readers_and_modalities_changes_nothing():
    study, random = small_study(), np.random.default_rng(1)
    cases, readers, modalities = (random.permutation(n) for n in (27, 4, 3))
    shuffled = Readings(
        tuple(study.modalities[k] for k in modalities),
        tuple(study.readers[k] for k in readers),
        study.positive[cases],
        study.ratings[np.ix_(modalities, readers, cases)],
    )
    for generalisation in GENERALISATIONS:
        before = infer(reader_figures(study), generalisation)
        after = infer(reader_figures(shuffled), generalisation)
        assert after.test == pytest.approx(before.test)
        assert sorted(abs(one.value) for one in after.pairwise) == pytest.approx(
            sorted(abs(one.value) for one in before.pairwise)
        )
        for place, modality in enumerate(modalities):
            assert after.single[place] == pytest.approx(before.single[modality])


def test_only_the_order_of_the_ratings_counts():
    study = small_study()
    stretched = study.ratings.copy()
    for place, row in enumerate(stretched.reshape(-1, stretched.shape[2])):
        row[:] = np.exp(row / 3) * (1 + place)  # a reader's own scale
    figures, same = reader_figures(study), reader_figures(replace(study, ratings=stretched))
    assert same.values == pytest.approx(figures.values)
    assert same.covariance == pytest.approx(figures.covariance)


def test_turning_the_scale_turns_the_differences():
    study = small_study()
    before, after = (infer(reader_figures(replace(study, ratings=sign * study.ratings)), "rrrc") for sign in (1, -1))
    assert after.test == pytest.approx(before.test)
    assert [one.value for one in after.pairwise] == pytest.approx([-one.value for one in before.pairwise])


@pytest.mark.parametrize(("positives", "negatives"), [(0, 9), (9, 0), (1, 9), (9, 1)])
def test_too_few_cases_of_a_class_are_refused(positives, negatives):
    study = small_study(positives=positives, negatives=negatives)
    with pytest.raises(ReadingsError, match="at least two"):
        reader_figures(study)
    fine = "sensitivity" if positives > 1 else "specificity"
    assert np.isfinite(reader_figures(study, fine, threshold=1).covariance).all()


def test_a_rating_that_is_no_number_is_refused():
    study = small_study()
    study.ratings[0, 0, 0] = math.nan
    with pytest.raises(ScoreError):
        reader_figures(study)
