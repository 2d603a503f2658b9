"""Figures of an evaluation report, drawn without pyplot, with one panel per model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.cohort.manifest import METAVIR
from pipeline.evaluation.predictions import CohortPredictions, ModelPredictions
from pipeline.statistics.auc import auc
from pipeline.statistics.calibration import calibration_bins
from pipeline.statistics.curves import decision_curve, roc_band, roc_points

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, distinguishable with colour vision deficiency."""
INK, MUTED, GRID = "#14303f", "#5a6b76", "#e6ebee"
PANEL, COLUMNS = 3.1, 3
"""Size of a panel, inches, and panels per row."""
NEGATIVE, POSITIVE = "#5a6b76", "#d55e00"
BAND_DRAWS = 1000


def panels(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels, at most three per row."""
    columns = 2 if count == 4 else min(count, COLUMNS)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(PANEL * columns + 0.3, (PANEL + 0.35) * rows), facecolor="white", layout="constrained")
    axes = [figure.add_subplot(rows, columns, number + 1) for number in range(count)]
    for each in axes:
        each.tick_params(labelsize=7, colors=MUTED, length=2)
        each.grid(color=GRID, linewidth=0.6)
        each.set_axisbelow(True)
        for side in each.spines.values():
            side.set_color(GRID)
    return figure, axes


def label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=8.5, color=INK, loc="left", fontweight="bold")
    axes.set_xlabel(x, fontsize=7.5, color=MUTED)
    axes.set_ylabel(y, fontsize=7.5, color=MUTED)


def write_in_middle(axes: Axes, words: str) -> None:
    """Write words into the middle of a panel that has nothing to show."""
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", fontsize=8, color=MUTED)


def draw_roc(by_model: Mapping[str, ModelPredictions], seed: int) -> Figure:
    """ROC curves with a pointwise 95 % band and the operating point."""
    figure, axes = panels(len(by_model))
    for colour, panel, (name, predictions) in zip(_colours(by_model), axes, by_model.items(), strict=True):
        label(panel, name, "1 - specificity", "sensitivity")
        panel.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        if not predictions.both_classes:
            write_in_middle(panel, "not estimable: one class only")
            continue
        band = roc_band(
            predictions.labels, predictions.probabilities, predictions.anatomies, seed=seed, draws=BAND_DRAWS
        )
        panel.fill_between(band.x, band.low, band.high, color=colour, alpha=0.18, linewidth=0)
        panel.plot([0, 1], [0, 1], color=MUTED, linewidth=0.7, linestyle=":")
        panel.plot(*roc_points(predictions.labels, predictions.probabilities), color=colour, linewidth=1.5)
        panel.plot(
            predictions.called[~predictions.labels].mean(),
            predictions.called[predictions.labels].mean(),
            "o",
            color=colour,
            markeredgecolor="white",
            markersize=6,
        )
        area = auc(predictions.labels, predictions.probabilities)
        panel.text(0.98, 0.04, f"AUC {area:.3f}", transform=panel.transAxes, ha="right", fontsize=8, color=INK)
    return figure


def draw_calibration(by_model: Mapping[str, ModelPredictions]) -> Figure:
    """Observed share of positives in bins of probability, with intervals, above a histogram of the probabilities."""
    figure, axes = panels(len(by_model))
    for colour, panel, (name, predictions) in zip(_colours(by_model), axes, by_model.items(), strict=True):
        label(panel, name, "predicted probability", "observed share of positives")
        panel.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        if not len(predictions.labels):
            write_in_middle(panel, "no case was predicted")
            continue
        counts, edges = np.histogram(predictions.probabilities, bins=20, range=(0, 1))
        panel.bar(edges[:-1], 0.15 * counts / counts.max(), width=0.05, align="edge", color=GRID)
        panel.plot([0, 1], [0, 1], color=MUTED, linewidth=0.7, linestyle=":")
        bins = calibration_bins(predictions.labels, predictions.probabilities, predictions.clusters)
        for part in bins:
            panel.plot([part.predicted] * 2, part.observed[1:], color=colour, linewidth=1, alpha=0.6)
        panel.plot(
            [b.predicted for b in bins],
            [b.observed.value for b in bins],
            "o-",
            color=colour,
            linewidth=1,
            markersize=4.5,
        )
    return figure


def draw_decision(by_model: Mapping[str, ModelPredictions], prevalence: float) -> Figure:
    """Net benefit of all models in one panel, beside calling every case positive, or none."""
    figure, (panel,) = panels(1)
    figure.set_size_inches(2 * PANEL, PANEL + 0.35)
    label(panel, f"at a prevalence of {prevalence:.3g}", "threshold probability", "net benefit")
    thresholds = np.linspace(0.01, 0.99, 99)
    known = {name: predictions for name, predictions in by_model.items() if predictions.both_classes}
    if not known:
        write_in_middle(panel, "not estimable: one class only")
        return figure
    tops = []
    for colour, (name, predictions) in zip(_colours(by_model), by_model.items(), strict=True):
        if name in known:
            curve = decision_curve(predictions.labels, predictions.probabilities, thresholds, prevalence=prevalence)
            panel.plot(thresholds, curve.model, color=colour, linewidth=1.4, label=name)
            tops.append(curve.model.max())
    panel.plot(thresholds, curve.all_positive, color=MUTED, linewidth=0.9, linestyle="--", label="all positive")
    panel.axhline(0, color=INK, linewidth=0.9, label="none positive")
    top = max(*tops, prevalence)
    panel.set(xlim=(0, 1), ylim=(-0.3 * top, 1.08 * top))
    panel.legend(fontsize=7, frameon=False, labelcolor=INK)
    return figure


def draw_stages(predictions: CohortPredictions, models: Sequence[str]) -> Figure | None:
    """Each case's probability by its METAVIR stage, with medians; None if no case has a stage."""
    if not predictions.cases["metavir"].isin(METAVIR).any():
        return None
    figure, axes = panels(len(models))
    random = np.random.default_rng(0)  # horizontal scatter only
    for panel, name in zip(axes, models, strict=True):
        label(panel, name, "METAVIR stage", "probability")
        table = predictions.by_case(name)
        table = table[table["probability"].notna()]
        ticks = []
        for place, stage in enumerate(METAVIR):
            part = table[table["metavir"] == stage]
            ticks.append(f"{stage}\nn = {len(part)}")
            _column(panel, place, part["probability"], part["label"], random)
        panel.set_xticks(range(len(METAVIR)), ticks)
        panel.set(xlim=(-0.6, len(METAVIR) - 0.4), ylim=(-0.02, 1.02))
    return figure


def draw_overlap(predictions: CohortPredictions, models: Sequence[str]) -> Figure | None:
    """Dice of the mask by whether the model was right, with medians; None if no case has a true mask."""
    if not predictions.cases["dice"].notna().any():
        return None
    lowest = min(0.7, float(predictions.cases["dice"].min()) - 0.02)
    figure, axes = panels(len(models))
    random = np.random.default_rng(0)
    for panel, name in zip(axes, models, strict=True):
        label(panel, name, "", "Dice of the liver mask")
        table = predictions.by_case(name)
        table = table[table["dice"].notna() & table["probability"].notna()]
        right = table["advanced"].astype(bool) == table["label"].astype(bool)
        ticks = []
        for place, (words, part) in enumerate((("wrong", table[~right]), ("right", table[right]))):
            ticks.append(f"{words}\nn = {len(part)}")
            _column(panel, place, part["dice"], part["label"], random)
        panel.set_xticks((0, 1), ticks)
        panel.set(xlim=(-0.6, 1.6), ylim=(lowest, 1.01))
    return figure


def _column(panel: Axes, place: float, values: pd.Series, labels: pd.Series, random: np.random.Generator) -> None:
    """One dot per case, coloured by its label and scattered horizontally, with the median."""
    heights, colours = values.to_numpy(float), np.where(labels.to_numpy(bool), POSITIVE, NEGATIVE)
    panel.scatter(place + random.uniform(-0.2, 0.2, len(heights)), heights, s=13, c=colours, alpha=0.7, linewidths=0)
    if len(heights):
        panel.plot([place - 0.3, place + 0.3], [np.median(heights)] * 2, color=INK, linewidth=1.6)


def _colours(by_model: Mapping[str, ModelPredictions]) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(len(by_model))]
