"""``report.html``: one file with everything in it, to be read, printed and kept beside ``evaluation.json``."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from pipeline import RESEARCH_USE
from pipeline.evaluation import figures
from pipeline.evaluation.measures import STRATA, Answers, Measure

NAMES = {
    "auc": "AUC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "accuracy": "Accuracy",
    "ppv": "PPV",
    "npv": "NPV",
    "brier": "Brier score",
    "calibration_slope": "Calibration slope",
    "calibration_intercept": "Calibration intercept",
    "ece": "Expected calibration error",
}
OVERLAP = {
    "dice": "Dice",
    "iou": "IoU",
    "hd95_mm": "HD95, mm",
    "assd_mm": "ASSD, mm",
    "volume_error_percent": "Volume error, %",
}
UNKNOWN = "not estimable"
DECISION_WORDS = (
    "Net benefit per case (Vickers and Elkin). Probabilities are calibrated to the share of positives in each model's "
    "training; at another prevalence a threshold is no patient's risk."
)
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #14303f; max-width: 1060px; margin: 0 auto; padding: 0 24px 60px; }
h1 { font-size: 26px; margin: 32px 0 4px; } h2 { font-size: 19px; margin: 40px 0 8px; } h3 { margin: 22px 0 4px; }
p.muted, td.muted, caption { color: #5a6b76; font-size: 13px; } caption { text-align: left; padding-bottom: 6px; }
.statement { background: #ffe2a8; color: #7a4a00; padding: 10px 16px; margin: 12px 0; }
.statement p { margin: 4px 0; font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 18px 5px 0; border-bottom: 1px solid #e6ebee; vertical-align: top; }
td small { display: block; color: #5a6b76; } img { max-width: 100%; }
"""


def html_report(content: Mapping[str, Any], table: pd.DataFrame, *, seed: int) -> str:
    """The whole page.

    Args:
        content: as ``evaluation.json`` holds it, figures as ``Measure``.
        table: of ``read_cases``, for the figures.
        seed: of the ROC's band.
    """
    by_model = {name: Answers.of(table, name) for name in content["models"]}
    parts = [
        f"<h1>Evaluation of {escape(', '.join(by_model))}</h1>",
        f"<p class=muted>{escape(RESEARCH_USE)} FibroReview {escape(content['app_version'])}</p>",
        *_statement(content["statements"]),
        *_cohort(content),
        *_figures_of_models(content),
        *_drawings(content, table, by_model, seed),
        *_comparisons(content["comparisons"]),
        *_strata(content["models"]),
        *_segmentation(content["segmentation"]),
        *_methods(content),
    ]
    return html_page("evaluation", parts)


def html_page(title: str, parts: Sequence[str]) -> str:
    """A page with everything in it; its parts are HTML already, the title is text."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>FibroReview: {escape(title)}</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def shown(measure: Measure) -> str:
    """A figure with its interval, and below it what stands behind it."""
    estimate = measure.estimate
    behind = f"<small>n = {measure.cases}, {measure.positives} positive, {measure.anatomies} anatomies</small>"
    if not estimate.known:
        return UNKNOWN + behind
    interval = f"({estimate.low:.3f} to {estimate.high:.3f})" if estimate.bounded else f"(interval {UNKNOWN})"
    return f"{estimate.value:.3f} {interval}{behind}"


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """Cells are HTML already; the head is text."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<div class=wide><table>{said}<tr>{top}</tr>{body}</table></div>"


def picture(figure: Figure, alt: str) -> str:
    """A drawing as an SVG inside the page, the same bytes for the same figures."""
    with rc_context({"svg.hashsalt": alt}), io.BytesIO() as stream:
        figure.savefig(stream, format="svg", metadata={"Date": None})
        data = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}">'


def _statement(statements: Sequence[str]) -> Iterator[str]:
    if statements:
        yield "<div class=statement>" + "".join(f"<p>{escape(words)}</p>" for words in statements) + "</div>"


def _cohort(content: Mapping[str, Any]) -> Iterator[str]:
    cohort = content["cohort"]
    yield "<h2>Cohort</h2>"
    if cohort["description"]:
        yield f"<p>{escape(cohort['description'])}</p>"
    yield html_table(
        ["Split", "Cases", "Positive", "Anatomies", "Positive class", "Prevalence for PPV and NPV"],
        [
            [
                escape(str(cell))
                for cell in (
                    cohort["split"],
                    cohort["cases"],
                    cohort["positives"],
                    cohort["anatomies"],
                    cohort["positive_class"],
                    f"{cohort['prevalence']:.3f} ({cohort['prevalence_is']})",
                )
            ]
        ],
    )


