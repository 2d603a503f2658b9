"""One multi-reader multi-case analysis: readers' figures, the three generalisations, each reader's own differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.statistics.auc import auc_interval
from pipeline.statistics.estimate import Estimate
from pipeline.statistics.obuchowski_rockette import (
    GENERALISATIONS,
    Covariances,
    Generalisation,
    Inference,
    MeanSquares,
    PairDifference,
    VarianceComponents,
    components,
    covariances,
    infer,
    mean_squares,
)
from pipeline.statistics.proportions import wilson
from pipeline.statistics.reader_figures import (
    FigureOfMerit,
    Method,
    ReaderFigures,
    Readings,
    called_positive,
    reader_figures,
)

WILSON = "Wilson"


@dataclass(frozen=True)
class MrmcAnalysis:
    """What a study says, with what it was computed from."""

    readings: Readings
    fom: FigureOfMerit
    method: Method
    threshold: float | None
    figures: ReaderFigures
    intervals: tuple[tuple[Estimate, ...], ...]
    """[modality][reader]: the figure with its own interval, which owes nothing to the other readers."""
    interval_methods: tuple[tuple[str, ...], ...]
    """[modality][reader]: how that interval was made, in words."""
    ms: MeanSquares
    cov: Covariances
    components: VarianceComponents
    inferences: dict[Generalisation, Inference]
    by_reader: tuple[tuple[PairDifference, ...], ...]
    """[reader][pair]: differences of one reader, readers being fixed."""

    @property
    def means(self) -> np.ndarray:
        """(modalities,) means over readers."""
        return np.asarray(self.figures.values.mean(axis=1))


def analyse_readings(
    readings: Readings, fom: FigureOfMerit = "auc", method: Method = "jackknife", threshold: float | None = None
) -> MrmcAnalysis:
    """Analyse a fully crossed study; arguments and errors as in ``reader_figures``."""
    figures = reader_figures(readings, fom, method, threshold)
    ms, cov = mean_squares(figures.values), covariances(figures.covariance)
    own = [[_own_interval(readings.positive, row, fom, threshold) for row in modality] for modality in readings.ratings]
    return MrmcAnalysis(
        readings,
        fom,
        method,
        threshold,
        figures,
        tuple(tuple(estimate for estimate, _ in row) for row in own),
        tuple(tuple(words for _, words in row) for row in own),
        ms,
        cov,
        components(ms, cov, len(readings.modalities)),
        {name: infer(figures, name) for name in GENERALISATIONS},
        tuple(infer(_of_reader(figures, number), "frrc").pairwise for number in range(len(readings.readers))),
    )


def _of_reader(figures: ReaderFigures, number: int) -> ReaderFigures:
    one = slice(number, number + 1)
    return ReaderFigures(figures.values[:, one], figures.covariance[:, one, :, one])


def _own_interval(
    positive: np.ndarray, ratings: np.ndarray, fom: FigureOfMerit, threshold: float | None
) -> tuple[Estimate, str]:
    if fom == "auc":
        return auc_interval(positive, ratings)
    called = called_positive(ratings, threshold)
    right = called[positive] if fom == "sensitivity" else ~called[~positive]
    return wilson(int(right.sum()), len(right)), WILSON
