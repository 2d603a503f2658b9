"""The tables of the study: networks and tests, leak tests, masks and scores, and the figures of the paper itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.evaluation.report import NAMES, OVERLAP
from pipeline.statistics import Estimate
from pipeline.statistics.auc import auc_interval
from pipeline.statistics.means import mean_interval

MAIN, ENSEMBLE, LEAKS, SITE, SHUFFLED = "resnet", "ensemble", "leaks", "site", "shuffled_"
FIGURES = ("auc", "sensitivity", "specificity", "accuracy")
PAPER: dict[str, dict[str, float]] = {
    MAIN: {"auc": 0.811, "sensitivity": 0.778, "specificity": 0.800, "accuracy": 0.783},
    "densenet121": {"auc": 0.795},
    "swin_tiny": {"auc": 0.782},
    "unmasked": {"auc": 0.743},
}
"""Of Aggarwal et al. 2025, on its 23 patients with histology; it gives no interval."""
PAPERS_OWN = "the paper's own, n = 23"
PAPER_ACCURACY_BY_SCORE = {"1": 0.818, "3": 0.625}
PAPER_OVERLAP = {"dice": 0.960, "iou": 0.923}
"""On the paper's internal test, of another cohort than its 23."""
TITLES = {
    MAIN: "Masked-attention ResNet",
    "densenet121": "Masked-attention DenseNet121",
    "swin_tiny": "Masked-attention Swin Transformer",
    "unmasked": "ResNet without segmentation",
    ENSEMBLE: "Masked-attention ResNet, all folds together",
    "mask_only": "The outline of the liver alone",
    "background_only": "Everything but the liver",
    "background_only_without_spleen": "Everything but the liver, without the half where the spleen lies",
    SITE: "Which site is it? (against the site, not fibrosis)",
}
HEAD = ["Network", "Test", *(NAMES[figure] for figure in FIGURES)]
LEAK_HEAD = ["Network", "Cases", "AUC", "Method of the interval"]
SCORE_HEAD = ["Segmentation score", "Cases", "Accuracy", "The paper's own, n = 23"]
MASK_HEAD = ["Liver masks", "Cases", "Mean", "SD", "Lowest", "The paper's own, internal test"]


@dataclass(frozen=True)
class Study:
    """A study whose evaluations are done."""

    folder: Path
    found: Mapping[str, Mapping[str, Any]]
    """Of ``evaluate``, by folder: the tests, and ``LEAKS``."""
    note: Mapping[str, Any]
    """What the study was asked for."""
    seconds: Mapping[str, float]
    first_site: str
    """What the site network learnt to tell."""
    unseen: bool
    """Whether the segmenter says which cases it has seen, so that its members have seen none of these."""

    @property
    def tests(self) -> dict[str, Mapping[str, Any]]:
        return {name: content for name, content in self.found.items() if name != LEAKS}

    def answers(self, test: str) -> pd.DataFrame:
        """A row a case, as the evaluation wrote it."""
        texts = {"patient_id": str, "site": str, "source_anatomy": str}
        return pd.read_csv(
            self.folder / test / "cases.csv", dtype=texts, keep_default_na=False, na_values={"dice": [""]}
        )


def main_table(study: Study) -> pd.DataFrame:
    """A row for each network and test: cases, positives and anatomies, ``FIGURES`` each with ``_low`` and ``_high``."""
    rows = []
    for network in next(iter(study.tests.values()))["models"]:
        for content in study.tests.values():
            measures = content["models"][network]["measures"]
            area = measures["auc"]
            row = {"network": network, "cases": area.cases, "positives": area.positives, "anatomies": area.anatomies}
            for figure in FIGURES:
                value, low, high = measures[figure].estimate
                row |= {figure: value, f"{figure}_low": low, f"{figure}_high": high}
                row[f"{figure}_paper"] = PAPER.get(network, {}).get(figure, math.nan)
            rows.append(row)
    return pd.DataFrame(rows)


def leak_table(study: Study) -> pd.DataFrame:
    """A row for each leak test: ``test``, cases, anatomies, ``auc``, ``auc_low``, ``auc_high`` and ``interval``."""
    content, answers, rows = study.found[LEAKS], study.answers(LEAKS), []
    for network, model in content["models"].items():
        measure = model["measures"]["auc"]
        area, method = measure.estimate, measure.method
        if network == SITE:
            area, method = site_area(answers, study.first_site)
        rows.append(leak_row(title(network), measure, area, method))
    shuffled = [m["measures"]["auc"] for name, m in content["models"].items() if name.startswith(SHUFFLED)]
    if len(shuffled) > 1:
        mean, method = mean_of_runs([measure.estimate.value for measure in shuffled]), f"t, {len(shuffled)} trainings"
        rows.append(leak_row("Shuffled labels, mean", shuffled[0], mean, method))
    return pd.DataFrame(rows)


