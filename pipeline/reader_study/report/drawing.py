"""What the report's figures share: colours of the arms, and axes in one style. Without pyplot."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from pipeline.exports.a4_page import INK, MUTED, RULE
from pipeline.reader_study.reads import Arm

COLOURS: Mapping[Arm, str] = {"unaided": "#e69f00", "aided": "#0072b2"}
"""Of Okabe and Ito's palette, distinguishable with colour vision deficiency and, by brightness, in grey."""
LINES: Mapping[Arm, str] = {"unaided": "--", "aided": "-"}


def panel(figure: FigureBase, rows: int, columns: int, number: int, title: str = "") -> Axes:
    """The axes of one place in a grid, counted from 1."""
    axes = figure.add_subplot(rows, columns, number)
    axes.tick_params(labelsize=7, colors=MUTED, length=2)
    axes.grid(color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_color(RULE)
    axes.set_title(title, fontsize=8.5, color=INK, loc="left", fontweight="bold")
    return axes


def name_axes(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=7.5, color=MUTED)
    axes.set_ylabel(y, fontsize=7.5, color=MUTED)


def write_in_middle(axes: Axes, words: str) -> None:
    """Words in an empty panel."""
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", fontsize=7.5, color=MUTED)
