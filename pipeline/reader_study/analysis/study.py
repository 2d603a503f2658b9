"""The whole analysis of a study."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.reader_study.analysis.comparison import ArmComparison, compare_arms
from pipeline.reader_study.analysis.consistency import Kappa, OverReaders, kappas, over_readers
from pipeline.reader_study.analysis.reader_arms import (
    ReaderArm,
    ReaderDifference,
    reader_arms,
    reader_differences,
)
from pipeline.reader_study.analysis.reliance import ReaderChanges, Reliance, pairs_of, reader_changes, reliance
from pipeline.reader_study.analysis.segmentation import ScoreRow, by_score
from pipeline.reader_study.readings import StudyReadings
from pipeline.statistics.reader_figures import FigureOfMerit

FIGURES: tuple[FigureOfMerit, ...] = ("auc", "sensitivity", "specificity")


@dataclass(frozen=True)
class StudyAnalysis:
    """Everything that a report says, with what it was computed from."""

    readings: StudyReadings
    comparisons: tuple[ArmComparison, ...]
    """The protocol's figure of merit first: the primary analysis; then the others."""
    corrected: ArmComparison
    """The primary analysis with the latest corrections: the sensitivity analysis."""
    arms: tuple[ReaderArm, ...]
    differences: tuple[ReaderDifference, ...]
    reliance: tuple[Reliance, ...]
    changes: tuple[ReaderChanges, ...]
    kappas: tuple[Kappa, ...]
    over_readers: tuple[OverReaders, ...]
    scores: tuple[ScoreRow, ...]

    @property
    def primary(self) -> ArmComparison:
        return self.comparisons[0]


def analyse_study(readings: StudyReadings) -> StudyAnalysis:
    """Analyse what is stored; what is not estimable is NaN with its reason, never an error."""
    primary: FigureOfMerit = readings.protocol.figure_of_merit.value
    order = (primary, *(fom for fom in FIGURES if fom != primary))
    pairs = pairs_of(readings)
    return StudyAnalysis(
        readings,
        tuple(compare_arms(readings, readings.first, fom) for fom in order),
        compare_arms(readings, readings.latest, primary),
        tuple(reader_arms(readings)),
        tuple(reader_differences(readings)),
        tuple(reliance(pairs)),
        tuple(reader_changes(readings, pairs)),
        tuple(kappas(readings)),
        tuple(over_readers(readings)),
        tuple(by_score(pairs)),
    )
