"""The paper's study, from its cohort to its table, as one run that can be interrupted and resumed.

Aggarwal et al., Abdominal Radiology 2025, doi 10.1007/s00261-025-05160-y: 220 cases to train by liver stiffness, 23 to
test by histology, a masked-attention ResNet against DenseNet121, a Swin Transformer and direct classification. Here the
cases are simulated, unless a cohort is given; beside the 23 a larger test of the same simulation and anatomies shows
how wide the intervals at n = 23 are, and networks that must not or need not know anything show what leaks. The small
test has the paper's share of advanced cases, the large one the simulation's, so their accuracies are not comparable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.evaluation.classifier import EvaluationOptions, evaluate
from pipeline.evaluation.result import Evaluation
from pipeline.paper_study.clock import StepClock
from pipeline.paper_study.names import LEAKS
from pipeline.paper_study.note import check_same_study
from pipeline.paper_study.plan import NetworkPlan, StudyOptions, leak_tests, networks
from pipeline.paper_study.report import write_report
from pipeline.paper_study.steps import (
    TrainingCohort,
    check_cohort,
    segment_cohort,
    simulate_cohort,
    split_tests,
    train_network,
)
from pipeline.paper_study.tables import FinishedStudy

log = logging.getLogger(__name__)

DEFAULTS = StudyOptions()


def run_protocol(out: Path, options: StudyOptions = DEFAULTS, *, progress: Callable[[str], None] = log.info) -> Path:
    """Run the whole study in ``out`` and return its report.

    ``out`` then holds cohort/ (if it is simulated), masked/ (the cohort with the segmenter's masks, by members that
    have not seen them), models/ and work/ (every network and its checkpoints), a folder for each evaluation,
    report.html, protocol.json, table.csv and table.md. What an earlier run finished is kept; masks, trainings and
    evaluations resume within their step.

    Args:
        progress: called with a line at each step.

    Raises:
        ManifestError: a cohort cannot be used, or ``out`` holds another study.
        ModelError: the segmenter is missing or damaged.
    """
    size, given = options.size, options.manifest
    if given is not None:
        check_cohort(given, options)
    note = check_same_study(out, options)
    clock = StepClock(out / "seconds.json", progress)
    manifest = given if given is not None else simulate_cohort(out, options, clock)
    masked = segment_cohort(manifest, out, options, clock)
    tests = split_tests(masked.manifest, size.small_test if given is None else None, options.cut_offs)
    cohort = TrainingCohort.read(masked.manifest, options.cut_offs)
    table, leaks = networks(size), leak_tests(size, sites=cohort.named_sites)
    for plan in (*table, *leaks):
        with clock.step(f"train {plan.name}"):
            train_network(plan, cohort, out, options)
    evaluations = {name: evaluate_networks(name, test, table, out, options, clock) for name, test in tests.items()}
    largest = list(tests.values())[-1]
    evaluations[LEAKS] = evaluate_networks(LEAKS, largest, leaks, out, options, clock)
    study = FinishedStudy(
        folder=out,
        evaluations=evaluations,
        note=note,
        seconds=clock.seconds,
        first_site=cohort.sites[0],
        cases_known=masked.cases_known,
    )
    return write_report(study)


def evaluate_networks(
    name: str, test: Path, plans: Sequence[NetworkPlan], out: Path, options: StudyOptions, clock: StepClock
) -> Evaluation:
    """Evaluate trained networks on one test, in ``out/NAME``."""
    with clock.step(f"evaluate {name}"):
        return evaluate(
            test,
            [str(out / "models" / plan.name) for plan in plans],
            out / name,
            EvaluationOptions(seed=options.size.seed, cut_offs=options.cut_offs, device=options.device),
            progress=clock.cases("cases predicted"),
        )
