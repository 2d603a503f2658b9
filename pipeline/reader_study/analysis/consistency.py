"""Agreement between readers in each arm, and of readers with the model, on each answer's full scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from pipeline.reader_study.readings import StudyReadings, by_key
from pipeline.reader_study.reads import ARMS, VERDICTS, Arm, ReadCase, StoredRead
from pipeline.statistics.agreement import Agreement, Weights, fleiss_kappa, icc_agreement, weighted_kappa

Answer = Literal["verdict", "suspicion", "segmentation"]
MODEL = "model"
"""Name of the model beside the readers' codes, which are in capitals."""


class Scale(NamedTuple):
    """An answer's levels and how a disagreement on them is weighted."""

    levels: Sequence[int]
    weights: Weights
    arms: tuple[Arm, ...]
    of_reader: Callable[[StoredRead], int | None]
    of_model: Callable[[ReadCase], int | None]


def _verdict_of_model(case: ReadCase) -> int | None:
    return None if case.model_positive is None else VERDICTS.index("yes" if case.model_positive else "no")


def _suspicion_of_model(case: ReadCase) -> int | None:
    return None if case.probability is None else round(100 * case.probability)


SCALES: Mapping[Answer, Scale] = {
    "verdict": Scale(range(len(VERDICTS)), "none", ARMS, lambda r: VERDICTS.index(r.verdict), _verdict_of_model),
    "suspicion": Scale(range(101), "quadratic", ARMS, lambda r: r.suspicion, _suspicion_of_model),
    "segmentation": Scale(
        range(1, 4), "quadratic", ("aided",), lambda r: r.segmentation_quality, lambda case: case.score
    ),
}
"""The segmentation score is given in the aided arm only: the outline is not shown before."""


class Kappa(NamedTuple):
    """Cohen's kappa of two raters, of whom the second may be the model."""

    answer: Answer
    arm: Arm
    first: str
    second: str
    agreement: Agreement


class OverReaders(NamedTuple):
    """A measure over all readers, on the cases that all of them answered in this arm."""

    measure: Literal["fleiss_kappa", "icc_2_1"]
    answer: Answer
    arm: Arm
    readers: int
    agreement: Agreement


def kappas(readings: StudyReadings) -> list[Kappa]:
    """Of all pairs of readers, and of each reader with the model, on the cases that both answered."""
    found: list[Kappa] = []
    for answer, scale in SCALES.items():
        for arm in scale.arms:
            raters = _answers(readings, scale, arm) | {MODEL: _of_model(readings, scale)}
            for first, second in combinations(raters, 2):
                shared = [case for case in raters[first] if case in raters[second]]
                a, b = (np.array([raters[name][case] for case in shared], int) for name in (first, second))
                found.append(Kappa(answer, arm, first, second, weighted_kappa(a, b, scale.levels, scale.weights)))
    return found


def over_readers(readings: StudyReadings) -> list[OverReaders]:
    """Fleiss' kappa of the verdicts and of the segmentation scores, and ICC(2,1) of the suspicion."""
    found: list[OverReaders] = []
    for answer, scale in SCALES.items():
        for arm in scale.arms:
            ratings = _complete(readings, scale, arm)
            readers = ratings.shape[1]
            if answer == "suspicion":
                found.append(OverReaders("icc_2_1", answer, arm, readers, icc_agreement(ratings)))
            else:
                kappa = fleiss_kappa(ratings, scale.levels, seed=readings.protocol.seed)
                found.append(OverReaders("fleiss_kappa", answer, arm, readers, kappa))
    return found


def _answers(readings: StudyReadings, scale: Scale, arm: Arm) -> dict[str, dict[str, int]]:
    """Answer by reader and case."""
    reads = by_key(readings.first)
    found: dict[str, dict[str, int]] = {reader: {} for reader in readings.readers}
    for (reader, own_arm, case_id), read in reads.items():
        answer = scale.of_reader(read)
        if own_arm == arm and answer is not None:
            found[reader][case_id] = answer
    return found


def _of_model(readings: StudyReadings, scale: Scale) -> dict[str, int]:
    answers = {case.case_id: scale.of_model(case) for case in readings.cases}
    return {case_id: answer for case_id, answer in answers.items() if answer is not None}


def _complete(readings: StudyReadings, scale: Scale, arm: Arm) -> np.ndarray:
    """(cases, readers) answers of the readers who answered any case, on the cases that all of them answered."""
    answers = [own for own in _answers(readings, scale, arm).values() if own]
    cases = [case.case_id for case in readings.cases if all(case.case_id in own for own in answers)]
    return np.array([[own[case_id] for own in answers] for case_id in cases], int).reshape(len(cases), len(answers))
