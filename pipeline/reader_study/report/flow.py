"""The flow diagram, after STARD-AI: cases, practice cases, reads, missing ones, not assessable ones, the analysis."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import FancyBboxPatch

from pipeline.exports.a4_page import INK, MUTED
from pipeline.exports.mrmc_wording import FIGURE_WORDS
from pipeline.reader_study.analysis.study import StudyAnalysis
from pipeline.reader_study.readings import StudyReadings

WIDTH, SIDE = 0.50, 0.40
"""Width of the boxes in the middle and beside them, shares of the figure."""
LEFT = 0.01


def flow_steps(analysis: StudyAnalysis) -> list[tuple[str, str]]:
    """What goes on, and what leaves beside it (or nothing), from top to bottom."""
    readings, primary = analysis.readings, analysis.primary
    positives = sum(case.positive for case in readings.cases)
    cases, reads = len(readings.cases), len(readings.first)
    not_assessable = sum(not read.assessable for read in readings.first)
    steps = [
        (f"Cases in the study: {len(readings.protocol.cases)}", f"Practice cases: {readings.practice_cases}"),
        (
            f"Cases to be read: {cases}\nreference standard positive {positives}, negative {cases - positives}",
            f"Without a verdict of the model: {sum(case.model_positive is None for case in readings.cases)}",
        ),
        (f"Reads planned: {readings.expected}\n{len(readings.readers)} readers, unaided and aided", _missing(readings)),
        (f"Reads stored: {reads}", _not_counted(readings)),
        (
            f"Verdicts: {reads}\nnot assessable {not_assessable}, counted as wrong",
            f"Without a suspicion: {sum(read.suspicion is None for read in readings.first)}",
        ),
    ]
    figure = FIGURE_WORDS[primary.figure_of_merit]
    if primary.analysis is None:
        return [*steps, (f"Compared ({figure}): none", "")]
    readers, used = len(primary.analysis.readings.readers), len(primary.analysis.readings.positive)
    lost = f"Cases not read by all in both arms: {primary.cases_left_out}"
    if primary.readers_left_out:
        lost += f"\nReaders without an arm: {len(primary.readers_left_out)}"
    steps[-1] = (steps[-1][0], f"{steps[-1][1]}\n{lost}")
    return [*steps, (f"Compared ({figure}): {used} cases\n{readers} readers, {2 * readers * used} reads", "")]


def _missing(readings: StudyReadings) -> str:
    missing = readings.missing()
    by_arm = [sum(count for (_, arm), count in missing.items() if arm == one) for one in ("unaided", "aided")]
    return f"Missing reads: {sum(by_arm)}\nunaided {by_arm[0]}, aided {by_arm[1]}"


def _not_counted(readings: StudyReadings) -> str:
    lines = [f"{reason.value}: {count}" for reason, count in readings.left_out.items()]
    lines += [f"corrections, in the sensitivity analysis: {readings.corrections}"] if readings.corrections else []
    return "\n".join(["Rows that are no primary read:", *(_wrapped(line) for line in lines)] if lines else [])


def _wrapped(line: str, width: int = 46) -> str:
    """Broken once where it is long."""
    if len(line) <= width:
        return line
    place = line.rfind(" ", 0, width)
    return f"{line[:place]}\n  {line[place + 1 :]}"


def draw_flow(figure: FigureBase, analysis: StudyAnalysis) -> None:
    """Boxes from top to bottom with what leaves beside them."""
    axes = figure.add_subplot(1, 1, 1)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    steps = flow_steps(analysis)
    heights = [max(a.count("\n"), b.count("\n")) + 2.4 for a, b in steps]
    unit = 1 / sum(heights)
    top = 1.0
    for number, ((words, beside), height) in enumerate(zip(steps, heights, strict=True)):
        middle = top - unit * height / 2
        if number + 1 < len(steps):
            below = top - unit * (height + heights[number + 1] / 2)
            _arrow(
                axes, (LEFT + WIDTH / 2, middle), (LEFT + WIDTH / 2, below + unit * _lines(steps[number + 1][0]) / 2)
            )
        if beside:
            _arrow(axes, (LEFT + WIDTH, middle), (1 - SIDE - LEFT, middle))
            _box(axes, 1 - SIDE - LEFT, middle, SIDE, beside, unit, colour="#f4f6f7")
        _box(axes, LEFT, middle, WIDTH, words, unit, colour="#dcebf5")
        top -= unit * height


def _lines(words: str) -> float:
    return words.count("\n") + 1.6


def _box(axes: Axes, left: float, middle: float, width: float, words: str, unit: float, *, colour: str) -> None:
    height = unit * _lines(words)
    corner = (left, middle - height / 2)
    axes.add_patch(
        FancyBboxPatch(corner, width, height, boxstyle="round,pad=0,rounding_size=0.008", fc=colour, ec=MUTED, lw=0.7)
    )
    axes.text(left + 0.015, middle, words, va="center", fontsize=7.5, color=INK, linespacing=1.3)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "->", "color": MUTED, "linewidth": 0.9}, zorder=0)
