"""Predictions of all trainings of a study for the cases of one test, and the figures of a network over its seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.evaluation.predictions import CohortPredictions
from pipeline.paper_study.names import FIGURES, SEVERITY
from pipeline.paper_study.plan import TrainingPlan
from pipeline.statistics.auc import auc
from pipeline.statistics.trainings import Statistic, Trainings, draw_trainings

DRAWS = 2000


@dataclass(frozen=True)
class NetworkScores:
    """Predictions of one network."""

    scores: np.ndarray
    """(seeds, cases), higher is more likely positive."""
    called: np.ndarray | None
    """(seeds, cases) bool: at or above the training's own threshold; None for a score that has none."""


@dataclass(frozen=True)
class StudyScores:
    """Predictions of every network for the cases that all of them could predict."""

    cases: pd.DataFrame
    """One row per case: ``label``, ``anatomy``, ``site``, ``segmentation_score``."""
    networks: Mapping[str, NetworkScores]
    """By the name of the network."""
    left_out: int
    """Cases that a network could not predict at a seed; they are in no figure."""
    seed: int
    """Of the bootstrap."""

    @cached_property
    def labels(self) -> np.ndarray:
        return self.cases["label"].to_numpy(bool)

    @cached_property
    def anatomies(self) -> np.ndarray:
        return self.cases["anatomy"].to_numpy(str)

    def subset(self, chosen: np.ndarray) -> StudyScores:
        """The cases where ``chosen``, (cases,) bool, is true."""
        networks = {
            name: NetworkScores(found.scores[:, chosen], None if found.called is None else found.called[:, chosen])
            for name, found in self.networks.items()
        }
        return replace(self, cases=self.cases[chosen], networks=networks)

    def area(self, network: str, positive: np.ndarray | None = None) -> Trainings:
        """AUC of a network, for the label or for another class.

        Args:
            positive: (cases,) bool; None for the label.
        """
        labels, scores = self.labels if positive is None else positive, self.networks[network].scores
        return self._drawn(network, lambda number, cases: auc(labels[cases], scores[number, cases]))

    def figures(self, network: str) -> dict[str, Trainings]:
        """``FIGURES`` of a network; the AUC alone of a score without a threshold."""
        called, found = self.networks[network].called, {"auc": self.area(network)}
        if called is not None:
            among = {"sensitivity": self.labels, "specificity": ~self.labels, "accuracy": np.ones_like(self.labels)}
            right = called == self.labels
            found |= {name: self._drawn(network, _share(right, which)) for name, which in among.items()}
        return {name: found[name] for name in FIGURES if name in found}

    def _drawn(self, network: str, statistic: Statistic) -> Trainings:
        count = len(self.networks[network].scores)
        return draw_trainings(statistic, count, self.anatomies, seed=self.seed, draws=DRAWS)


def _share(right: np.ndarray, which: np.ndarray) -> Statistic:
    def share(number: int, cases: np.ndarray) -> float:
        chosen = cases[which[cases]]
        return float(right[number, chosen].mean()) if len(chosen) else np.nan

    return share


def read_scores(plans: Mapping[Path, Iterable[TrainingPlan]], severity: pd.Series | None, seed: int) -> StudyScores:
    """Read the evaluations of one test.

    Args:
        plans: trainings to read, by the folder of their seed's evaluation.
        severity: drawn by the simulation, by ``patient_id``, as a further network; None if it is not known.
        seed: of the bootstrap.
    """
    tables: dict[str, list[pd.DataFrame]] = {}
    for folder, trained in plans.items():
        predictions = CohortPredictions.read(folder)
        for plan in trained:
            tables.setdefault(plan.network, []).append(predictions.by_case(plan.name))
    cases = predictions.cases
    predicted = np.all([table["probability"].notna() for each in tables.values() for table in each], axis=0)
    networks = {name: _stacked(found, predicted) for name, found in tables.items()}
    if severity is not None:
        drawn = pd.to_numeric(severity.reindex(cases["patient_id"]), errors="coerce").to_numpy(float)[predicted]
        if np.isfinite(drawn).all():
            networks[SEVERITY] = NetworkScores(drawn[None], None)
    kept = cases.loc[predicted, ["label", "anatomy", "site", "segmentation_score"]].reset_index(drop=True)
    return StudyScores(kept, networks, int((~predicted).sum()), seed)


def _stacked(tables: Iterable[pd.DataFrame], chosen: np.ndarray) -> NetworkScores:
    kept = [table[chosen] for table in tables]
    scores = [table["probability"].to_numpy(float) for table in kept]
    return NetworkScores(np.stack(scores), np.stack([table["advanced"].to_numpy(bool) for table in kept]))