def site_area(answers: pd.DataFrame, first_site: str) -> tuple[Estimate, str]:
    """AUC for telling the first site of the training."""
    read = answers[answers[f"probability:{SITE}"] != ""]
    anatomies = read["source_anatomy"].where(read["source_anatomy"] != "", read["patient_id"]).to_numpy(str)
    told = read[f"probability:{SITE}"].to_numpy(float)
    return auc_interval((read["site"] == first_site).to_numpy(), told, anatomies)


def leak_row(words: str, measure: Any, area: Estimate, method: str) -> dict[str, Any]:
    behind = {"cases": measure.cases, "anatomies": measure.anatomies}
    value, low, high = area
    return {"test": words, **behind, "auc": value, "auc_low": low, "auc_high": high, "interval": method}


def mean_of_runs(values: Sequence[float]) -> Estimate:
    """The mean of several trainings, with Student's interval of it: chance of the training, not of the cases."""
    return mean_interval(np.array(values), np.arange(len(values)), (0.0, 1.0))


def title(network: str) -> str:
    return TITLES.get(network) or f"Shuffled labels, training {network.removeprefix(SHUFFLED)}"


def cell(row: Mapping[Any, Any], figure: str) -> str:
    """A figure and its interval in words."""
    value, low, high = (row[name] for name in (figure, f"{figure}_low", f"{figure}_high"))
    if not math.isfinite(value):
        return "not estimable"
    return f"{value:.3f} ({low:.3f} to {high:.3f})" if math.isfinite(low) else f"{value:.3f}"


def lines(table: pd.DataFrame) -> Iterator[list[str]]:
    """The table for people: each network's tests, then the paper's own figures; a network is named once."""
    for network, rows in table.groupby("network", sort=False):
        words = title(str(network))
        for row in rows.to_dict("records"):
            behind = f"n = {row['cases']} ({row['positives']} positive, {row['anatomies']} anatomies)"
            yield [words, behind, *(cell(row, figure) for figure in FIGURES)]
            words = ""
        if network in PAPER:
            theirs = PAPER[str(network)]
            yield ["", PAPERS_OWN, *(f"{theirs[figure]:.3f}" if figure in theirs else "" for figure in FIGURES)]


def leak_lines(leaks: pd.DataFrame) -> Iterator[list[str]]:
    for row in leaks.to_dict("records"):
        behind = f"n = {row['cases']} ({row['anatomies']} anatomies)"
        yield [row["test"], behind, cell(row, "auc"), row["interval"]]


def score_lines(content: Mapping[str, Any]) -> Iterator[list[str]]:
    """Accuracy of the main network at each segmentation score."""
    for score, figures in content["models"][MAIN]["strata"].get("segmentation_score", {}).items():
        measure, theirs = figures["accuracy"], PAPER_ACCURACY_BY_SCORE.get(score)
        row = dict(zip(("accuracy", "accuracy_low", "accuracy_high"), measure.estimate, strict=True))
        behind = f"n = {measure.cases} ({measure.anatomies} anatomies)"
        yield [score, behind, cell(row, "accuracy"), f"{theirs:.3f}" if theirs else ""]


def mask_lines(content: Mapping[str, Any]) -> Iterator[list[str]]:
    """Dice and IoU of the masks in use, where true ones are known."""
    for name, theirs in PAPER_OVERLAP.items():
        found = (content["segmentation"] or {}).get(name, {"cases": 0})
        if found["cases"]:
            behind = f"n = {found['cases']} ({found['anatomies']} anatomies)"
            row = {"mean": found["mean"], "mean_low": found["low"], "mean_high": found["high"]}
            spread = f"{found['sd']:.3f}" if math.isfinite(found["sd"]) else ""
            yield [OVERLAP[name], behind, cell(row, "mean"), spread, f"{found['lowest']:.3f}", f"{theirs:.3f}"]


def markdown(table: pd.DataFrame) -> Iterator[str]:
    yield from markdown_table(HEAD, lines(table))


def markdown_leaks(leaks: pd.DataFrame) -> Iterator[str]:
    yield from markdown_table(LEAK_HEAD, leak_lines(leaks))


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
