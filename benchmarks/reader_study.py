"""How often the report of a reader study finds what was planted, and nothing where nothing was.

    python -m benchmarks.reader_study [STUDIES]

Studies of five readers and 50 + 50 cases go through the rows of the review store, their selection and the analysis of
``study report``. Suspicions are normal with unit variance, half of it common to all reads of a case, so that the true
AUC of an arm is Phi(distance / sqrt(2)) and the true accuracy of its verdicts Phi(distance / 2); the model errs
independently of the readers. Planted are a higher AUC in the aided arm, and reads that take over the model's verdict.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from pipeline.reader_study.analysis.comparison import compare_arms
from pipeline.reader_study.analysis.reliance import Reliance, pairs_of, reliance
from pipeline.reader_study.readings import StudyReadings, select
from pipeline.reader_study.report.sentences import AUTOMATION_BIAS, reliance_words
from pipeline.statistics.estimate import Estimate
from tests.reader_study.studies import Planted, cases, protocol, rows, texts

AUC, GAIN, FOLLOWED = 0.80, 0.05, 0.3
BASE = Planted(readers=5, positives=50, negatives=50)


class Rates(NamedTuple):
    """Shares of the studies; NaN where the truth is not known in closed form."""

    difference_found: float
    """The primary test has p below 0.05."""
    difference_held: float
    """The interval of the difference in AUC holds the true one."""
    bias_said: float
    """The report says that readers followed the model when it was wrong."""
    wrong_held: float
    """The interval of the change in accuracy where the model was wrong holds the true one."""
    right_held: float
    """The same where it was right."""


def distance(auc: float) -> float:
    """Distance of the classes at this AUC."""
    return float(norm.ppf(auc)) * math.sqrt(2)


def planted(*, gain: float, followed: float) -> Planted:
    """A study with an unaided AUC of ``AUC``.

    Args:
        gain: difference of the AUCs before any read follows the model.
        followed: share of the aided reads that take over a verdict of the model that differs from their own.
    """
    unaided = distance(AUC)
    return replace(BASE, separation=unaided, gain=distance(AUC + gain) - unaided, followed=followed)


def true_change(study: Planted, model: str) -> float:
    """Accuracy after minus before where the model was right or wrong."""
    before, own = (float(norm.cdf(d / 2)) for d in (study.separation, study.separation + study.gain))
    after = own * (1 - study.followed) if model == "wrong" else own + study.followed * (1 - own)
    return after - before


def readings_of(study: Planted) -> StudyReadings:
    ordered = sorted(rows(study), key=lambda review: (review.saved_at, review.review_id))
    return select(texts(ordered), protocol(study), cases(study))


def rates(study: Planted, gain: float, studies: int) -> Rates:
    """Analyse simulated studies."""
    found = []
    for seed in range(studies):
        drawn = replace(study, seed=seed)
        readings = readings_of(drawn)
        analysis = compare_arms(readings, readings.first, "auc").analysis
        assert analysis is not None
        pair = analysis.inferences["rrrc"].pairwise[0]
        right, wrong, _ = reliance(pairs_of(readings))
        found.append(
            (
                pair.p < 0.05,
                holds(Estimate(pair.value, pair.low, pair.high), gain) if study.followed == 0 else math.nan,
                AUTOMATION_BIAS in reliance_words(wrong),
                change_held(wrong, drawn),
                change_held(right, drawn),
            )
        )
    return Rates(*np.array(found, float).mean(axis=0).tolist())


def change_held(found: Reliance, study: Planted) -> bool:
    return holds(found.difference, true_change(study, found.model))


def holds(estimate: Estimate, truth: float) -> bool:
    return estimate.low <= truth <= estimate.high


def main(arguments: Sequence[str]) -> None:
    studies = int(arguments[0]) if arguments else 500
    start = time.perf_counter()
    print(f"{studies} studies a row; standard error of a share of 5 %: {math.sqrt(0.05 * 0.95 / studies):.4f}")
    print("planted", *Rates._fields, sep=" | ")
    for name, gain, followed in (
        ("nothing", 0.0, 0.0),
        ("AUC", GAIN, 0.0),
        ("over-reliance", 0.0, FOLLOWED),
        ("both", GAIN, FOLLOWED),
    ):
        found = rates(planted(gain=gain, followed=followed), gain, studies)
        print(name, *(f"{share:.3f}" for share in found), sep=" | ", flush=True)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
