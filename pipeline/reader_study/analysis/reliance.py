"""How readers changed their verdicts after the model's result was shown, and whether the model was right then.

Over-reliance (automation bias) shows where the model was wrong: readers who were right follow it. Intervals are over
cases: the reads of one case by several readers are not independent, and count as a cluster. Readers are fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from pipeline.reader_study.analysis.reader_arms import mean_change
from pipeline.reader_study.readings import StudyReadings, by_key
from pipeline.reader_study.reads import StoredRead
from pipeline.statistics.estimate import Estimate
from pipeline.statistics.proportions import proportion

Model = Literal["right", "wrong", "all"]
MODEL: tuple[Model, ...] = ("right", "wrong", "all")


class ReadPair(NamedTuple):
    """The two reads of a case by one reader."""

    unaided: StoredRead
    aided: StoredRead

    @property
    def better(self) -> bool:
        """Wrong before, right after."""
        return self.aided.right and not self.unaided.right

    @property
    def worse(self) -> bool:
        """Right before, wrong after."""
        return self.unaided.right and not self.aided.right


class Reliance(NamedTuple):
    """Changes of verdict where the model was right, wrong, or either; ``not_assessable`` counts as wrong."""

    model: Model
    pairs: int
    """Pairs of reads of a case that the model classified."""
    cases: int
    better: Estimate
    """Share of the pairs that changed from wrong to right."""
    worse: Estimate
    """Share that changed from right to wrong."""
    same: Estimate
    """Share that was as right, or as wrong, as before."""
    counts: tuple[int, int, int]
    """Pairs better, worse and the same."""
    corrected: Estimate
    """Of the pairs that were wrong before, the share that was right after."""
    misled: Estimate
    """Of the pairs that were right before, the share that was wrong after."""
    unaided: Estimate
    """Accuracy before."""
    aided: Estimate
    """Accuracy after."""
    difference: Estimate
    """Accuracy after minus before."""
    with_model: tuple[Estimate, Estimate]
    """Share of the verdicts that were the model's, before and after."""


class ReaderChanges(NamedTuple):
    """One reader's changes: counts of pairs."""

    reader: str
    model: Model
    pairs: int
    better: int
    worse: int
    same: int


def pairs_of(readings: StudyReadings) -> list[ReadPair]:
    """The cases that a reader read in both arms and that the model classified."""
    reads = by_key(readings.first)
    found = []
    for (reader, arm, case_id), read in reads.items():
        aided = reads.get((reader, "aided", case_id))
        if arm == "unaided" and aided is not None and read.case.model_right is not None:
            found.append(ReadPair(read, aided))
    return found


def reliance(pairs: Sequence[ReadPair]) -> list[Reliance]:
    """Of the pairs where the model was right, wrong, and of all."""
    return [_reliance(model, of_model(pairs, model)) for model in MODEL]


def reader_changes(readings: StudyReadings, pairs: Sequence[ReadPair]) -> list[ReaderChanges]:
    """Counts by reader and by whether the model was right."""
    found = []
    for reader in readings.readers:
        for model in MODEL:
            own = [pair for pair in of_model(pairs, model) if pair.unaided.reader == reader]
            better, worse = sum(pair.better for pair in own), sum(pair.worse for pair in own)
            found.append(ReaderChanges(reader, model, len(own), better, worse, len(own) - better - worse))
    return found


def of_model(pairs: Sequence[ReadPair], model: Model) -> list[ReadPair]:
    """The pairs on whose case the model was right, or wrong."""
    return [pair for pair in pairs if model == "all" or pair.unaided.case.model_right == (model == "right")]


def _reliance(model: Model, pairs: Sequence[ReadPair]) -> Reliance:
    clusters = np.array([pair.unaided.case.case_id for pair in pairs])
    before, after = (np.array([pair[arm].right for pair in pairs], bool) for arm in (0, 1))
    better, worse = after & ~before, before & ~after
    with_model = [np.array([_is_models(pair[arm]) for pair in pairs], bool) for arm in (0, 1)]
    counts = (int(better.sum()), int(worse.sum()), len(pairs) - int(better.sum()) - int(worse.sum()))
    return Reliance(
        model,
        len(pairs),
        len(set(clusters.tolist())),
        proportion(better, clusters),
        proportion(worse, clusters),
        proportion(~(better | worse), clusters),
        counts,
        proportion(after[~before], clusters[~before]),
        proportion(~after[before], clusters[before]),
        proportion(before, clusters),
        proportion(after, clusters),
        mean_change(after.astype(float) - before.astype(float), clusters),
        (proportion(with_model[0], clusters), proportion(with_model[1], clusters)),
    )


def _is_models(read: StoredRead) -> bool:
    return read.verdict == ("yes" if read.case.model_positive else "no")
