"""``report.html``: one file with everything in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure, FigureBase

from pipeline import RESEARCH_USE, __version__
from pipeline.evaluation.pages import Picture, picture, render_page
from pipeline.reader_study.analysis.study import StudyAnalysis
from pipeline.reader_study.report import figures
from pipeline.reader_study.report.flow import draw_flow
from pipeline.reader_study.report.methods import REFERENCES, methods
from pipeline.reader_study.report.sentences import findings, limits, not_estimable, state_words
from pipeline.reader_study.report.tables import sections

TEMPLATE = Path(__file__).parent / "templates" / "reader_study.html.j2"


class FigureSlot(NamedTuple):
    """A figure of the report."""

    title: str
    words: str
    draw: Callable[[FigureBase, StudyAnalysis], None]
    height: float
    """Inches, at a width of ``WIDTH``."""


class Shown(NamedTuple):
    """A figure as the page takes it."""

    title: str
    words: str
    picture: Picture


WIDTH = 7.2


def drawings(analysis: StudyAnalysis) -> list[FigureSlot]:
    """The figures in the order of the report."""
    readers = len(analysis.readings.readers)
    rows = math.ceil(readers / figures.COLUMNS)
    panel = 2.1 if readers >= figures.COLUMNS else 2.6
    dot = "The dot is the yes-or-no verdict; the number is the AUC."
    return [
        FigureSlot("Flow of cases and reads", "After STARD-AI.", draw_flow, 4.8),
        FigureSlot("ROC by reader and arm", dot, figures.draw_roc, panel * rows),
        FigureSlot("Paired differences", "Lines are 95 % intervals.", figures.draw_differences, 1.1 + 0.28 * readers),
        FigureSlot("Changes of verdict", "Lines are 95 % intervals.", figures.draw_changes, 3.0),
        FigureSlot("Reading times", "Boxes are quartiles, lines medians.", figures.draw_times, 3.0),
        FigureSlot(
            "Agreement of readers and model",
            "Cohen's kappa: verdict unweighted, suspicion with quadratic weights on all 101 levels; – is undefined.",
            figures.draw_agreement,
            6.6,
        ),
    ]


def html_report(analysis: StudyAnalysis) -> str:
    """The whole page; its first sentence says where the study is not finished."""
    readings = analysis.readings
    state = state_words(readings)
    return render_page(
        TEMPLATE,
        study=readings.protocol.study,
        research_use=RESEARCH_USE,
        app_version=__version__,
        protocol_sha256=readings.protocol.sha256,
        statements=[state] if state else [],
        findings=findings(analysis),
        limits=limits(analysis),
        not_estimable=not_estimable(analysis),
        drawings=[Shown(one.title, one.words, _picture(one, analysis)) for one in drawings(analysis)],
        sections=sections(analysis),
        methods=methods(analysis),
        references=REFERENCES,
    )


def _picture(drawing: FigureSlot, analysis: StudyAnalysis) -> Picture:
    figure = Figure(figsize=(WIDTH, drawing.height), facecolor="white", layout="constrained")
    drawing.draw(figure, analysis)
    return picture(figure, drawing.title)
