"""Accuracy by segmentation score, of the readers and of the model, as in the paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from pipeline.reader_study.analysis.reliance import ReadPair
from pipeline.statistics.estimate import Estimate
from pipeline.statistics.proportions import proportion

SCORES = (1, 2, 3)
GivenBy = Literal["reader", "model"]


class ScoreRow(NamedTuple):
    """Pairs of reads with one segmentation score. Intervals are over cases."""

    given_by: GivenBy
    """The reader in the aided read, or the model, which predicts it."""
    score: int
    pairs: int
    cases: int
    model: Estimate
    """Share of these pairs whose case the model called right."""
    unaided: Estimate
    aided: Estimate


def by_score(pairs: Sequence[ReadPair]) -> list[ScoreRow]:
    """Every score that was given, by readers and by the model."""
    found = []
    for given_by in ("reader", "model"):
        for score in SCORES:
            own = [pair for pair in pairs if _score(pair, given_by) == score]  # type: ignore[arg-type]
            if own:
                found.append(_row(given_by, score, own))  # type: ignore[arg-type]
    return found


def _score(pair: ReadPair, given_by: GivenBy) -> int | None:
    return pair.aided.segmentation_quality if given_by == "reader" else pair.aided.case.score


def _row(given_by: GivenBy, score: int, pairs: Sequence[ReadPair]) -> ScoreRow:
    clusters = np.array([pair.aided.case.case_id for pair in pairs])
    return ScoreRow(
        given_by,
        score,
        len(pairs),
        len(set(clusters.tolist())),
        proportion(np.array([bool(pair.aided.case.model_right) for pair in pairs]), clusters),
        proportion(np.array([pair.unaided.right for pair in pairs]), clusters),
        proportion(np.array([pair.aided.right for pair in pairs]), clusters),
    )
