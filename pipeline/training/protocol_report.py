"""What the study found: one table in the paper's order, its figures beside it, and what the leak tests say."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from pipeline import RESEARCH_USE
from pipeline.statistics import Estimate
from pipeline.statistics.auc import auc_interval
from pipeline.training.evaluation_figures import COLOURS, GRID, INK, MUTED
from pipeline.training.evaluation_measures import to_json
from pipeline.training.evaluation_report import NAMES, OVERLAP, html_page, html_table, picture
from pipeline.training.remembered import write_whole

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
UNCHECKED = "The segmenter does not say which cases it was trained on: that it has seen none of these is not checked."
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


def write_report(study: Study) -> Path:
    """Write table.csv, table.md, protocol.json and report.html into the study's folder; returns the last."""
    table, leaks = main_table(study), leak_table(study)
    largest = list(study.tests.values())[-1]
    content = {
        "study": study.note,
        "seconds": study.seconds,
        "table": table.to_dict("records"),
        "leaks": leaks.to_dict("records"),
        "accuracy_by_segmentation_score": {
            score: figures["accuracy"]
            for score, figures in largest["models"][MAIN]["strata"].get("segmentation_score", {}).items()
        },
        "segmentation": largest["segmentation"],
    }
    write_whole(study.folder / "protocol.json", json.dumps(to_json(content), indent=1, allow_nan=False) + "\n")
    write_whole(study.folder / "table.csv", table.round(4).to_csv(index=False))
    tables = [markdown(table), markdown_leaks(leaks), markdown_table(SCORE_HEAD, score_lines(largest)),
              markdown_table(MASK_HEAD, mask_lines(largest))]  # fmt: skip
    write_whole(study.folder / "table.md", "\n\n".join("\n".join(lines) for lines in tables) + "\n")
    write_whole(study.folder / "report.html", html_report(study, table, leaks))
    return study.folder / "report.html"


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
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return Estimate(mean, max(mean - reach, 0.0), min(mean + reach, 1.0))


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


HEAD = ["Network", "Test", *(NAMES[figure] for figure in FIGURES)]
LEAK_HEAD = ["Network", "Cases", "AUC", "Method of the interval"]


def markdown(table: pd.DataFrame) -> Iterator[str]:
    yield from markdown_table(HEAD, lines(table))


def markdown_leaks(leaks: pd.DataFrame) -> Iterator[str]:
    yield from markdown_table(LEAK_HEAD, leak_lines(leaks))


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def html_report(study: Study, table: pd.DataFrame, leaks: pd.DataFrame) -> str:
    """The page."""
    largest = list(study.tests.values())[-1]
    return html_page("The paper's study", [
        "<h1>Advanced liver fibrosis on T2: the study of Aggarwal et al. 2025, run anew</h1>",
        f"<p class=muted>{escape(RESEARCH_USE)}</p>",
        *statement(study),
        "<h2>The table</h2>",
        html_table(HEAD, two_lined(lines(table)),
                   "95 % intervals. The paper's figures are of its own patients and networks; it gives no intervals. "
                   "Accuracies of tests with different shares of advanced cases are not comparable."),
        picture(draw_areas(table), "AUC of each network"),
        "<h2>Differences in AUC from the main network</h2>",
        html_table(["Test", "Less", "Main less the other", "p"], list(differences(study)),
                   "Paired; p is two-sided and not corrected for several comparisons."),
        "<h2>Leak tests</h2>",
        html_table(LEAK_HEAD, two_lined(leak_lines(leaks)),
                   "Only shuffled labels must sit at 0.5. An outline or a large spleen is a sign of fibrosis; what "
                   "everything but the liver tells without the spleen can come from the scanner or from the outline."),
        *by_score(largest),
        *segmentation(largest),
        *how(study),
    ])  # fmt: skip


