"""What an evaluation found, as it is written into ``evaluation.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipeline import __version__
from pipeline.evaluation.json_values import to_json
from pipeline.evaluation.mask_overlap import SegmentationSummary
from pipeline.evaluation.measures import Measures, ModelComparison, Strata

SCHEMA = 2
Split = Literal["test", "all"]


@dataclass(frozen=True)
class CohortSummary:
    """The cases that were evaluated."""

    simulated: bool
    description: str
    """Of the whole cohort; empty where its ``cohort.json`` gives none."""
    split: Split
    cases: int
    positives: int
    anatomies: int
    positive_class: str
    """In words, by the label sources of these cases."""
    prevalence: float
    """For predictive values and net benefit, 0-1."""
    prevalence_is: Literal["the cohort's", "stated"]


@dataclass(frozen=True)
class ModelEvaluation:
    """One model: what it is, which of its members predicted, and its measures."""

    name: str
    sha256: str
    trained_on: str
    positive_class: str
    """As the model states it; empty if it does not."""
    threshold: float
    """Operating point, a probability; NaN if the model states none."""
    predicted_by: Mapping[str, int]
    """Cases by the members that predicted them, or ``ensemble``."""
    not_predicted: Mapping[str, int]
    """Cases without a probability, by the reason."""
    measures: Measures
    strata: Strata


@dataclass(frozen=True)
class Evaluation:
    """Classifiers evaluated on one cohort."""

    statements: tuple[str, ...]
    """Sentences to read before any figure, the gravest first."""
    cohort: CohortSummary
    models: Mapping[str, ModelEvaluation]
    """By the name that tables use."""
    comparisons: tuple[ModelComparison, ...]
    segmentation: SegmentationSummary | None
    """None where no case has both a mask in use and a true one."""

    def to_json(self) -> dict[str, Any]:
        """Content of ``evaluation.json``; figures that are not estimable are null."""
        return to_json(
            {
                "schema": SCHEMA,
                "app_version": __version__,
                "statements": self.statements,
                "cohort": asdict(self.cohort),
                "models": {name: vars(model) for name, model in self.models.items()},
                "comparisons": self.comparisons,
                "segmentation": self.segmentation,
            }
        )
