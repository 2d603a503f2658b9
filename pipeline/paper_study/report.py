"""What the study found: one table in the paper's order, its figures beside it, and what the leak tests say."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from models.files import write_text
from pipeline import RESEARCH_USE
from pipeline.evaluation.figures import COLOURS, GRID, INK, MUTED
from pipeline.evaluation.measures import to_json
from pipeline.evaluation.report import html_page, html_table, picture
from pipeline.paper_study.tables import (
    HEAD,
    LEAK_HEAD,
    MAIN,
    MASK_HEAD,
    PAPER,
    SCORE_HEAD,
    Study,
    cell,
    leak_lines,
    leak_table,
    lines,
    main_table,
    markdown,
    markdown_leaks,
    markdown_table,
    mask_lines,
    score_lines,
    title,
)

UNCHECKED = "The segmenter does not say which cases it was trained on: that it has seen none of these is not checked."


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
    write_text(study.folder / "protocol.json", json.dumps(to_json(content), indent=1, allow_nan=False) + "\n")
    write_text(study.folder / "table.csv", table.round(4).to_csv(index=False))
    tables = [
        markdown(table),
        markdown_leaks(leaks),
        markdown_table(SCORE_HEAD, score_lines(largest)),
        markdown_table(MASK_HEAD, mask_lines(largest)),
    ]
    write_text(study.folder / "table.md", "\n\n".join("\n".join(lines) for lines in tables) + "\n")
    write_text(study.folder / "report.html", html_report(study, table, leaks))
    return study.folder / "report.html"


def html_report(study: Study, table: pd.DataFrame, leaks: pd.DataFrame) -> str:
    """The page."""
    largest = list(study.tests.values())[-1]
    return html_page(
        "The paper's study",
        [
            "<h1>Advanced liver fibrosis on T2: the study of Aggarwal et al. 2025, run anew</h1>",
            f"<p class=muted>{escape(RESEARCH_USE)}</p>",
            *statement(study),
            "<h2>The table</h2>",
            html_table(
                HEAD,
                two_lined(lines(table)),
                "95 % intervals. The paper's figures are of its own patients and networks; it gives no intervals. "
                "Accuracies of tests with different shares of advanced cases are not comparable.",
            ),
            picture(draw_areas(table), "AUC of each network"),
            "<h2>Differences in AUC from the main network</h2>",
            html_table(
                ["Test", "Less", "Main less the other", "p"],
                list(differences(study)),
                "Paired; p is two-sided and not corrected for several comparisons.",
            ),
            "<h2>Leak tests</h2>",
            html_table(
                LEAK_HEAD,
                two_lined(leak_lines(leaks)),
                "Only shuffled labels must sit at 0.5. An outline or a large spleen is a sign of fibrosis; what "
                "everything but the liver tells without the spleen can come from the scanner or from the outline.",
            ),
            *by_score(largest),
            *segmentation(largest),
            *how(study),
        ],
    )


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
    rows += [
        [escape(key), escape(", ".join(map(str, value)) if isinstance(value, list) else str(value))]
        for key, value in study.note.items()
        if key != "size" and value
    ]
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
            axes.plot(
                PAPER[network]["auc"],
                place,
                "D",
                color=INK,
                markerfacecolor="white",
                markersize=6,
                label="the paper's" if place == 0 else None,
            )
    axes.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(networks)), [title(network) for network in networks], fontsize=8.5, color=INK)
    axes.set(xlim=(min(0.4, float(table["auc_low"].min()) - 0.02) if len(table) else 0.4, 1.02))
    axes.invert_yaxis()
    axes.set_xlabel("AUC, 95 % interval", fontsize=8, color=MUTED)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    figure.legend(fontsize=8, frameon=False, loc="outside upper right", ncols=3)
    return figure
