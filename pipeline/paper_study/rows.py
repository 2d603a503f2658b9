"""Rows of the study's tables: figures of each network over its seeds, leak tests with their positive controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.evaluation.result import Evaluation
from pipeline.paper_study.names import CONTROL_FEATURES, CONTROLS, FIGURES, MAIN, PAPER, SITE
from pipeline.paper_study.scores import StudyScores
from pipeline.statistics.trainings import Difference, Trainings, difference_over_trainings, mean_over_trainings


@dataclass(frozen=True)
class Counts:
    """The cases behind a row."""

    cases: int
    positives: int
    anatomies: int

    @classmethod
    def of(cls, scores: StudyScores) -> Counts:
        return cls(len(scores.labels), int(scores.labels.sum()), len(set(scores.anatomies)))


@dataclass(frozen=True)
class NetworkRow:
    """A network on one test."""

    network: str
    test: str
    """Name of the test, by its number of cases."""
    counts: Counts
    figures: Mapping[str, Trainings]
    """By name, those of ``FIGURES`` that the network has."""

    @property
    def area(self) -> Trainings:
        return self.figures["auc"]

    def to_record(self) -> dict[str, Any]:
        """A row of ``table.csv``: each figure with ``_sd``, ``_low``, ``_high`` and ``_paper``, empty if unknown."""
        record: dict[str, Any] = {"network": self.network} | vars(self.counts) | {"seeds": len(self.area.values)}
        for figure in FIGURES:
            if figure in self.figures:
                record |= _columns(figure, self.figures[figure])
            record[f"{figure}_paper"] = PAPER.get(self.network, {}).get(figure)
        return record


@dataclass(frozen=True)
class ComparisonRow:
    """AUC of the main network less that of another, on one test."""

    other: str
    test: str
    counts: Counts
    difference: Difference

    def to_record(self) -> dict[str, Any]:
        difference, p = self.difference
        return {"other": self.other, "cases": self.counts.cases} | difference._asdict() | {"p": p}


@dataclass(frozen=True)
class LeakRow:
    """A leak test: a network that should find nothing, and baselines that are given the same."""

    network: str
    counts: Counts
    area: Trainings
    controls: Mapping[str, Trainings]
    """AUC of each positive control; empty where the test needs none."""

    def to_record(self) -> dict[str, Any]:
        controls = {name: _columns("auc", area) for name, area in self.controls.items()}
        return {"test": self.network} | vars(self.counts) | _columns("auc", self.area) | {"controls": controls}


@dataclass(frozen=True)
class StudyTables:
    """What a study has found so far: complete seeds only."""

    networks: list[NetworkRow]
    """By network, and in it by test, the largest last."""
    comparisons: list[ComparisonRow]
    leaks: list[LeakRow]
    """On the largest test."""
    by_score: Mapping[str, tuple[Counts, Trainings]]
    """Accuracy of the main network on the largest test by segmentation score; empty if the cohort has none."""


@dataclass(frozen=True)
class FinishedSeeds:
    """A study of which at least one seed is done: trained and evaluated."""

    folder: Path
    note: Mapping[str, Any]
    """Content of ``study.json``."""
    seconds: Mapping[str, float]
    """By step, over all runs."""
    seeds: tuple[int, ...]
    planned: int
    """Number of seeds of the whole study."""
    evaluations: Mapping[str, list[Evaluation]]
    """Of each seed, by the name of the test, the largest last."""
    scores: dict[str, StudyScores]
    """Of the table's networks, by the name of the test."""
    leak_scores: StudyScores
    """Of leak tests and controls, on the largest test."""
    first_site: str
    """The site that is positive for the site network."""
    cases_known: bool
    """Whether the segmenter names the cases of its training, so that its members have seen none of these."""

    @property
    def largest(self) -> Evaluation:
        """The largest test at the first seed."""
        return list(self.evaluations.values())[-1][0]

    @cached_property
    def tables(self) -> StudyTables:
        """All rows; computed once, since it draws every bootstrap."""
        last = list(self.scores)[-1]
        rows = [
            NetworkRow(network, test, Counts.of(scores), scores.figures(network))
            for network in self.scores[last].networks
            for test, scores in self.scores.items()
        ]
        return StudyTables(rows, list(_comparisons(rows)), list(_leaks(self)), _by_score(self.scores[last]))


def _comparisons(rows: list[NetworkRow]) -> Iterator[ComparisonRow]:
    for main in (row for row in rows if row.network == MAIN):
        for row in rows:
            if row.network != MAIN and row.test == main.test:
                yield ComparisonRow(row.network, row.test, row.counts, difference_over_trainings(main.area, row.area))


def _leaks(study: FinishedSeeds) -> Iterator[LeakRow]:
    scores = study.leak_scores
    areas = {
        network: scores.area(network, scores.cases["site"].eq(study.first_site).to_numpy() if network == SITE else None)
        for network in scores.networks
    }
    for network, area in areas.items():
        if network not in CONTROL_FEATURES:
            beside = {name: areas[name] for name in CONTROLS.get(network, ()) if name in areas}
            yield LeakRow(network, Counts.of(scores), area, beside)


def _by_score(scores: StudyScores) -> dict[str, tuple[Counts, Trainings]]:
    given = scores.cases["segmentation_score"].astype(str)
    parts = {score: scores.subset(given.eq(score).to_numpy()) for score in sorted(set(given) - {""})}
    return {score: (Counts.of(part), part.figures(MAIN)["accuracy"]) for score, part in parts.items()}


def _columns(figure: str, found: Trainings) -> dict[str, Any]:
    mean = mean_over_trainings(found)
    return {
        figure: mean.value,
        f"{figure}_sd": found.sd,
        f"{figure}_low": mean.low,
        f"{figure}_high": mean.high,
        f"{figure}_by_seed": [round(float(value), 4) for value in found.values],
    }
