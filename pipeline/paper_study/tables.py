"""Tables of the study: networks and tests, leak tests, masks and scores, beside the paper's own figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.evaluation.measures import Measure
from pipeline.evaluation.predictions import CohortPredictions
from pipeline.evaluation.report import NAMES, OVERLAP
from pipeline.evaluation.result import Evaluation
from pipeline.paper_study.names import (
    FIGURES,
    LEAKS,
    MAIN,
    PAPER,
    PAPER_ACCURACY_BY_SCORE,
    PAPER_OVERLAP,
    SHUFFLED,
    SITE,
    title,
)
from pipeline.statistics import Estimate
from pipeline.statistics.auc import auc_interval
from pipeline.statistics.means import mean_interval

PAPERS_OWN = "the paper's own, n = 23"
HEAD = ["Network", "Test", *(NAMES[figure] for figure in FIGURES)]
LEAK_HEAD = ["Network", "Cases", "AUC", "Method of the interval"]
SCORE_HEAD = ["Segmentation score", "Cases", "Accuracy", "The paper's own, n = 23"]
MASK_HEAD = ["Liver masks", "Cases", "Mean", "SD", "Lowest", "The paper's own, internal test"]


@dataclass(frozen=True)
class FinishedStudy:
    """A study whose evaluations are done."""

    folder: Path
    evaluations: Mapping[str, Evaluation]
    """By folder: the tests, the largest last, and ``LEAKS``."""
    note: Mapping[str, Any]
    """Content of ``study.json``."""
    seconds: Mapping[str, float]
    """By step, over all runs."""
    first_site: str
    """The site that is positive for the site network."""
    cases_known: bool
    """Whether the segmenter names the cases of its training, so that its members have seen none of these."""

    @property
    def tests(self) -> dict[str, Evaluation]:
        return {name: evaluation for name, evaluation in self.evaluations.items() if name != LEAKS}

    @property
    def largest(self) -> Evaluation:
        """The largest test."""
        return list(self.tests.values())[-1]

    def predictions(self, test: str) -> CohortPredictions:
        """Tables of one evaluation, as they were written."""
        return CohortPredictions.read(self.folder / test)


def main_table(study: FinishedStudy) -> pd.DataFrame:
    """A row for each network and test: cases, positives and anatomies, ``FIGURES`` each with ``_low`` and ``_high``."""
    rows = []
    for network in next(iter(study.tests.values())).models:
        for evaluation in study.tests.values():
            measures = evaluation.models[network].measures
            area = measures["auc"]
            row = {"network": network, "cases": area.cases, "positives": area.positives, "anatomies": area.anatomies}
            for figure in FIGURES:
                row |= _columns(figure, measures[figure].estimate)
                row[f"{figure}_paper"] = PAPER.get(network, {}).get(figure, math.nan)
            rows.append(row)
    return pd.DataFrame(rows)


def leak_table(study: FinishedStudy) -> pd.DataFrame:
    """A row for each leak test: ``test``, cases, anatomies, ``auc``, ``auc_low``, ``auc_high`` and ``interval``."""
    rows, models = [], study.evaluations[LEAKS].models
    for network, model in models.items():
        measure = model.measures["auc"]
        area, method = measure.estimate, measure.method
        if network == SITE:
            area, method = site_area(study.predictions(LEAKS), study.first_site)
        rows.append(_leak_row(title(network), measure, area, method))
    shuffled = [model.measures["auc"] for name, model in models.items() if name.startswith(SHUFFLED)]
    if len(shuffled) > 1:
        mean, method = mean_of_runs([measure.estimate.value for measure in shuffled]), f"t, {len(shuffled)} trainings"
        rows.append(_leak_row("Shuffled labels, mean", shuffled[0], mean, method))
    return pd.DataFrame(rows)


def site_area(predictions: CohortPredictions, first_site: str) -> tuple[Estimate, str]:
    """AUC of the site network for telling the first site of the training from the others, and its method."""
    table = predictions.by_case(SITE)
    table = table[table["probability"].notna()]
    from_first_site = (table["site"] == first_site).to_numpy(bool)
    return auc_interval(from_first_site, table["probability"].to_numpy(float), table["anatomy"].to_numpy(str))


def mean_of_runs(values: Sequence[float]) -> Estimate:
    """Mean of several trainings, with Student's interval: the chance of the training, not of the cases."""
    return mean_interval(np.array(values), np.arange(len(values)), (0.0, 1.0))


