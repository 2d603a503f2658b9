"""``report.pdf``: the content of the page on A4, text and tables first, then the figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from pipeline import RESEARCH_USE, __version__
from pipeline.evaluation.pages import Table
from pipeline.exports.a4_page import AMBER, AMBER_DARK, INK, MUTED, PAGE, RULE, Page, TextStyle
from pipeline.reader_study.analysis.study import StudyAnalysis
from pipeline.reader_study.report.methods import REFERENCES, methods
from pipeline.reader_study.report.page import WIDTH, FigureSlot, drawings
from pipeline.reader_study.report.sentences import findings, limits, not_estimable, state_words
from pipeline.reader_study.report.tables import sections

LEFT, TOP, BOTTOM = 0.5, 0.55, 11.1
TEXT, SMALL = TextStyle(8.5), TextStyle(7, colour=MUTED)
CELL_SIZES = (7.5, 7.0, 6.5, 6.0, 5.5, 5.0, 4.5)
"""Sizes of a table's text to try, points."""
GAP = 0.14
"""Between columns, inches."""
FIGURE_DPI = 220


class Sheets:
    """Pages that are filled from top to bottom; a new one begins where the last is full."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.figures: list[Figure] = []
        self._begin()

    def _begin(self) -> None:
        figure = Figure(figsize=PAGE, facecolor="white")
        FigureCanvasAgg(figure)
        self.figures.append(figure)
        self.page, self.y = Page(figure), TOP
        self.page.text(LEFT, 11.4, f"{self.title}. {RESEARCH_USE}", SMALL)
        self.page.text(PAGE[0] - LEFT, 11.4, str(len(self.figures)), SMALL, right=True)

    def room(self, height: float) -> None:
        """Begin a page where less than ``height`` inches are left."""
        if self.y + height > BOTTOM:
            self._begin()

    def heading(self, words: str, *, below: float = 0.6) -> None:
        """A heading that stays with the ``below`` inches under it."""
        self.room(0.3 + below)
        self.y += 0.12
        self.page.heading(LEFT, self.y, words)
        self.y += 0.24

    def paragraph(self, words: str, style: TextStyle = TEXT, *, indent: float = 0.0) -> None:
        """Text that may go over several pages."""
        for line in self.page.wrap(words, WIDTH - indent, style.font):
            self.room(style.line_height)
            self.page.text(LEFT + indent, self.y, line, style)
            self.y += style.line_height
        self.y += 0.06

    def banner(self, words: str) -> None:
        """A sentence that is not to be missed."""
        style = TextStyle(9, colour=AMBER_DARK, bold=True)
        lines = self.page.wrap(words, WIDTH - 0.2, style.font)
        height = style.line_height * len(lines) + 0.16
        self.page.box(LEFT, self.y - 0.1, WIDTH, height, AMBER)
        self.y += 0.06
        for line in lines:
            self.page.text(LEFT + 0.1, self.y, line, style)
            self.y += style.line_height
        self.y += 0.16

    def table(self, content: Table) -> None:
        """Rows of text; its size is the largest at which the table is as wide as the page."""
        rows = [list(content.head), *([cell.text for cell in row] for row in content.rows)]
        size, widths = self._fitted(rows)
        for number, row in enumerate(rows):
            style = TextStyle(size, colour=MUTED if number == 0 else INK, bold=number == 0)
            self.room(style.line_height * 1.1)
            x = LEFT
            for cell, width in zip(row, widths, strict=True):
                self.page.text(x, self.y, self.page.cut(cell, width, style.font), style)
                x += width + GAP
            self.page.rule(LEFT, LEFT + WIDTH, self.y + style.line_height * 0.55, RULE)
            self.y += style.line_height * 1.1
        if content.caption:
            self.paragraph(content.caption, SMALL)

    def _fitted(self, rows: Sequence[Sequence[str]]) -> tuple[float, list[float]]:
        room = WIDTH - GAP * (len(rows[0]) - 1)
        for size in CELL_SIZES:
            widths = [
                max(
                    self.page.width(row[column], TextStyle(size, bold=number == 0).font)
                    for number, row in enumerate(rows)
                )
                for column in range(len(rows[0]))
            ]
            if 1.03 * sum(widths) <= room:  # hinting makes text wider or narrower with the resolution
                return size, [1.03 * width for width in widths]
        return size, [width * room / sum(widths) for width in widths]

    def drawing(self, drawing: FigureSlot, analysis: StudyAnalysis) -> None:
        """A figure at its own size, on a page with others where there is room."""
        height = min(drawing.height, BOTTOM - TOP - 0.8)
        self.heading(drawing.title, below=height + 0.2)
        if drawing.words:
            self.paragraph(drawing.words, SMALL)
        axes = self.page.axes(LEFT, self.y, WIDTH, height)
        axes.axis("off")
        axes.imshow(_raster(drawing, analysis, height), aspect="auto", interpolation="none")
        self.y += height + 0.1


def write_pdf(analysis: StudyAnalysis, file: Path) -> None:
    """Write the report; equal studies give pages that look alike.

    Raises:
        OSError: the file cannot be written.
    """
    sheets = compose(analysis)
    with PdfPages(file, metadata={"Title": sheets.title, "Creator": f"FibroReview {__version__}"}) as pages:
        for figure in sheets.figures:
            pages.savefig(figure)


def _raster(drawing: FigureSlot, analysis: StudyAnalysis, height: float) -> np.ndarray:
    """The figure as (rows, columns, 4) pixels: it lays itself out, which a part of a page cannot."""
    figure = Figure(figsize=(WIDTH, height), dpi=FIGURE_DPI, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    drawing.draw(figure, analysis)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def compose(analysis: StudyAnalysis) -> Sheets:
    """The pages, not written yet."""
    protocol = analysis.readings.protocol
    sheets = Sheets(f"Reader study {protocol.study}")
    sheets.page.text(LEFT, sheets.y, sheets.title, TextStyle(15, bold=True))
    sheets.y += 0.32
    sheets.paragraph(f"FibroReview {__version__}, protocol {protocol.sha256}.", SMALL)
    if state := state_words(analysis.readings):
        sheets.banner(state)
    for title, sentences in (
        ("Findings", findings(analysis)),
        ("Limits", limits(analysis)),
        ("Not estimable", not_estimable(analysis)),
    ):
        if sentences:
            sheets.heading(title)
            for sentence in sentences:
                sheets.paragraph(f"•  {sentence}")
    for drawing in drawings(analysis):
        sheets.drawing(drawing, analysis)
    for section in sections(analysis):
        sheets.heading(section.title)
        sheets.table(section.table)
    sheets.heading("Methods")
    for paragraph in methods(analysis):
        sheets.paragraph(paragraph)
    sheets.heading("References")
    for number, reference in enumerate(REFERENCES, start=1):
        sheets.paragraph(f"{number}.  {reference}", TextStyle(7.5))
    return sheets
