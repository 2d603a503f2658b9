"""Coverage of the interval over trainings: how often it holds the AUC that networks have on average.

    python -m benchmarks.coverage

Ten anatomies of twelve cases and three trainings: labels and scores of an anatomy are related, trainings differ in how
far they tell the classes apart and in how they err. Beside it the percentile interval of the plain hierarchical
bootstrap, which draws as many anatomies and trainings as there are.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from pipeline.statistics.auc import auc
from pipeline.statistics.bootstrap import cluster_draws
from pipeline.statistics.trainings import draw_trainings, mean_over_trainings

ANATOMIES, CASES, TRAININGS, SEPARATION = 10, 12, 3, 1.2
CLUSTERS = np.repeat(np.arange(ANATOMIES), CASES)


class Coverage(NamedTuple):
    """Shares of the simulations whose interval holds the expected AUC, and mean widths."""

    expected: float
    hierarchical: float
    hierarchical_width: float
    percentile: float
    percentile_width: float


def simulated(random: np.random.Generator, between_seeds: float, trainings: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (cases,) and scores (trainings, cases)."""
    labels = random.random(len(CLUSTERS)) < expit(random.normal(0, 0.5, ANATOMIES))[CLUSTERS]
    shared = random.normal(0, 0.5, ANATOMIES)[CLUSTERS] + random.normal(0, 1, len(CLUSTERS))
    separation = SEPARATION + random.normal(0, between_seeds, (trainings, 1))
    own = random.normal(0, 0.25, (trainings, ANATOMIES))[:, CLUSTERS] + random.normal(0, 0.5, (trainings, len(shared)))
    return labels, separation * labels + shared + own


def coverage(between_seeds: float, *, repetitions: int, draws: int) -> Coverage:
    """Simulate studies whose trainings have a separation with the standard deviation ``between_seeds``."""
    random = np.random.default_rng(0)
    known = (simulated(random, between_seeds, 1) for _ in range(4000))
    expected = float(np.mean([auc(labels, scores[0]) for labels, scores in known]))
    held, widths = np.zeros((repetitions, 2), bool), np.zeros((repetitions, 2))
    for number in range(repetitions):
        labels, scores = simulated(random, between_seeds, TRAININGS)

        def area(training: int, cases: np.ndarray, labels: np.ndarray = labels, scores: np.ndarray = scores) -> float:
            return auc(labels[cases], scores[training, cases])

        ours = mean_over_trainings(draw_trainings(area, TRAININGS, CLUSTERS, seed=number, draws=draws))
        plain = [
            np.mean([area(int(training), cases) for training in random.integers(0, TRAININGS, TRAININGS)])
            for cases in cluster_draws(CLUSTERS, seed=number, draws=draws)
        ]
        for place, (low, high) in enumerate((ours[1:], np.percentile(plain, [2.5, 97.5]))):
            held[number, place], widths[number, place] = low <= expected <= high, high - low
    (ours_held, plain_held), (ours_width, plain_width) = held.mean(axis=0), widths.mean(axis=0)
    return Coverage(expected, float(ours_held), float(ours_width), float(plain_held), float(plain_width))


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("SD of the separation between seeds", *Coverage._fields, sep=" | ")
    for between_seeds in (0.0, 0.15, 0.4):
        found = coverage(between_seeds, repetitions=repetitions, draws=200)
        print(
            f"{between_seeds} | {found.expected:.3f} | {found.hierarchical:.3f}, {found.hierarchical_width:.3f}", end=""
        )
        print(f" | {found.percentile:.3f}, {found.percentile_width:.3f}", flush=True)


if __name__ == "__main__":
    main()
