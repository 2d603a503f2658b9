"""Each reader's figures in each arm, and the reader's own differences, aided minus unaided.

They are of one reader alone and over his or her own reads, so that a reader who has not finished has figures too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import quantile_test

from pipeline.reader_study.readings import StudyReadings, by_key
from pipeline.reader_study.reads import ARMS, Arm, StoredRead
from pipeline.statistics.auc import auc_interval, compare_aucs
from pipeline.statistics.bootstrap import bootstrap_interval
from pipeline.statistics.estimate import UNKNOWN, Estimate
from pipeline.statistics.means import mean_interval
from pipeline.statistics.proportions import proportion


class Calls(NamedTuple):
    """What the yes-or-no verdicts are worth, with Wilson intervals."""

    sensitivity: Estimate
    specificity: Estimate
    accuracy: Estimate


class ReaderArm(NamedTuple):
    """One reader in one arm."""

    reader: str
    arm: Arm
    reads: int
    positives: int
    """Reads of cases with the condition."""
    not_assessable: int
    auc: Estimate
    """Of the suspicion, over the reads that have one."""
    auc_reads: int
    auc_method: str
    calls: Calls
    """``not_assessable`` counts as wrong: the primary figures."""
    assessable: Calls
    """Reads that are ``not_assessable`` left out."""
    median_seconds: Estimate
    """Active time; its interval is the exact one of a quantile."""


class ReaderDifference(NamedTuple):
    """One reader, aided minus unaided, on the cases read in both arms; ``not_assessable`` counts as wrong."""

    reader: str
    cases: int
    auc: Estimate
    """DeLong's paired interval."""
    auc_p: float
    sensitivity: Estimate
    specificity: Estimate
    accuracy: Estimate
    median_seconds: Estimate
    """Median of the differences, with a bootstrap interval over cases."""


def reader_arms(readings: StudyReadings) -> list[ReaderArm]:
    """All readers who have a read, by reader and arm."""
    grouped = {
        (reader, arm): [read for read in readings.first if (read.reader, read.arm) == (reader, arm)]
        for reader in readings.readers
        for arm in ARMS
    }
    return [_figures(reader, arm, reads) for (reader, arm), reads in grouped.items() if reads]


def reader_differences(readings: StudyReadings) -> list[ReaderDifference]:
    """All readers who read a case in both arms."""
    reads = by_key(readings.first)
    found = []
    for reader in readings.readers:
        pairs = [
            (reads[reader, "unaided", case.case_id], reads[reader, "aided", case.case_id])
            for case in readings.cases
            if (reader, "unaided", case.case_id) in reads and (reader, "aided", case.case_id) in reads
        ]
        if pairs:
            found.append(_difference(reader, pairs, readings.protocol.seed))
    return found


def calls(reads: Sequence[StoredRead]) -> Calls:
    """Sensitivity, specificity and accuracy of the verdicts; NaN where a class has no read."""
    truth = np.array([read.case.positive for read in reads], bool)
    right = np.array([read.right for read in reads], bool)
    return Calls(proportion(right[truth]), proportion(right[~truth]), proportion(right))


def _figures(reader: str, arm: Arm, reads: list[StoredRead]) -> ReaderArm:
    rated = [read for read in reads if read.suspicion is not None]
    area, method = UNKNOWN, "no suspicion was given"
    if rated:
        area, method = auc_interval(_truth(rated), np.array([float(read.suspicion or 0) for read in rated]))
    return ReaderArm(
        reader,
        arm,
        len(reads),
        sum(read.case.positive for read in reads),
        sum(not read.assessable for read in reads),
        area,
        len(rated),
        method,
        calls(reads),
        calls([read for read in reads if read.assessable]),
        median(np.array([read.active_seconds for read in reads if read.active_seconds is not None])),
    )


def median(values: np.ndarray) -> Estimate:
    """Median with the exact 95 % interval of a quantile; no interval below six values, none of which reach 95 %."""
    if not len(values):
        return UNKNOWN
    test: Any = quantile_test(values, q=0, p=0.5)
    interval = test.confidence_interval(0.95)
    return Estimate(float(np.median(values)), float(interval.low), float(interval.high))


def _difference(reader: str, pairs: list[tuple[StoredRead, StoredRead]], seed: int) -> ReaderDifference:
    truth = _truth([unaided for unaided, _ in pairs])
    change = np.array([float(aided.right) - float(unaided.right) for unaided, aided in pairs])
    timed = [(a.active_seconds, b.active_seconds) for a, b in pairs]
    seconds = np.array([after - before for before, after in timed if before is not None and after is not None])
    area, p = _auc_difference(pairs)
    return ReaderDifference(
        reader,
        len(pairs),
        area,
        p,
        mean_change(change[truth]),
        mean_change(change[~truth]),
        mean_change(change),
        bootstrap_interval(lambda chosen: float(np.median(seconds[chosen])), np.arange(len(seconds)), seed=seed)
        if len(seconds)
        else UNKNOWN,
    )


def _auc_difference(pairs: list[tuple[StoredRead, StoredRead]]) -> tuple[Estimate, float]:
    rated = [pair for pair in pairs if None not in (pair[0].suspicion, pair[1].suspicion)]
    truth = _truth([unaided for unaided, _ in rated])
    if min(truth.sum(), (~truth).sum()) < 2:
        return UNKNOWN, math.nan
    unaided, aided = (np.array([float(pair[arm].suspicion or 0) for pair in rated]) for arm in (0, 1))
    found = compare_aucs(truth, aided, unaided)
    return found.difference, found.p


def mean_change(change: np.ndarray, clusters: np.ndarray | None = None) -> Estimate:
    """Mean of (reads,) changes from -1 to 1, with Student's interval between ``clusters``, else between reads.

    Where all changes are equal nothing is known of their spread, and there is no interval.
    """
    found = mean_interval(change, np.arange(len(change)) if clusters is None else clusters, (-1, 1))
    return Estimate(found.value, math.nan, math.nan) if found.high == found.low else found


def _truth(reads: Sequence[StoredRead]) -> np.ndarray:
    """(reads,) bool."""
    return np.array([read.case.positive for read in reads], bool)
