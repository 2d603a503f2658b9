"""Evaluate classifiers on a cohort: each case is predicted by members that have not seen it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models import registry
from models.device import choose_device
from models.files import write_json, write_text
from pipeline.cohort.manifest import DEFAULT_CUT_OFFS, Cohort, CutOffs, read_left_out, read_manifest, read_truth
from pipeline.cohort.out_of_fold import OutOfFoldMembers, out_of_fold_members
from pipeline.cohort.result_cache import ResultCache
from pipeline.errors import ManifestError
from pipeline.evaluation.mask_overlap import segmentation_summary
from pipeline.evaluation.measures import comparisons, measures, strata
from pipeline.evaluation.predictions import CohortPredictions
from pipeline.evaluation.report import html_report
from pipeline.evaluation.result import CohortSummary, Evaluation, ModelEvaluation, Split
from pipeline.evaluation.statements import statements
from pipeline.evaluation.under_test import ModelsUnderTest, predict_cases


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Choices of an evaluation, besides cohort and models."""

    split: Split = "test"
    """Rows to evaluate."""
    prevalence: float | None = None
    """Of the population that predictive values and net benefit are for, 0-1; None for the cohort's."""
    cut_offs: CutOffs = DEFAULT_CUT_OFFS
    seed: int = 0
    """Of the bootstrap."""
    device: str = "auto"


DEFAULTS = EvaluationOptions()


def evaluate(
    manifest: Path,
    models: Sequence[str],
    out: Path,
    options: EvaluationOptions = DEFAULTS,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Predict every case of the split, and write evaluation.json, cases.csv, predictions.csv and report.html.

    A member that has seen a case, or its source anatomy, never predicts it; a case that every member has seen is left
    out and counted. Predictions are cached in ``out/answers`` by the content of image, mask and model, so that an
    interrupted evaluation resumes, and one with a further model predicts only what is new.

    Masks are the manifest's; ``predict_masks`` makes a manifest with a segmenter's. ``truth.csv`` beside it, as a
    simulation and ``predict_masks`` write it, may name a ``true_mask`` by ``patient_id`` that the mask in use is
    compared with. Cases that ``left_out.csv`` lists are stated.

    Args:
        models: classifiers by name or path; ``NAME/fold1`` for one member.
        progress: called with cases done and cases in all.

    Raises:
        ManifestError: the cohort cannot be used, one line per wrong row.
        ModelError: a model is missing or damaged.
    """
    whole = read_manifest(manifest, cut_offs=options.cut_offs)
    cohort = cohort_under_test(whole, options.split, manifest)
    left_out = read_left_out(manifest)
    classifiers = find_classifiers(models, whole.anatomy_of)
    cache = ResultCache(out / "answers")
    cache.folder.mkdir(parents=True, exist_ok=True)
    under_test = ModelsUnderTest(classifiers, cache, choose_device(options.device))
    predictions = predict_cases(cohort.rows, under_test, progress)
    summary = cohort_summary(cohort, predictions, options)
    evaluation = Evaluation(
        statements(cohort, classifiers, predictions, left_out),
        summary,
        {
            name: model_evaluation(name, members, predictions, summary.prevalence, options.seed)
            for name, members in classifiers.items()
        },
        tuple(comparisons(predictions, list(classifiers))),
        segmentation_summary(predictions.cases),
    )
    predictions.write(out)
    write_text(out / "report.html", html_report(evaluation, predictions, seed=options.seed))
    write_json(out / "evaluation.json", evaluation.to_json())
    return evaluation


def cohort_under_test(whole: Cohort, split: Split, manifest: Path) -> Cohort:
    """The rows of the split, with a column ``true_mask`` (a full path or empty); its positive class is theirs."""
    rows = whole.rows[whole.rows.split == "test"] if split == "test" else whole.rows
    if rows.empty:
        raise ManifestError("The manifest has no rows whose split is test; choose --split all to evaluate every row.")
    truth = read_truth(manifest)["true_mask"]
    return replace(whole, rows=rows.assign(true_mask=[truth.get(case, "") for case in rows["patient_id"]]))


def find_classifiers(models: Sequence[str], anatomy_of: Mapping[str, str]) -> dict[str, OutOfFoldMembers]:
    """The models by the names that tables use: their own, followed by a number where one occurs again."""
    found: dict[str, OutOfFoldMembers] = {}
    for model in models:
        folder = registry.find(model, "classifier")
        name, again = folder.name, 1
        while name in found:
            again += 1
            name = f"{folder.name} ({again})"
        found[name] = out_of_fold_members(folder, anatomy_of)
    return found


def cohort_summary(cohort: Cohort, predictions: CohortPredictions, options: EvaluationOptions) -> CohortSummary:
    cases, stated = predictions.cases, options.prevalence
    return CohortSummary(
        simulated=cohort.simulated,
        description=cohort.description,
        split=options.split,
        cases=len(cases),
        positives=int(cases["label"].sum()),
        anatomies=int(cases["anatomy"].nunique()),
        positive_class=cohort.positive_class,
        prevalence=float(cases["label"].mean()) if stated is None else stated,
        prevalence_is="the cohort's" if stated is None else "stated",
    )


def model_evaluation(
    name: str, members: OutOfFoldMembers, predictions: CohortPredictions, prevalence: float, seed: int
) -> ModelEvaluation:
    info, table = members.model.info, predictions.by_case(name)
    return ModelEvaluation(
        name=members.model.name,
        sha256=members.model.sha256,
        trained_on=info["trained_on"],
        positive_class=info.get("positive_class", ""),
        threshold=info.get("threshold", math.nan),
        predicted_by=counts(table["predicted_by"]),
        not_predicted=counts(table["problem"]),
        measures=measures(predictions.of(name), prevalence=prevalence, seed=seed),
        strata=strata(predictions, name),
    )


def counts(texts: Iterable[str]) -> dict[str, int]:
    """How often each text occurs, by the text; empty ones are left out."""
    return dict(sorted(Counter(text for text in texts if text).items()))
