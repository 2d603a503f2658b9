"""The paper's study, from its cohort to its table, as one run that can be interrupted and resumed.

Aggarwal et al., Abdominal Radiology 2025, doi 10.1007/s00261-025-05160-y: 220 cases to train by liver stiffness, 23 to
test by histology, a masked-attention ResNet against DenseNet121, a Swin Transformer and direct classification. Here the
cases are simulated, unless a cohort is given; beside the 23 a larger test of the same simulation and anatomies shows
how wide the intervals at n = 23 are, and networks that must not or need not know anything show what leaks. The small
test has the paper's share of advanced cases, the large one the simulation's, so their accuracies are not comparable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from pipeline.cohort.manifest import read_truth
from pipeline.cohort.predicted_masks import PredictedMasks
from pipeline.errors import ManifestError
from pipeline.evaluation.classifier import EvaluationOptions, evaluate
from pipeline.evaluation.result import Evaluation
from pipeline.paper_study.clock import StepClock
from pipeline.paper_study.names import CONTROL_FEATURES
from pipeline.paper_study.note import check_same_study
from pipeline.paper_study.plan import StudyOptions, TrainingPlan, networks, trainings
from pipeline.paper_study.report import write_report
from pipeline.paper_study.rows import FinishedSeeds
from pipeline.paper_study.scores import StudyScores, read_scores
from pipeline.paper_study.steps import (
    TrainingCohort,
    check_cohort,
    segment_cohort,
    simulate_cohort,
    split_tests,
    train_network,
)

log = logging.getLogger(__name__)

DEFAULTS = StudyOptions()


def run_protocol(out: Path, options: StudyOptions = DEFAULTS, *, progress: Callable[[str], None] = log.info) -> Path:
    """Run the whole study in ``out`` and return its report.

    ``out`` then holds cohort/ (if it is simulated), masked/ (the cohort with the segmenter's masks, by members that
    have not seen them), models/ and work/ (every training and its checkpoints), seed1/ and so on with the evaluations,
    report.html, protocol.json, table.csv and table.md. The study goes seed by seed, all networks of one before the
    next, and writes the report after each: an interrupted study has whole tables of the seeds that are done, and says
    so. What an earlier run finished is kept; masks, trainings and evaluations resume within their step.

    Args:
        progress: called with a line at each step.

    Raises:
        ManifestError: a cohort cannot be used, or ``out`` holds another study.
        ModelError: the segmenter is missing or damaged.
    """
    given = options.manifest
    if given is not None:
        check_cohort(given, options)
    note = check_same_study(out, options)
    clock = StepClock(out / "seconds.json", progress)
    clock.steps = expected_steps(options)
    manifest = given if given is not None else simulate_cohort(out, options, clock)
    masked = segment_cohort(manifest, out, options, clock)
    study = StudyRun(out, options, note, clock, masked)
    for seed in options.size.all_seeds:
        study.run(seed)
        report = write_report(study.finished_seeds())
    return report


def expected_steps(options: StudyOptions) -> list[str]:
    """Names of the steps in their order, before the cohort is known: with a network of sites and both tests."""
    size = options.size
    tests = [f"test_{sum(size.small_test)}", f"test_{size.large_test}"] if options.manifest is None else ["test"]
    by_seed = [
        step
        for seed in size.all_seeds
        for step in (
            *(f"train {plan.name}" for plan in trainings(size, seed, sites=2)),
            *(f"evaluate {test}_seed{seed}" for test in tests),
        )
    ]
    return [*(["simulate"] if options.manifest is None else []), "segment", *by_seed]


class StudyRun:
    """A study whose cohort has its masks: runs one seed after the other.

    Args:
        out: folder of the study.
        note: content of ``study.json``.
        masked: the cohort with the segmenter's masks.
    """

    def __init__(
        self, out: Path, options: StudyOptions, note: dict[str, Any], clock: StepClock, masked: PredictedMasks
    ) -> None:
        self.out, self.options, self.note, self.clock, self.masked = out, options, note, clock, masked
        small_test = options.size.small_test if options.manifest is None else None
        self.tests = split_tests(masked.manifest, small_test, options.cut_offs)
        self.cohort = TrainingCohort.read(masked.manifest, options.cut_offs)
        self.evaluations: dict[str, list[Evaluation]] = {name: [] for name in self.tests}
        self.plans: dict[int, list[TrainingPlan]] = {}
        """Trainings of the seeds that are done."""

    def run(self, seed: int) -> None:
        """Train every network at a seed and evaluate all of them on each test, in ``out/seedN/TEST``."""
        wanted = trainings(self.options.size, seed, self.cohort.named_sites)
        plans = [plan for plan in wanted if self.train(plan)]
        for name, test in self.tests.items():
            with self.clock.step(f"evaluate {name}_seed{seed}"):
                evaluation = evaluate(
                    test,
                    [str(self.out / "models" / plan.name) for plan in plans],
                    self.folder(seed, name),
                    self.evaluation_options(),
                    progress=self.clock.cases("cases predicted"),
                )
            self.evaluations[name].append(evaluation)
        self.plans[seed] = plans

    def train(self, plan: TrainingPlan) -> bool:
        """Train one network. False for a positive control that the masks do not allow, such as one without a spleen."""
        with self.clock.step(f"train {plan.name}"):
            try:
                train_network(plan, self.cohort, self.out, self.options)
            except ManifestError as error:
                if plan.network not in CONTROL_FEATURES:
                    raise
                self.clock.progress(f"{plan.name} is left out: {str(error).splitlines()[0]}")
                return False
        return True

    def folder(self, seed: int, test: str) -> Path:
        return self.out / f"seed{seed}" / test

    def evaluation_options(self) -> EvaluationOptions:
        options = self.options
        return EvaluationOptions(seed=options.size.seed, cut_offs=options.cut_offs, device=options.device)

    def finished_seeds(self) -> FinishedSeeds:
        """What the seeds that are done have found."""
        table = {plan.network for plan in networks(self.options.size, 1)}
        leaks = {plan.network for plans in self.plans.values() for plan in plans} - table
        return FinishedSeeds(
            folder=self.out,
            note=self.note,
            seconds=self.clock.seconds,
            seeds=tuple(self.plans),
            planned=self.options.size.seeds,
            evaluations=self.evaluations,
            scores={name: self.scores(name, table) for name in self.tests},
            leak_scores=self.scores(list(self.tests)[-1], leaks, with_severity=False),
            first_site=self.cohort.sites[0],
            cases_known=self.masked.cases_known,
        )

    def scores(self, test: str, chosen: Collection[str], *, with_severity: bool = True) -> StudyScores:
        """Predictions of the chosen networks at each finished seed on one test."""
        severity = read_truth(self.masked.manifest).get("severity") if with_severity else None
        plans = {
            self.folder(seed, test): [plan for plan in trained if plan.network in chosen]
            for seed, trained in self.plans.items()
        }
        return read_scores(plans, severity, self.options.size.seed)