def two_lined(rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Cells as HTML, what stands in brackets at their end below the rest."""
    return [[re.sub(r" \((.*)\)$", r"<small>\1</small>", escape(words)) for words in row] for row in rows]


def statement(study: Study) -> Iterator[str]:
    """What the evaluations state, once for all networks where they state it of each."""
    said: dict[str, None] = {} if study.unseen else {UNCHECKED: None}
    for content in study.tests.values():
        who: dict[str, list[str]] = {}
        for words in content["statements"]:
            name = next((name for name in content["models"] if words.startswith((f"{name}:", f"{name} was"))), "")
            who.setdefault(words.removeprefix(name), []).append(name)
        for words, networks in who.items():
            everyone = len(networks) == len(content["models"])
            said[("Every network" if everyone else ", ".join(networks)) + words] = None
    if said:
        yield "<div class=statement>" + "".join(f"<p>{escape(words)}</p>" for words in said) + "</div>"


def differences(study: Study) -> Iterator[list[str]]:
    for content in study.tests.values():
        for pair in content["comparisons"]:
            if pair["first"] == MAIN:
                value, low, high = pair["difference"].estimate
                row = {"auc": value, "auc_low": low, "auc_high": high}
                p = (
                    "not estimable"
                    if math.isnan(pair["p"])
                    else f"{pair['p']:.4f}"
                    if pair["p"] >= 1e-4
                    else "&lt; 0.0001"
                )
                yield [f"n = {pair['difference'].cases}", escape(title(pair["second"])), cell(row, "auc"), p]


SCORE_HEAD = ["Segmentation score", "Cases", "Accuracy", "The paper's own, n = 23"]
MASK_HEAD = ["Liver masks", "Cases", "Mean", "SD", "Lowest", "The paper's own, internal test"]


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


def by_score(content: Mapping[str, Any]) -> Iterator[str]:
    if rows := two_lined(score_lines(content)):
        yield "<h2>Accuracy by segmentation score</h2>"
        words = (
            f"Main network, {content['cohort']['cases']} cases. Where the true mask is known, 1 is a Dice of 0.93 or "
            "more and 3 one below 0.80 or an HD95 above 20 mm; else the score is the cohort's or the segmenter's."
        )
        yield html_table(SCORE_HEAD, rows, words)


def segmentation(content: Mapping[str, Any]) -> Iterator[str]:
    if rows := two_lined(mask_lines(content)):
        yield "<h2>Liver masks</h2>"
        yield html_table(MASK_HEAD, rows, "Against the true masks; 95 % intervals over anatomies.")


def how(study: Study) -> Iterator[str]:
    yield "<h2>How it was done</h2>"
    size = study.note["size"]
    rows = [[escape(str(key)), escape(str(value))] for key, value in size.items()]
    rows += [[escape(key), escape(", ".join(map(str, value)) if isinstance(value, list) else str(value))]
             for key, value in study.note.items() if key != "size" and value]  # fmt: skip
    rows += [[escape(step), f"{seconds / 60:.1f} min"] for step, seconds in study.seconds.items()]
    rows.append(["all steps", f"{sum(study.seconds.values()) / 60:.0f} min"])
    yield html_table(["", ""], rows)
    links = ", ".join(f'<a href="{name}/report.html">{name}</a>' for name in study.found)
    yield f"<p>The evaluations behind these figures: {links}.</p>"


def draw_areas(table: pd.DataFrame) -> Figure:
    """AUC and interval of each network at each test; the paper's as open diamonds."""
    networks = list(dict.fromkeys(table["network"]))
    figure = Figure(figsize=(7.2, 0.62 * len(networks) + 1.0), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    tests = sorted(set(table["cases"]))
    for place, network in enumerate(networks):
        for number, row in enumerate(table[table["network"] == network].to_dict("records")):
            y, colour = place + 0.24 * (number - 0.5), COLOURS[tests.index(row["cases"]) % len(COLOURS)]
            axes.plot([row["auc_low"], row["auc_high"]], [y, y], color=colour, linewidth=2)
            words = f"n = {row['cases']}" if place == 0 else None
            axes.plot(row["auc"], y, "o", color=colour, markersize=6, label=words)
        if "auc" in PAPER.get(network, {}):
            axes.plot(PAPER[network]["auc"], place, "D", color=INK, markerfacecolor="white", markersize=6,
                      label="the paper's" if place == 0 else None)  # fmt: skip
    axes.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(networks)), [title(network) for network in networks], fontsize=8.5, color=INK)
    axes.set(xlim=(min(0.4, float(table["auc_low"].min()) - 0.02) if len(table) else 0.4, 1.02))
    axes.invert_yaxis()
    axes.set_xlabel("AUC, 95 % interval", fontsize=8, color=MUTED)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    figure.legend(fontsize=8, frameon=False, loc="outside upper right", ncols=3)
    return figure
