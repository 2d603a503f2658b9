"""Aided against unaided over readers and cases: from reads to the crossed table of a multi-reader analysis."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import ReadingsError
from pipeline.reader_study.readings import Key, StudyReadings, by_key
from pipeline.reader_study.reads import Arm, ReadCase, StoredRead
from pipeline.statistics.mrmc import MrmcAnalysis, analyse_readings
from pipeline.statistics.reader_figures import FigureOfMerit, Method, Readings

MODALITIES: tuple[Arm, ...] = ("aided", "unaided")
"""In this order, so that differences are aided minus unaided."""
METHOD: Method = "jackknife"


@dataclass(frozen=True)
class ArmComparison:
    """One multi-reader analysis of a study, or why there is none."""

    figure_of_merit: FigureOfMerit
    analysis: MrmcAnalysis | None
    cases_left_out: int = 0
    """Cases that some reader who counts has not read in both arms."""
    readers_left_out: tuple[str, ...] = ()
    """Readers without a read that can be used in one of the arms."""
    why_not: str = ""
    """Why there is no analysis."""
    costliest: tuple[str, int] | None = None
    """The reader without whom most cases would be complete, and their number; None where no reader costs any."""


def compare_arms(readings: StudyReadings, reads: Sequence[StoredRead], fom: FigureOfMerit) -> ArmComparison:
    """Obuchowski-Rockette analysis of the cases that all readers have read in both arms.

    Readers without any read in an arm are left out first, so that one who never began does not empty the study.

    Args:
        reads: the first or the latest reads of ``readings``.
    """
    rated = {key: _rating(read, fom) for key, read in by_key(reads).items()}
    usable = {key: rating for key, rating in rated.items() if rating is not None}
    began = [(reader, arm) for reader, arm, _ in usable]
    readers = [reader for reader in readings.readers if all((reader, arm) in began for arm in MODALITIES)]
    left_out = tuple(reader for reader in readings.readers if reader not in readers)
    complete = [case for case in readings.cases if _is_complete(case, readers, usable)] if readers else []
    lost = len(readings.cases) - len(complete)
    costliest = _costliest(readings.cases, readers, usable, len(complete))
    if not complete:
        reason = "no case was read in both arms by every reader" if readers else "no reader has reads in both arms"
        return ArmComparison(fom, None, lost, left_out, reason, costliest)
    ratings = [[[usable[reader, arm, case.case_id] for case in complete] for reader in readers] for arm in MODALITIES]
    truth = np.array([case.positive for case in complete])
    crossed = Readings(MODALITIES, tuple(readers), truth, np.array(ratings, float))
    try:
        return ArmComparison(fom, analyse_readings(crossed, fom, METHOD), lost, left_out, costliest=costliest)
    except ReadingsError as error:
        return ArmComparison(fom, None, lost, left_out, str(error), costliest)


def _costliest(
    cases: Sequence[ReadCase], readers: Sequence[str], usable: Collection[Key], complete: int
) -> tuple[str, int] | None:
    """As ``ArmComparison.costliest``; with two readers none, since one alone is no comparison over readers."""
    if len(readers) < 3:
        return None
    without = {
        reader: sum(_is_complete(case, [one for one in readers if one != reader], usable) for case in cases)
        for reader in readers
    }
    reader = max(without, key=without.__getitem__)
    return (reader, without[reader]) if without[reader] > complete else None


def _is_complete(case: ReadCase, readers: Sequence[str], usable: Collection[Key]) -> bool:
    return all((reader, arm, case.case_id) in usable for reader in readers for arm in MODALITIES)


def _rating(read: StoredRead, fom: FigureOfMerit) -> float | None:
    """What the figure is computed from; None where the read does not have it."""
    if fom == "auc":
        return None if read.suspicion is None else float(read.suspicion)
    return float(read.called)