def _figures_of_models(content: Mapping[str, Any]) -> Iterator[str]:
    models = content["models"]
    yield "<h2>Figures with 95 % intervals</h2>"
    rows = [[label, *(shown(model["measures"][key]) for model in models.values())] for key, label in NAMES.items()]
    rows.append(["Threshold", *(_number(model["threshold"], 4) for model in models.values())])
    yield html_table(["", *models], rows)


def _drawings(
    content: Mapping[str, Any], table: pd.DataFrame, by_model: dict[str, Answers], seed: int
) -> Iterator[str]:
    prevalence = content["cohort"]["prevalence"]
    drawn: list[tuple[str, str, Figure | None]] = [
        (
            "ROC curves",
            "The dot is the operating point; the band is pointwise, by bootstrap, and has no width where "
            "every draw gives the same curve.",
            figures.draw_roc(by_model, seed),
        ),
        (
            "Calibration",
            "Bars show where the cases lie; vertical lines are intervals of the observed share.",
            figures.draw_calibration(by_model),
        ),
        ("Decision curve", DECISION_WORDS, figures.draw_decision(by_model, prevalence)),
        (
            "Probability by METAVIR stage",
            "Orange cases are positive by the label, grey ones not; lines are medians.",
            figures.draw_stages(table, by_model),
        ),
        (
            "Quality of the mask and correctness",
            "Each case's Dice, by whether the model called it as its label does.",
            figures.draw_overlap(table, by_model),
        ),
    ]
    for title, words, figure in drawn:
        yield f"<h2>{title}</h2>"
        if figure is None:
            needs = "a METAVIR stage" if "METAVIR" in title else "a true mask beside the one in use"
            yield f"<p class=muted>Not drawn: no case has {needs}.</p>"
        else:
            yield f"<p class=muted>{words}</p>{picture(figure, title)}"


def _comparisons(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not found:
        return
    yield "<h2>Differences in AUC</h2>"
    yield html_table(
        ["First", "Second", "First less second", "z", "p"],
        [
            [
                escape(pair["first"]),
                escape(pair["second"]),
                shown(pair["difference"]),
                _number(pair["z"], 2),
                _number(pair["p"], 4),
            ]
            for pair in found
        ],
        "Paired, on the cases that both models read; p is two-sided and not corrected for several comparisons.",
    )


def _strata(models: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Strata</h2>"
    yield "<p class=muted>Chosen beforehand; small strata have wide intervals, and overlapping ones show nothing.</p>"
    for name, model in models.items():
        for column, values in model["strata"].items():
            kinds = list(next(iter(values.values())))
            rows = [[escape(value), *(shown(found[kind]) for kind in kinds)] for value, found in values.items()]
            yield f"<h3>{escape(name)}</h3>"
            yield html_table([STRATA[column], *(NAMES[kind] for kind in kinds)], rows)


def _segmentation(found: Mapping[str, Mapping[str, float]] | None) -> Iterator[str]:
    yield "<h2>Liver masks against the true ones</h2>"
    if found is None:
        yield "<p class=muted>Not measured: no case has both a mask in use and a true one.</p>"
        return
    columns = ("mean", "low", "high", "sd", "median", "lowest", "highest")
    yield html_table(
        ["", "Cases", "Anatomies", "Mean", "from", "to (95 %)", "SD", "Median", "Lowest", "Highest"],
        [
            [
                OVERLAP[key],
                *(str(values.get(c, 0)) for c in ("cases", "anatomies")),
                *(_number(values.get(c, math.nan), 3) for c in columns),
            ]
            for key, values in found.items()
        ],
        f"In {found['dice']['not_found']} cases a mask is empty; they count without distances.",
    )


def _methods(content: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Models and methods</h2>"
    for name, model in content["models"].items():
        read = ", ".join(f"{count} by {who}" for who, count in model["read_by"].items()) or "none"
        left = "; ".join(f"{count}: {why}" for why, count in model["not_read"].items()) or "none"
        methods = "; ".join(f"{NAMES[key]}: {measure.method}" for key, measure in model["measures"].items())
        rows = [
            ["SHA-256", model["sha256"]],
            ["Trained on", model["trained_on"]],
            ["Probability of", model["positive_class"]],
            ["Cases read", read],
            ["Cases not read", left],
            ["Intervals", methods],
        ]
        yield f"<h3>{escape(name)}</h3>"
        yield html_table(["", ""], [[label, escape(str(cell))] for label, cell in rows])


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else UNKNOWN
