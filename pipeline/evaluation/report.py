"""``report.html`` of an evaluation: one file with everything in it, to read, print and keep."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline import RESEARCH_USE, __version__
from pipeline.evaluation import figures
from pipeline.evaluation.measures import STRATA, Measure
from pipeline.evaluation.pages import TEMPLATES, Cell, Picture, Table, picture, render_page, table
from pipeline.evaluation.predictions import CohortPredictions
from pipeline.evaluation.result import CohortSummary, Evaluation, ModelEvaluation
from pipeline.statistics.estimate import NOT_ESTIMABLE

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
    "calibration_error": "Calibration error",
    "calibration_p": "p of the test of calibration",
}
OVERLAP = {
    "dice": "Dice",
    "iou": "IoU",
    "hd95_mm": "HD95, mm",
    "assd_mm": "ASSD, mm",
    "volume_error_percent": "Volume error, %",
}
DECISION_WORDS = (
    "Net benefit per case (Vickers and Elkin). Probabilities are calibrated to the share of positives in each model's "
    "training; at another prevalence a threshold is no patient's risk."
)


@dataclass(frozen=True)
class Drawing:
    """A section of the report with one picture."""

    title: str
    words: str
    picture: Picture | None
    """None where the cohort does not have what it shows."""
    needs: str = ""
    """What a case must have to be drawn."""


def html_report(evaluation: Evaluation, predictions: CohortPredictions, *, seed: int) -> str:
    """The whole page.

    Args:
        predictions: that the evaluation was computed from, for the drawings.
        seed: of the bootstrap band around the ROC curves.
    """
    return render_page(
        TEMPLATES / "evaluation.html.j2",
        evaluation=evaluation,
        research_use=RESEARCH_USE,
        app_version=__version__,
        cohort=cohort_table(evaluation.cohort),
        measures=measure_table(evaluation.models),
        drawings=list(drawings(evaluation, predictions, seed)),
        comparisons=comparison_table(evaluation),
        strata=list(strata_tables(evaluation.models)),
        segmentation=segmentation_table(evaluation),
        methods=[(name, method_table(model)) for name, model in evaluation.models.items()],
    )


def shown(measure: Measure) -> Cell:
    """A figure with its interval if it has one, and below it the cases that it is computed from."""
    estimate, words = measure.estimate, str(measure.estimate)
    if measure.has_interval and estimate.known and not estimate.bounded:
        words += f" (interval {NOT_ESTIMABLE})"
    return Cell(words, f"n = {measure.cases}, {measure.positives} positive, {measure.anatomies} anatomies")


def cohort_table(cohort: CohortSummary) -> Table:
    head = ["Split", "Cases", "Positive", "Anatomies", "Positive class", "Prevalence for PPV and NPV"]
    row = [
        cohort.split,
        str(cohort.cases),
        str(cohort.positives),
        str(cohort.anatomies),
        cohort.positive_class,
        f"{cohort.prevalence:.3f} ({cohort.prevalence_is})",
    ]
    return table(head, [row])


def measure_table(models: Mapping[str, ModelEvaluation]) -> Table:
    rows: list[list[str | Cell]] = [
        [label, *(shown(model.measures[key]) for model in models.values())] for key, label in NAMES.items()
    ]
    rows.append(["Threshold", *(_number(model.threshold, 4) for model in models.values())])
    return table(["", *models], rows)


def drawings(evaluation: Evaluation, predictions: CohortPredictions, seed: int) -> Iterator[Drawing]:
    by_model = {name: predictions.of(name) for name in evaluation.models}
    roc, calibration, decision = "ROC curves", "Calibration", "Decision curve"
    yield Drawing(
        roc,
        "The dot is the operating point; the band is pointwise, by bootstrap, and has no width where every draw gives "
        "the same curve.",
        picture(figures.draw_roc(by_model, seed), roc),
    )
    yield Drawing(
        calibration,
        "Bars show where the cases lie; vertical lines are intervals of the observed share. A small p of the test of "
        "calibration says that the probabilities are off; a large one at few cases says little.",
        picture(figures.draw_calibration(by_model), calibration),
    )
    yield Drawing(
        decision, DECISION_WORDS, picture(figures.draw_decision(by_model, evaluation.cohort.prevalence), decision)
    )
    stages, quality = "Probability by METAVIR stage", "Quality of the mask and correctness"
    staged = figures.draw_stages(predictions, list(by_model))
    yield Drawing(
        stages,
        "Orange cases are positive by the label, grey ones not; lines are medians.",
        picture(staged, stages) if staged else None,
        "a METAVIR stage",
    )
    overlap = figures.draw_overlap(predictions, list(by_model))
    yield Drawing(
        quality,
        "Each case's Dice, by whether the model called it as its label does.",
        picture(overlap, quality) if overlap else None,
        "a true mask beside the one in use",
    )


def comparison_table(evaluation: Evaluation) -> Table:
    return table(
        ["First", "Second", "First less second", "z", "p"],
        [
            [pair.first, pair.second, shown(pair.difference), _number(pair.z, 2), _number(pair.p, 4)]
            for pair in evaluation.comparisons
        ],
        "Paired, on the cases that both models predicted; p is two-sided and not corrected for several comparisons.",
    )


def strata_tables(models: Mapping[str, ModelEvaluation]) -> Iterator[tuple[str, Table]]:
    """One table per model and column, with the model's name."""
    for name, model in models.items():
        for column, values in model.strata.items():
            kinds = list(next(iter(values.values())))
            rows: list[list[str | Cell]] = [
                [value, *(shown(found[kind]) for kind in kinds)] for value, found in values.items()
            ]
            yield name, table([STRATA[column], *(NAMES[kind] for kind in kinds)], rows)


def segmentation_table(evaluation: Evaluation) -> Table | None:
    summary = evaluation.segmentation
    if summary is None:
        return None
    rows: list[list[str]] = []
    for name, found in summary.measures.items():
        numbers = (*found.mean, found.sd, found.median, found.lowest, found.highest)
        rows.append([OVERLAP[name], str(found.cases), str(found.anatomies), *(_number(value, 3) for value in numbers)])
    return table(
        ["", "Cases", "Anatomies", "Mean", "from", "to (95 %)", "SD", "Median", "Lowest", "Highest"],
        rows,
        f"In {summary.not_found} cases a mask is empty; they count without distances.",
    )


def method_table(model: ModelEvaluation) -> Table:
    predicted = ", ".join(f"{count} by {members}" for members, count in model.predicted_by.items()) or "none"
    problems = "; ".join(f"{count}: {why}" for why, count in model.not_predicted.items()) or "none"
    methods = "; ".join(f"{NAMES[key]}: {measure.method}" for key, measure in model.measures.items())
    rows = [
        ["SHA-256", model.sha256],
        ["Trained on", str(model.trained_on)],
        ["Probability of", str(model.positive_class)],
        ["Cases predicted", predicted],
        ["Cases not predicted", problems],
        ["Methods", methods],
    ]
    return table(["", ""], rows)


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else NOT_ESTIMABLE
