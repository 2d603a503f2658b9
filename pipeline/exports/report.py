"""The report: one A4 page on one analysis.

Positions are in inches from the top left corner of the page.
"""

from __future__ import annotations

from datetime import UTC, datetime

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline import RESEARCH_USE, __version__
from pipeline.case import Analysis, Fibrosis, HeatMap, OrganMask
from pipeline.exports.a4_page import AMBER, AMBER_DARK, INK, LINE, MUTED, PAGE, RULE, Page, TextStyle
from pipeline.exports.report_pictures import COLUMNS, PICTURE, TOP_HEAT, axial_row, heat_row
from pipeline.exports.wording import (
    doubt_words,
    mask_quality,
    not_classified_words,
    range_words,
    side_words,
    unreliable_words,
)

PNG_DPI = 150
SHORT_HASH = 12
EDITED = "corrected by a reader"


def draw_report(analysis: Analysis, *, made_at: datetime | None = None) -> Figure:
    """Draw one A4 page, portrait. Without pyplot, so that it is thread-safe in a running server.

    Args:
        made_at: time printed on the page, with its zone; now where it is not given.
    """
    figure = Figure(figsize=PAGE, dpi=PNG_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    page = Page(figure)
    _header(page, analysis, made_at or datetime.now(UTC))
    _result(page, analysis)
    axial_row(page, analysis)
    heat_row(page, analysis)
    _measurements(page, analysis)
    _notes(page, analysis)
    _footer(page)
    return figure


def _header(page: Page, analysis: Analysis, made_at: datetime) -> None:
    volume = analysis.volume
    page.box(0, 0, PAGE[0], 0.98, INK)
    page.text(0.5, 0.30, "Liver MRI: segmentation and fibrosis", TextStyle(15, colour="white", bold=True))
    size = " × ".join(str(n) for n in volume.image.GetSize())
    spacing = " × ".join(f"{s:.2f}" for s in volume.spacing_mm_xyz)
    weighting = "" if volume.source.weighting == "unknown" else f"{volume.source.weighting}, "
    small = TextStyle(8, colour="#b9c8d3")
    page.text(0.5, 0.65, f"{weighting}acquired {volume.source.plane}, {size} voxels of {spacing} mm", small)
    page.text(7.77, 0.33, f"Case {_short(volume.source.case_id, 24)}", TextStyle(8.5, colour="white"), right=True)
    page.text(7.77, 0.65, made_at.strftime("%d %B %Y, %H:%M %Z"), small, right=True)
    page.box(0, 0.98, PAGE[0], 0.27, AMBER)
    page.text(0.5, 1.115, RESEARCH_USE, TextStyle(8.5, colour=AMBER_DARK, bold=True))


def _result(page: Page, analysis: Analysis) -> None:
    fibrosis, note = analysis.fibrosis, analysis.classifier.note
    if fibrosis is None:
        page.paragraph(0.5, 1.50, "No probability", TextStyle(13, bold=True), width=7.27, lines=1)
        reasons = not_classified_words(analysis)
        page.paragraph(0.5, 1.90, reasons, TextStyle(9, colour=AMBER_DARK), width=7.27, lines=7)
        return
    title = f"Probability of {fibrosis.positive_class}"
    page.paragraph(0.5, 1.50, title, TextStyle(10, bold=True), width=7.27, lines=1)
    page.text(0.5, 1.98, f"{fibrosis.probability:.2f}", TextStyle(34, bold=True))
    page.text(1.95, 1.86, fibrosis.verdict.capitalize(), TextStyle(13, bold=True))
    page.text(1.95, 2.11, side_words(fibrosis), TextStyle(8, colour=MUTED))
    if analysis.unreliable:
        page.text(1.95, 2.29, unreliable_words(analysis), TextStyle(7.5, colour=AMBER_DARK, bold=True))
    _scale(page, fibrosis)
    bottom = page.paragraph(0.5, 2.49, range_words(fibrosis), TextStyle(7.5, colour=MUTED), width=7.27, lines=3)
    if note:
        end = page.paragraph(0.66, bottom + 0.12, note, TextStyle(8, colour=AMBER_DARK, bold=True), width=7.1, lines=2)
        page.box(0.5, bottom + 0.03, 0.05, end - bottom - 0.06, AMBER)


def _scale(page: Page, fibrosis: Fibrosis) -> None:
    """Probability on 0-1: ensemble range as a bar, probability as a dot, operating point as a line, zone below."""
    axes = page.axes(4.0, 1.62, 3.77, 0.72)
    axes.set(xlim=(-0.03, 1.03), ylim=(0, 1))
    axes.axis("off")
    axes.plot([0, 1], [0.45, 0.45], color=LINE, linewidth=7, solid_capstyle="round")
    axes.plot(fibrosis.ensemble_range, [0.45, 0.45], color="#5b9bb5", linewidth=7, solid_capstyle="butt")
    if fibrosis.indeterminate is not None:
        axes.plot(fibrosis.indeterminate, [0.27, 0.27], color=AMBER, linewidth=3, solid_capstyle="butt")
    axes.plot([fibrosis.threshold] * 2, [0.22, 0.70], color=AMBER_DARK, linewidth=1.6)
    axes.plot([fibrosis.probability], [0.45], "o", color=INK, markersize=9, markeredgecolor="white")
    # The label stays on the page when the operating point is near an end.
    axes.text(
        min(max(fibrosis.threshold, 0.16), 0.84),
        0.78,
        f"operating point {fibrosis.threshold:.2f}",
        fontsize=7,
        color=AMBER_DARK,
        ha="center",
        va="bottom",
    )
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        axes.text(tick, 0.10, f"{tick:g}", fontsize=7, color=MUTED, ha="center", va="center")


def _measurements(page: Page, analysis: Analysis) -> None:
    organs = analysis.organs
    left, top = COLUMNS[2] + 0.06, TOP_HEAT - 0.14
    rows = [
        ("Liver volume", f"{organs.liver_ml:,.0f} mL"),
        *([("Liver outline", EDITED)] if analysis.mask_edited else []),
        ("Spleen volume", "not segmented" if organs.spleen_ml is None else f"{organs.spleen_ml:,.0f} mL"),
        *([] if analysis.mask_edited else [("Ensemble agreement", _agreement(organs))]),
        ("Liver parts found", _parts(organs.components, organs.largest_component_share)),
        ("Liver meets image edge", "yes" if organs.touches_edge else "no"),
    ]
    if analysis.fibrosis is not None:
        rows += [
            ("Slices classified", str(len(analysis.fibrosis.slices))),
            ("Heat outside liver, uncut", _outside(analysis.heatmap)),
        ]
    if organs.score is not None:
        rows.insert(3, ("Mask quality", mask_quality(organs)))
    page.heading(left, top, "Measurements")
    step = min(0.345, 2.42 / (len(rows) - 1))
    for number, (name, value) in enumerate(rows):
        y = TOP_HEAT + 0.17 + number * step
        page.text(left, y, name, TextStyle(7.5, colour=MUTED))
        page.text(7.77, y, value, TextStyle(8.5, colour=INK, bold=True), right=True)
        page.rule(left, 7.77, y + 0.48 * step, RULE)


def _agreement(organs: OrganMask) -> str:
    return "one member" if organs.ensemble_dice is None else f"Dice {organs.ensemble_dice:.3f}"


def _outside(heatmap: HeatMap | None) -> str:
    if heatmap is None:
        return "no heat map"
    return "no heat" if heatmap.heat_outside_liver is None else f"{heatmap.heat_outside_liver:.0%}"


def _parts(components: int, kept: float) -> str:
    return "1" if components == 1 else f"{components}, largest {kept:.1%}"


def _notes(page: Page, analysis: Analysis) -> None:
    top = TOP_HEAT + PICTURE + 0.62
    page.rule(0.5, 7.77, top - 0.2, LINE)
    page.heading(0.5, top, "Warnings")
    doubts = [doubt_words(doubt) for doubt in analysis.organs.doubts]
    said = {warning.message for warning in analysis.not_classified}
    told = [warning.message for warning in analysis.warnings if warning.message not in said]
    messages = [*doubts, *told] or ["None."]
    page.paragraphs(0.5, top + 0.24, messages, width=4.35, size=7.5, bottom=11.15)
    left, y = COLUMNS[2] - 0.25, top + 0.24
    page.heading(left, top, "Models")
    # The classifier's note is printed beside the probability.
    for role, model, note in (
        ("Segmentation", analysis.segmenter, analysis.segmenter.note),
        ("Classification", analysis.classifier, ""),
    ):
        page.paragraph(left, y, f"{role}: {model.name}", TextStyle(8, bold=True), width=7.77 - left, lines=1)
        page.text(left, y + 0.16, f"sha256 {model.sha256[:SHORT_HASH]}", TextStyle(7, colour=MUTED, mono=True))
        y = page.paragraph(left, y + 0.31, f"Trained on: {model.trained_on}", TextStyle(7), width=7.77 - left, lines=2)
        y = page.paragraph(left, y, note, TextStyle(7, colour=MUTED), width=7.77 - left, lines=2) + 0.09


def _footer(page: Page) -> None:
    page.rule(0.5, 7.77, 11.30, LINE)
    small = TextStyle(7, colour=MUTED)
    page.text(0.5, 11.46, "R, L: patient's right and left (radiological display). " + RESEARCH_USE, small)
    page.text(7.77, 11.46, f"FibroReview {__version__}", small, right=True)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
