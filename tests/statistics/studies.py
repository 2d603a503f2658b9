"""Reader studies for tests: simulated ones, VanDyke's, and covariances by the textbook's loops."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from pipeline.statistics.auc import auc
from pipeline.statistics.reader_figures import Readings
from tests.shared import shared_path


def van_dyke() -> Readings:
    """Five readers, two modalities, 114 cases (Van Dyke et al., 1993); skips where the data are absent."""
    table = pd.read_csv(shared_path("reader_study/VanDyke.csv"))
    ratings = table.pivot(index=["treatment", "reader"], columns="case", values="rating").to_numpy(float)
    truth = table.groupby("case").truth.first().to_numpy() == 1
    return Readings(("1", "2"), ("1", "2", "3", "4", "5"), truth, ratings.reshape(2, 5, -1))


def small_study(*, modalities: int = 3, readers: int = 4, positives: int = 12, negatives: int = 15, seed: int = 0):
    """Ratings in whole steps, so with ties, of readers who agree in part."""
    random = np.random.default_rng(seed)
    positive = np.arange(positives + negatives) < positives
    case = random.normal(1.2 * positive, 1)
    ratings = np.round(case + random.normal(0, 1, (modalities, readers, len(positive))))
    names = [str(number) for number in range(1, 10)]
    return Readings(tuple(names[:modalities]), tuple(names[:readers]), positive, ratings)


def kernel(high: float, low: float) -> float:
    """What a pair of ratings of a positive and of a negative case counts."""
    return 1.0 if high > low else 0.5 if high == low else 0.0


def delong_by_loops(first: np.ndarray, second: np.ndarray, positive: np.ndarray) -> float:
    """Covariance of two AUCs as DeLong's equations (4) to (6) spell it, pair by pair."""
    components = []
    for ratings in (first, second):
        high, low = ratings[positive], ratings[~positive]
        of_positives = [sum(kernel(x, y) for y in low) / len(low) for x in high]
        of_negatives = [sum(kernel(x, y) for x in high) / len(high) for y in low]
        components.append((of_positives, of_negatives))
    total = 0.0
    for a, b in zip(*components, strict=True):
        total += np.cov(a, b)[0, 1] / len(a)
    return total


def jackknife_by_loops(first: np.ndarray, second: np.ndarray, positive: np.ndarray) -> float:
    """Covariance of two AUCs from the AUCs without each case in turn."""
    cases = np.arange(len(positive))
    left = [[auc(positive[cases != k], row[cases != k]) for k in cases] for row in (first, second)]
    return float(np.cov(*left)[0, 1] * (len(cases) - 1) ** 2 / len(cases))


def by_loops(readings: Readings, covariance) -> np.ndarray:
    """(modalities, readers, modalities, readers) by one of the loops above."""
    places = list(itertools.product(range(len(readings.modalities)), range(len(readings.readers))))
    shape = (len(readings.modalities), len(readings.readers)) * 2
    matrix = np.empty(shape)
    for a, b in itertools.product(places, places):
        matrix[a + b] = covariance(readings.ratings[a], readings.ratings[b], readings.positive)
    return matrix
