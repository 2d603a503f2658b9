"""What is said of a multi-reader analysis: the result in a sentence, and what limits it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.exports.mrmc_json import mrmc_json
from pipeline.exports.mrmc_wording import cautions, conclusions
from pipeline.statistics.mrmc import analyse_readings
from pipeline.statistics.reader_figures import Readings
from tests.statistics.studies import small_study, van_dyke


def better_aided(readers: int = 5) -> Readings:
    """Aided reads of well separated classes, unaided ones of weakly separated ones."""
    study = small_study(modalities=2, readers=readers, positives=40, negatives=40, seed=2)
    aided = study.ratings[0] + 2 * study.positive
    return replace(study, modalities=("aided", "unaided"), ratings=np.stack([aided, study.ratings[1]]))


def test_the_better_modality_is_named_with_its_difference():
    (words,) = conclusions(analyse_readings(better_aided()))
    assert words.startswith("AUC of aided minus unaided: +0.")
    assert words.endswith("over readers and cases: aided was better.")
    study = better_aided()
    (turned,) = conclusions(analyse_readings(replace(study, ratings=study.ratings[::-1])))
    assert turned.endswith("unaided was better.")


def test_no_difference_is_not_called_equality():
    (words,) = conclusions(analyse_readings(van_dyke()))
    assert words == (
        "AUC of 1 minus 2: -0.044 (95 % -0.088 to +0.000), p = 0.052 over readers and cases: no difference shown, "
        "which does not show that they are equal."
    )
    assert cautions(analyse_readings(van_dyke())) == []


def test_one_reader_is_analysed_for_this_reader():
    found = analyse_readings(better_aided(readers=1))
    (words,) = conclusions(found)
    assert "over the cases of this one reader: aided was better." in words
    assert cautions(found)[0].startswith("With one reader")
    said = mrmc_json(found)
    assert said["rrrc"] == {"f": None, "df1": 1, "df2": None, "p": None}
    assert said["pairwise"][0]["ci95"] == [None, None]
    assert said["frrc"]["p"] < 0.05
    assert (said["cov"]["cov2"], said["ms"]["tr"]) == (None, None)


@pytest.mark.parametrize("readers", [1, 4])
def test_one_modality_has_a_mean_with_its_interval(readers):
    found = analyse_readings(small_study(modalities=1, readers=readers))
    (words,) = conclusions(found)
    assert words.startswith("Mean AUC with 1: 0.")
    assert words.endswith("nothing to compare.")
    said = mrmc_json(found)
    assert (said["pairwise"], said["frrc"]["p"]) == ([], None)


def test_several_pairs_are_said_not_to_be_adjusted():
    found = analyse_readings(small_study(modalities=3, positives=9))
    assert len(conclusions(found)) == 3
    first, second, *_ = cautions(found)
    assert "3 pairs are not adjusted" in first
    assert "9 cases" in second


def test_degenerate_readers_are_named():
    study = small_study(modalities=2, positives=12, negatives=12)
    ratings = study.ratings.copy()
    ratings[0, 0] = 3  # constant
    ratings[1, 1] = study.positive  # perfect
    words = " ".join(cautions(analyse_readings(replace(study, ratings=ratings))))
    assert "Reader 1 gave every case the same rating with 1" in words
    assert "AUC of reader 2 with 2 is 1: its variance cannot be estimated" in words
    assert "reader 3" not in words.lower()


def test_readers_who_all_rate_alike_cannot_be_tested():
    study = small_study(modalities=2)
    constant = replace(study, ratings=np.zeros_like(study.ratings))
    found = analyse_readings(constant)
    assert conclusions(found) == ["AUC of 1 minus 2: +0.000; its interval is not estimable."]
    assert any("cannot be tested" in words for words in cautions(found))
    json.dumps(mrmc_json(found), allow_nan=False)


def test_cov2_below_cov3_and_a_negative_variance_are_said():
    study = small_study(modalities=2, readers=2, positives=30, negatives=30, seed=5)
    random = np.random.default_rng(0)
    shared = random.normal(study.positive, 1, (2, 60))  # reader 1 with one modality errs as reader 2 with the other
    ratings = np.stack([shared, shared[::-1]]) + 0.1 * random.normal(size=(2, 2, 60))
    found = analyse_readings(replace(study, ratings=ratings))
    assert found.cov.cov2 < found.cov.cov3
    words = " ".join(cautions(found))
    assert "Cov2 is below Cov3" in words
    rrrc, rrfc = found.inferences["rrrc"].test, found.inferences["rrfc"].test
    assert rrrc == pytest.approx(rrfc)


@pytest.mark.parametrize("seed", range(6))
def test_rounding_is_no_caution(seed):
    study = small_study(modalities=1, readers=3, positives=20, negatives=23, seed=seed)
    twice = replace(study, modalities=("1", "2"), ratings=np.tile(study.ratings, (2, 1, 1)))
    words = " ".join(cautions(analyse_readings(twice)))
    assert "below Cov3" not in words
    assert "reader-by-modality" not in words
    assert "cannot be tested" in words


def test_left_out_cases_are_counted():
    found = analyse_readings(van_dyke())
    assert cautions(found, 3)[0].startswith("Cases left out")
    assert mrmc_json(found, 3)["cases"] == {"positive": 45, "negative": 69, "left_out": 3}


def test_two_readers_are_called_exploratory_and_three_are_not() -> None:
    study = van_dyke()
    for readers, warned in ((2, True), (3, False)):
        fewer = replace(study, readers=study.readers[:readers], ratings=study.ratings[:, :readers])
        words = " ".join(cautions(analyse_readings(fewer)))
        assert ("exploratory" in words) == warned


def test_an_interval_beyond_what_is_possible_is_not_printed() -> None:
    positive = np.array([True, True, True, False, False, False])
    same, opposite = np.where(positive, 3.0, 1.0) + np.arange(6) / 10, np.where(positive, 1.0, 3.0) + np.arange(6) / 10
    mixed = np.array([3.0, 1.0, 2.0, 2.5, 0.5, 1.5])
    few = Readings(("a", "b"), ("R1", "R2"), positive, np.array([[same, mixed], [mixed, opposite]]))
    found = analyse_readings(few)
    pair = found.inferences["rrrc"].pairwise[0]
    assert max(-pair.low, pair.high) > 1
    assert "95 % interval wider than possible" in conclusions(found)[0]
    assert any("too small to say anything" in words for words in cautions(found))
