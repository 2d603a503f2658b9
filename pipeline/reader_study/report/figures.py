"""The report's figures but for the flow diagram. Each draws into a figure or a part of one, and adds nothing to it."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from pipeline.exports.a4_page import INK, MUTED
from pipeline.exports.mrmc_wording import FIGURE_WORDS
from pipeline.reader_study.analysis.consistency import MODEL
from pipeline.reader_study.analysis.reader_arms import ReaderDifference
from pipeline.reader_study.analysis.study import StudyAnalysis
from pipeline.reader_study.reads import ARMS, Arm
from pipeline.reader_study.report.drawing import COLOURS, LINES, name_axes, panel, write_in_middle
from pipeline.statistics.curves import roc_points
from pipeline.statistics.estimate import Estimate
from pipeline.statistics.reader_figures import FigureOfMerit

COLUMNS = 4


def draw_roc(figure: FigureBase, analysis: StudyAnalysis) -> None:
    """ROC curve of the suspicion of every reader in both arms; the dot is the verdict's operating point."""
    readers = analysis.readings.readers
    columns = min(COLUMNS, len(readers))
    rows = math.ceil(len(readers) / columns)
    for number, reader in enumerate(readers, start=1):
        axes = panel(figure, rows, columns, number, reader)
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
        name_axes(axes, "1 - specificity", "sensitivity")
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.7, linestyle=":")
        drawn = [_roc_of(axes, analysis, reader, arm) for arm in ARMS]
        if any(drawn):
            axes.legend(loc="lower right", fontsize=6, frameon=False)
        else:
            write_in_middle(axes, "not estimable")


def _roc_of(axes: Axes, analysis: StudyAnalysis, reader: str, arm: Arm) -> bool:
    reads = [read for read in analysis.readings.first if (read.reader, read.arm) == (reader, arm)]
    rated = [read for read in reads if read.suspicion is not None]
    truth = np.array([read.case.positive for read in rated], bool)
    if not truth.any() or truth.all():
        return False
    found = next(one for one in analysis.arms if (one.reader, one.arm) == (reader, arm))
    points = roc_points(truth, np.array([float(read.suspicion or 0) for read in rated]))
    label = f"{arm} {found.auc.value:.2f}"
    axes.plot(*points, color=COLOURS[arm], linestyle=LINES[arm], linewidth=1.4, label=label)
    place = (1 - found.calls.specificity.value, found.calls.sensitivity.value)
    axes.plot(*place, "o", color=COLOURS[arm], markeredgecolor="white", markersize=5)
    return True


def draw_differences(figure: FigureBase, analysis: StudyAnalysis) -> None:
    """The primary figure of each reader, aided minus unaided, and the mean over readers and cases."""
    fom: FigureOfMerit = analysis.readings.protocol.figure_of_merit.value
    axes = panel(figure, 1, 1, 1, f"{FIGURE_WORDS[fom]}: aided minus unaided")
    lines = [(one.reader, _of_merit(one, fom)) for one in analysis.differences]
    if analysis.primary.analysis is not None:
        pair = analysis.primary.analysis.inferences["rrrc"].pairwise[0]
        lines.append(("mean over readers\nand cases", Estimate(pair.value, pair.low, pair.high)))
    known = [(name, estimate) for name, estimate in lines if estimate.known]
    if not known:
        write_in_middle(axes, "not estimable")
        return
    for place, (name, estimate) in enumerate(known):
        mean = name.startswith("mean")
        if estimate.bounded:
            axes.plot(
                estimate[1:], [place, place], color=INK if mean else COLOURS["aided"], linewidth=2.2 if mean else 1.2
            )
        marker = "D" if mean else "o"
        axes.plot(estimate.value, place, marker, color=INK if mean else COLOURS["aided"], markersize=6)
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set_yticks(range(len(known)), [name for name, _ in known])
    axes.set_ylim(len(known) - 0.5, -0.5)
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, -1.05), min(high, 1.05))  # intervals of few readers go beyond what is possible
    name_axes(axes, "worse with the model    |    better with the model", "")