def lines(table: pd.DataFrame) -> Iterator[list[str]]:
    """The main table for people: each network's tests, then the paper's own figures; a network is named once."""
    for network, rows in table.groupby("network", sort=False):
        words = title(str(network))
        for row in rows.to_dict("records"):
            behind = f"n = {row['cases']} ({row['positives']} positive, {row['anatomies']} anatomies)"
            yield [words, behind, *(str(estimate_of(row, figure)) for figure in FIGURES)]
            words = ""
        if network in PAPER:
            theirs = PAPER[str(network)]
            yield ["", PAPERS_OWN, *(f"{theirs[figure]:.3f}" if figure in theirs else "" for figure in FIGURES)]


def leak_lines(leaks: pd.DataFrame) -> Iterator[list[str]]:
    for row in leaks.to_dict("records"):
        yield [row["test"], _behind(row["cases"], row["anatomies"]), str(estimate_of(row, "auc")), row["interval"]]


def score_lines(evaluation: Evaluation) -> Iterator[list[str]]:
    """Accuracy of the main network at each segmentation score."""
    for score, accuracy in accuracy_by_score(evaluation).items():
        theirs = PAPER_ACCURACY_BY_SCORE.get(score)
        behind = _behind(accuracy.cases, accuracy.anatomies)
        yield [score, behind, str(accuracy.estimate), f"{theirs:.3f}" if theirs else ""]


def accuracy_by_score(evaluation: Evaluation) -> dict[str, Measure]:
    """Of the main network, by segmentation score; empty if the cohort has no scores."""
    by_score = evaluation.models[MAIN].strata.get("segmentation_score", {})
    return {score: figures["accuracy"] for score, figures in by_score.items()}


def mask_lines(evaluation: Evaluation) -> Iterator[list[str]]:
    """Dice and IoU of the masks in use, if true ones are known."""
    if evaluation.segmentation is None:
        return
    for name, theirs in PAPER_OVERLAP.items():
        found = evaluation.segmentation.measures[name]
        if found.cases:
            spread = f"{found.sd:.3f}" if math.isfinite(found.sd) else ""
            behind = _behind(found.cases, found.anatomies)
            yield [OVERLAP[name], behind, str(found.mean), spread, f"{found.lowest:.3f}", f"{theirs:.3f}"]


def markdown(study: FinishedStudy, table: pd.DataFrame, leaks: pd.DataFrame) -> str:
    """All tables of ``table.md``."""
    parts = [
        markdown_table(HEAD, lines(table)),
        markdown_table(LEAK_HEAD, leak_lines(leaks)),
        markdown_table(SCORE_HEAD, score_lines(study.largest)),
        markdown_table(MASK_HEAD, mask_lines(study.largest)),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def estimate_of(row: Mapping[Any, Any], figure: str) -> Estimate:
    """A figure of a row of ``main_table`` or ``leak_table``."""
    return Estimate(row[figure], row[f"{figure}_low"], row[f"{figure}_high"])


def _columns(figure: str, estimate: Estimate) -> dict[str, float]:
    return {figure: estimate.value, f"{figure}_low": estimate.low, f"{figure}_high": estimate.high}


def _leak_row(words: str, measure: Measure, area: Estimate, method: str) -> dict[str, Any]:
    counts = {"cases": measure.cases, "anatomies": measure.anatomies}
    return {"test": words} | counts | _columns("auc", area) | {"interval": method}


def _behind(cases: int, anatomies: int) -> str:
    return f"n = {cases} ({anatomies} anatomies)"
