"""How often the multi-reader analysis rejects a true null hypothesis, and how often its intervals hold the truth.

    python -m benchmarks.mrmc_simulation [STUDIES] [--readers 5]

Studies of some readers, two modalities and 50 + 50 cases from the model of Roe & Metz, Acad Radiol 4 (1997) 298: a
rating is the sum of normal effects of reader, reader by modality, case, case by modality, case by reader and all three,
with variances after their structures (H and L: high and low correlation of the data, then high and low variance of the
readers). The expected AUC of a modality whose classes lie ``mu`` apart is Phi(mu / sqrt(2 V)), V being the variance of
a rating, so that the truth is known without simulation.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from pipeline.statistics.obuchowski_rockette import infer
from pipeline.statistics.reader_figures import Method, Readings, reader_figures

READERS, POSITIVES, NEGATIVES = 5, 50, 50
AUCS = (0.75, 0.80, 0.85)
GAP = 0.05
"""True difference of the AUCs where there is one."""


class Structure(NamedTuple):
    """Variances of the effects; those of one case add up to 1."""

    case: float
    case_modality: float
    case_reader: float
    rest: float
    reader: float
    """Also that of reader by modality; drawn for each class of cases."""

    @property
    def total(self) -> float:
        """Variance of a rating within its class."""
        return sum(self[:4]) + 2 * self.reader


STRUCTURES = {
    "HL": Structure(0.3, 0.3, 0.2, 0.2, 0.0055),
    "LL": Structure(0.1, 0.1, 0.2, 0.6, 0.0055),
    "HH": Structure(0.3, 0.3, 0.2, 0.2, 0.030),
    "LH": Structure(0.1, 0.1, 0.2, 0.6, 0.030),
}


class Rates(NamedTuple):
    """Shares of the studies."""

    rejected: float
    """Test of random readers and cases with p below 0.05; the type I error where there is no difference."""
    covered: float
    """95 % interval of the difference holds the true one."""
    single_covered: float
    """95 % interval of the first modality's mean holds its expected AUC."""


def separation(auc: float, structure: Structure) -> float:
    """Distance of the classes at which the expected AUC is this."""
    return float(norm.ppf(auc)) * math.sqrt(2 * structure.total)


def simulated(
    random: np.random.Generator, structure: Structure, aucs: tuple[float, float], studies: int, readers: int = READERS
) -> tuple[np.ndarray, np.ndarray]:
    """Labels (cases,) and ratings (studies, modalities, readers, cases)."""
    positive = np.arange(POSITIVES + NEGATIVES) < POSITIVES
    cases, kind = len(positive), positive.astype(int)

    def effect(variance: float, *shape: int) -> np.ndarray:
        return random.normal(0, math.sqrt(variance), (studies, *shape))

    ratings = effect(structure.case, 1, 1, cases) + effect(structure.case_modality, 2, 1, cases)
    ratings = ratings + effect(structure.case_reader, 1, readers, cases) + effect(structure.rest, 2, readers, cases)
    by_class = effect(structure.reader, 1, readers, 2) + effect(structure.reader, 2, readers, 2)
    ratings += by_class[..., kind]
    means = np.array([separation(auc, structure) for auc in aucs])
    return positive, ratings + means[:, None, None] * positive


def rates(
    structure: Structure,
    aucs: tuple[float, float],
    *,
    studies: int,
    seed: int,
    method: Method = "jackknife",
    readers: int = READERS,
) -> Rates:
    """Analyse simulated studies."""
    random = np.random.default_rng(seed)
    held = np.zeros((studies, 3), bool)
    names = tuple(str(number + 1) for number in range(readers))
    for start in range(0, studies, 200):
        positive, ratings = simulated(random, structure, aucs, min(200, studies - start), readers)
        for place, study in enumerate(ratings, start):
            readings = Readings(("1", "2"), names, positive, study)
            found = infer(reader_figures(readings, "auc", method), "rrrc")
            (pair,), single = found.pairwise, found.single[0]
            held[place] = (
                found.test.p < 0.05,
                pair.low <= aucs[0] - aucs[1] <= pair.high,
                single.low <= aucs[0] <= single.high,
            )
    return Rates(*(float(share) for share in held.mean(axis=0)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", type=int, nargs="?", default=2000)
    parser.add_argument("--readers", type=int, default=READERS)
    given = parser.parse_args()
    studies, readers = given.studies, given.readers
    start = time.perf_counter()
    print(f"{studies} studies a row, standard error of a share of 5 %: {math.sqrt(0.05 * 0.95 / studies):.4f}")
    print("structure | AUCs | covariances", *Rates._fields, sep=" | ")
    sums: dict[bool, list[Rates]] = {False: [], True: []}
    for number, (name, structure) in enumerate(STRUCTURES.items()):
        for step, auc in enumerate(AUCS):
            for other in (auc, auc - GAP):
                found = rates(structure, (auc, other), studies=studies, seed=10 * number + step, readers=readers)
                sums[other == auc].append(found)
                print(
                    f"{name} | {auc:.2f}, {other:.2f} | jackknife", *(f"{x:.4f}" for x in found), sep=" | ", flush=True
                )
    for equal, label in ((True, "equal AUCs"), (False, "different AUCs")):
        print(f"all | {label} | jackknife", *(f"{x:.4f}" for x in np.mean(sums[equal], axis=0)), sep=" | ")
    found = rates(STRUCTURES["HL"], (0.80, 0.80), studies=studies, seed=0, method="delong", readers=readers)
    print("HL | 0.80, 0.80 | delong", *(f"{x:.4f}" for x in found), sep=" | ")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