def _of_merit(one: ReaderDifference, fom: FigureOfMerit) -> Estimate:
    return {"auc": one.auc, "sensitivity": one.sensitivity, "specificity": one.specificity}[fom]


def draw_times(figure: FigureBase, analysis: StudyAnalysis) -> None:
    """Active time of every read, by reader and arm: boxes are quartiles, lines medians."""
    axes = panel(figure, 1, 1, 1, "Active time of a read")
    readers = analysis.readings.readers
    for shift, arm in zip((-0.2, 0.2), ARMS, strict=True):
        places, values = [], []
        for number, reader in enumerate(readers):
            times = [
                read.active_seconds
                for read in analysis.readings.first
                if (read.reader, read.arm) == (reader, arm) and read.active_seconds is not None
            ]
            if times:
                places.append(number + shift)
                values.append(times)
        if values:
            axes.boxplot(
                values,
                positions=places,
                widths=0.32,
                patch_artist=True,
                boxprops={"facecolor": COLOURS[arm], "alpha": 0.75, "linewidth": 0.6},
                medianprops={"color": INK},
                flierprops={"markersize": 2.5, "markeredgecolor": MUTED},
            )
            axes.plot([], [], "s", color=COLOURS[arm], label=arm)
    axes.set_xticks(range(len(readers)), readers)
    if axes.get_legend_handles_labels()[0]:
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=7, frameon=False)
    else:
        write_in_middle(axes, "no times are stored")
    name_axes(axes, "", "seconds")


def draw_agreement(figure: FigureBase, analysis: StudyAnalysis) -> None:
    """Kappas of the verdict and of the suspicion between readers and with the model, an arm a column."""
    raters = [*analysis.readings.readers, MODEL]
    for row, (answer, title) in enumerate((("verdict", "Verdict"), ("suspicion", "Suspicion"))):
        for column, arm in enumerate(ARMS):
            axes = panel(figure, 2, 2, 2 * row + column + 1, f"{title}, {arm}: kappa")
            values = np.full((len(raters), len(raters)), np.nan)
            for one in analysis.kappas:
                if (one.answer, one.arm) == (answer, arm):
                    place = (raters.index(one.first), raters.index(one.second))
                    values[place] = values[place[::-1]] = one.agreement.estimate.value
            _matrix(axes, values, raters)


def _matrix(axes: Axes, values: np.ndarray, names: list[str]) -> None:
    axes.grid(visible=False)
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    size = 7 if len(names) <= 7 else 4.5
    for (row, column), value in np.ndenumerate(values):
        if row != column:
            words = f"{value:.2f}" if math.isfinite(value) else "–"
            colour = "white" if value > 0.55 else INK
            axes.text(column, row, words, ha="center", va="center", fontsize=size, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=45 if len(names) > 5 else 0)
    axes.set_yticks(range(len(names)), names)


def draw_changes(figure: FigureBase, analysis: StudyAnalysis) -> None:
    """Verdicts that changed for the better and for the worse, by whether the model was right."""
    axes = panel(figure, 1, 1, 1, "Changes of verdict with the model's result")
    parts = [part for part in analysis.reliance if part.pairs and part.model != "all"]
    if not parts:
        write_in_middle(axes, "no case was read in both arms")
        return
    for place, part in enumerate(parts):
        for shift, name, share, colour in (
            (-0.18, "for the better", part.better, "#009e73"),
            (0.18, "for the worse", part.worse, "#d55e00"),
        ):
            label = name if place == 0 else None
            axes.bar(place + shift, 100 * share.value, width=0.34, color=colour, label=label)
            if share.bounded:
                axes.plot([place + shift] * 2, [100 * share.low, 100 * share.high], color=INK, linewidth=1)
    axes.set_xticks(range(len(parts)), [f"model {part.model}\n{part.pairs} pairs" for part in parts])
    axes.set_xlim(-0.6, len(parts) - 0.4)
    axes.legend(fontsize=7, frameon=False)
    name_axes(axes, "", "% of the pairs of reads")
