"""Figure of the study's page, drawn without pyplot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from pipeline.evaluation.figures import COLOURS, GRID, INK, MUTED
from pipeline.paper_study.names import PAPER, title
from pipeline.paper_study.rows import NetworkRow
from pipeline.statistics.trainings import mean_over_trainings


def draw_areas(rows: Sequence[NetworkRow]) -> Figure:
    """Mean AUC and interval of each network at each test, the single seeds as dots; the paper's as open diamonds."""
    networks = list(dict.fromkeys(row.network for row in rows))
    tests = list(dict.fromkeys(row.test for row in rows))
    figure = Figure(figsize=(7.2, 0.62 * len(networks) + 1.0), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    lowest = 0.4
    for row in rows:
        place, number = networks.index(row.network), tests.index(row.test)
        y, colour = place + 0.24 * (number - 0.5), COLOURS[number % len(COLOURS)]
        mean, seeds = mean_over_trainings(row.area), row.area.values
        lowest = float(np.nanmin([lowest, mean.low, *seeds]))
        axes.plot([mean.low, mean.high], [y, y], color=colour, linewidth=2)
        axes.plot(seeds, np.full(len(seeds), y), "o", color=colour, markersize=3.5, markeredgecolor="white")
        words = f"n = {row.counts.cases}" if place == 0 else None
        axes.plot(mean.value, y, "|", color=colour, markersize=12, markeredgewidth=2, label=words)
    for place, network in enumerate(networks):
        if "auc" in PAPER.get(network, {}):
            words = "the paper's" if place == 0 else None
            axes.plot(PAPER[network]["auc"], place, "D", color=INK, markerfacecolor="white", markersize=6, label=words)
    axes.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(networks)), [title(network) for network in networks], fontsize=8.5, color=INK)
    axes.set(xlim=(lowest - 0.02, 1.02))
    axes.invert_yaxis()
    axes.set_xlabel("AUC: mean over seeds (bar), single seeds (dots), 95 % interval", fontsize=8, color=MUTED)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    figure.legend(fontsize=8, frameon=False, loc="outside upper right", ncols=3)
    return figure
