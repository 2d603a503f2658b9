"""Measures of tables of predictions: degenerate ones, strata, related cases, comparisons, masks."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ScoreError
from pipeline.evaluation import figures as evaluation_figures
from pipeline.evaluation.json_values import to_json
from pipeline.evaluation.mask_overlap import segmentation_summary
from pipeline.evaluation.measures import comparisons, measures, strata
from pipeline.evaluation.predictions import CohortPredictions, Prediction
from pipeline.evaluation.report import shown
from tests.evaluation.tables import prediction, predictions_of


@pytest.mark.parametrize("label", [True, False])
def test_one_class_only_is_not_estimable_and_no_crash(label):
    predictions = predictions_of([label] * 3, [0.2, 0.6, 0.9]).of("m")
    found = measures(predictions, prevalence=float(label), seed=0)
    unknown = {name for name, measure in found.items() if not measure.estimate.known}
    missing = "specificity" if label else "sensitivity"
    figures = {"calibration_slope", "calibration_intercept", "calibration_error"}
    assert unknown == {"auc", missing, "ppv", "npv"} | figures, "three cases are no bin either"
    assert json.dumps(to_json(found), allow_nan=False)
    assert evaluation_figures.draw_roc({"m": predictions}, 0)
    assert evaluation_figures.draw_decision({"m": predictions}, 0.5)


def test_strata_of_one_case_and_no_case_at_all():
    predictions = predictions_of([True, False, True], [0.9, 0.2, np.nan], site=["A", "B", "C"], sex=["", "", ""])
    found = strata(predictions, "m")
    assert set(found) == {"site"}
    assert found["site"]["A"]["sensitivity"].estimate.value == 1
    assert found["site"]["A"]["sensitivity"].estimate.low < 0.3
    assert not found["site"]["A"]["auc"].estimate.known
    assert found["site"]["C"]["accuracy"].cases == 0
    assert json.dumps(to_json(found), allow_nan=False)
    nothing = predictions_of([True, False], [np.nan, np.nan]).of("m")
    assert not any(m.estimate.known for m in measures(nothing, prevalence=0.5, seed=0).values())


def test_a_case_without_probability_or_reason_is_an_error_and_no_smaller_sample():
    with pytest.raises(ScoreError, match="m gave a probability"):
        Prediction("case0", "m", math.nan)
    predictions = predictions_of([True, False, True], [0.9, 0.2, 0.4])
    with pytest.raises(ScoreError, match="1 cases have no probability by m"):
        CohortPredictions(predictions.cases, predictions.predictions[1:]).of("m")


def test_calibration_is_a_figure_without_interval_and_a_test():
    random = np.random.default_rng(0)
    probabilities = random.random(200)
    found = measures(predictions_of(random.random(200) < probabilities, probabilities).of("m"), prevalence=0.5, seed=0)
    assert found["calibration_p"].estimate.value > 0.05
    assert shown(found["calibration_error"]).text == f"{found['calibration_error'].estimate.value:.3f}"
    assert "ece" not in found


def test_perfect_answers_have_an_auc_interval_with_width():
    found = measures(predictions_of([False] * 6 + [True] * 4, np.arange(10) / 10).of("m"), prevalence=0.4, seed=0)
    assert found["auc"].estimate.value == 1
    assert found["auc"].estimate.low < 0.9
    assert "degenerates" in found["auc"].method
    assert not found["calibration_slope"].estimate.known


def test_intervals_know_that_cases_share_an_anatomy():
    random = np.random.default_rng(0)
    labels, probabilities = random.random(60) < 0.5, random.random(60)
    alone = predictions_of(labels, probabilities)
    names = [f"anatomy{i}" for i in range(60)]
    shared = predictions_of(np.tile(labels, 4), np.tile(probabilities, 4), anatomy=names * 4)
    found, single = (measures(each.of("m"), prevalence=0.5, seed=0) for each in (shared, alone))
    assert found["auc"].estimate.low == pytest.approx(single["auc"].estimate.low, abs=0.01)
    assert found["accuracy"].estimate.low == pytest.approx(single["accuracy"].estimate.low, abs=0.01)
    assert (found["auc"].cases, found["auc"].anatomies) == (240, 60)
    assert "cluster" in found["auc"].method


def test_models_are_compared_on_the_cases_that_both_predicted():
    one = predictions_of([True, False] * 5, np.linspace(0.1, 0.9, 10))
    values = [np.nan, *np.linspace(0.9, 0.1, 9)]
    other = [prediction(f"case{number}", "n", value) for number, value in enumerate(values)]
    both = CohortPredictions.from_records(
        one.cases.to_dict("records"), [*(prediction(f"case{i}", "m", i / 10) for i in range(10)), *other]
    )
    (pair,) = comparisons(both, ["m", "n"])
    assert pair.difference.cases == 9
    assert 0 <= pair.p <= 1


def test_segmentation_is_summed_up_without_infinite_distances():
    table = pd.DataFrame(
        {
            "dice": [0.9, 0.0, np.nan],
            "iou": [0.82, 0.0, np.nan],
            "hd95_mm": [5.0, np.inf, np.nan],
            "assd_mm": [1.0, np.inf, np.nan],
            "volume_error_percent": [2.0, -100.0, np.nan],
            "anatomy": ["a", "b", "c"],
        }
    )
    found = segmentation_summary(table)
    assert found is not None
    dice, hd95 = found.measures["dice"], found.measures["hd95_mm"]
    assert (dice.mean.value, hd95.mean.value, hd95.cases) == (0.45, 5.0, 1)
    assert found.not_found == 1
    assert dice.anatomies == 2
    assert (dice.mean.low, dice.mean.high) == (0, 1), "two anatomies determine almost nothing"
    assert segmentation_summary(table[2:]) is None
    assert json.dumps(to_json(found), allow_nan=False)
    stored = to_json(segmentation_summary(table[1:]))
    assert stored["hd95_mm"] == {"cases": 0}
    assert stored["dice"]["not_found"] == 1
