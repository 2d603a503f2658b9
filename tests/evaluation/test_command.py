"""``evaluate`` on the command line: which options arrive where, and what is printed."""

from __future__ import annotations

from unittest.mock import create_autospec

import pytest
from typer.testing import CliRunner

from pipeline import __main__ as cli
from pipeline.cohort.manifest import CutOffs
from pipeline.evaluation import classifier
from pipeline.evaluation.classifier import EvaluationOptions
from pipeline.evaluation.measures import Measure
from pipeline.evaluation.result import CohortSummary, Evaluation, ModelEvaluation
from pipeline.paper_study import protocol
from pipeline.paper_study.plan import SIZES, StudyOptions
from pipeline.statistics import Estimate
from pipeline.statistics.estimate import UNKNOWN


def model_evaluation(name: str, area: Estimate) -> ModelEvaluation:
    measures = {"auc": Measure(area, "DeLong", 9, 4, 3)}
    return ModelEvaluation(name, "0" * 64, "boxes", "METAVIR >= F3", 0.5, {}, {}, measures, {})


@pytest.fixture
def evaluate(monkeypatch):
    cohort = CohortSummary(True, "", "test", 9, 4, 3, "METAVIR >= F3", 0.4, "stated")
    models = {"a": model_evaluation("a", Estimate(0.75, 0.5, 0.9)), "b": model_evaluation("b", UNKNOWN)}
    stand_in = create_autospec(classifier.evaluate)
    stand_in.return_value = Evaluation(("A statement.",), cohort, models, (), None)
    monkeypatch.setattr(classifier, "evaluate", stand_in)
    return stand_in


def test_options_arrive_and_areas_are_printed(evaluate, tmp_path):
    given = ["--models", "a", "--models", "b", "--split", "all", "--prevalence", "0.1", "--seed", "3"]
    cut_offs = ["--lsm-cut", "10", "--metavir-cut", "f2", "--device", "cpu"]
    answer = CliRunner().invoke(cli.app, ["evaluate", "m.csv", "-o", str(tmp_path), *given, *cut_offs])
    assert answer.exit_code == 0, answer.output
    (_, models, out, options), _ = evaluate.call_args
    assert (models, out) == (["a", "b"], tmp_path)
    assert options == EvaluationOptions(split="all", prevalence=0.1, cut_offs=CutOffs(10.0, "F2"), seed=3, device="cpu")
    assert "A statement." in answer.output
    assert "0.500 to 0.900" in answer.output
    assert "not estimable" in answer.output


def test_without_options_the_papers_cut_offs_hold(evaluate, tmp_path):
    CliRunner().invoke(cli.app, ["evaluate", "m.csv", "-o", str(tmp_path)])
    (_, models, _, options), _ = evaluate.call_args
    assert models == ["fibrosis_t2"]
    assert options == EvaluationOptions()
    assert options.cut_offs == CutOffs(12.0, "F3")


def test_the_options_of_a_study_arrive(monkeypatch, tmp_path):
    stand_in = create_autospec(protocol.run_protocol)
    stand_in.return_value = tmp_path / "report.html"
    monkeypatch.setattr(protocol, "run_protocol", stand_in)
    (tmp_path / "table.md").write_text("| Network |\n")
    given = ["--size", "full", "--anatomies", "data", "--segmenter", "mine", "--pretrained", "imagenet"]
    answer = CliRunner().invoke(cli.app, ["evaluate", "--protocol", "paper", "-o", str(tmp_path), *given])
    assert answer.exit_code == 0, answer.output
    (out, options), _ = stand_in.call_args
    assert out == tmp_path
    anatomies = options.anatomies
    assert options == StudyOptions(anatomies=anatomies, size=SIZES["full"], segmenter="mine", pretrained="imagenet")
    assert str(anatomies) == "data"
    assert "| Network |" in answer.output
