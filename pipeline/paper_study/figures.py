"""Figure of the study's page, drawn without pyplot."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.evaluation.figures import COLOURS, GRID, INK, MUTED
from pipeline.paper_study.names import PAPER, title


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
