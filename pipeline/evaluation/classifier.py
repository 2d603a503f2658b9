"""Evaluate classifiers on a cohort: each case read by members that have not seen it; figures, intervals, report."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from models import registry
from models.device import choose_device
from models.files import write_text
from pipeline import __version__
from pipeline.cohort.manifest import DEFAULT_CUT_OFFS, Cohort, CutOffs, read_left_out, read_manifest, read_truth
from pipeline.cohort.out_of_fold import OutOfFoldMembers, out_of_fold_members
from pipeline.cohort.result_cache import ResultCache
from pipeline.errors import ManifestError
from pipeline.evaluation.measures import Answers, comparisons, measures, segmentation, strata, to_json
from pipeline.evaluation.predictions import Bench, read_cases
from pipeline.evaluation.report import html_report

Split = Literal["test", "all"]
SIMULATED_COHORT = "The cohort is simulated. No figure here says anything about patients or about any clinical use."


def evaluate(
    manifest: Path,
    models: Sequence[str],
    out: Path,
    *,
    split: Split = "test",
    prevalence: float | None = None,
    cut_offs: CutOffs = DEFAULT_CUT_OFFS,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Read every case of the split and write ``evaluation.json``, ``cases.csv`` and ``report.html`` into ``out``.

    A member that has seen a case, or its source anatomy, never reads it; a case that every member has seen is left
    out and counted. Answers are kept in ``out/answers`` by the content of image, mask and model, so that an
    interrupted evaluation goes on, and one with a further model reads only what is new.

    Masks are the manifest's; ``predict_masks`` makes a manifest with a segmenter's. ``truth.csv`` beside it, as a
    simulation and ``predict_masks`` write it, may name a ``true_mask`` by ``patient_id``: what the mask in use is then
    compared with. Cases that ``left_out.csv`` lists are stated.

    Args:
        models: classifiers by name or path; ``NAME/fold1`` for one member.
        prevalence: of the population that predictive values and net benefit are for; the cohort's where not given.
        seed: of the bootstrap.

    Returns:
        What ``evaluation.json`` holds, figures as ``Measure``.

    Raises:
        ManifestError: the cohort cannot be used, one line per wrong row.
        ModelError: a model is missing or damaged.
    """
    whole = read_manifest(manifest, cut_offs=cut_offs)
    rows = whole.rows[whole.rows.split == "test"] if split == "test" else whole.rows
    if rows.empty:
        raise ManifestError("The manifest has no rows whose split is test; choose --split all to read every row.")
    cohort = replace(whole, rows=rows)  # what counts as positive is said of the rows that are read
    anatomy_of = whole.anatomy_of
    truth = read_truth(manifest)["true_mask"]
    rows = rows.assign(true_mask=[truth.get(case, "") for case in rows["patient_id"]])
    left_out = read_left_out(manifest)
    classifiers = find_classifiers(models, anatomy_of)
    answers = ResultCache(out / "answers")
    answers.folder.mkdir(parents=True, exist_ok=True)
    table = read_cases(rows, Bench(classifiers, answers, choose_device(device)), progress)
    share = float(table["label"].mean()) if prevalence is None else prevalence
    content = {
        "schema": 1,
        "app_version": __version__,
        "statements": statements(cohort, classifiers, table, left_out),
        "cohort": about_cohort(cohort, table, split)
        | {
            "prevalence": share,
            "prevalence_is": "the cohort's" if prevalence is None else "stated",
        },
        "models": {name: about_model(readers, table, name, share, seed) for name, readers in classifiers.items()},
        "comparisons": list(comparisons(table, list(classifiers))),
        "segmentation": segmentation(table),
    }
    for_people = table.drop(columns="anatomy")
    write_text(out / "cases.csv", for_people.round(6).to_csv(index=False))
    write_text(out / "report.html", html_report(content, table, seed=seed))
    write_text(out / "evaluation.json", json.dumps(to_json(content), indent=1, allow_nan=False) + "\n")
    return content


def find_classifiers(models: Sequence[str], anatomy_of: dict[str, str]) -> dict[str, OutOfFoldMembers]:
    """The models by the names that tables use: their own, and a number behind one that occurs again."""
    found: dict[str, OutOfFoldMembers] = {}
    for model in models:
        folder = registry.find(model, "classifier")
        name, again = folder.name, 1
        while name in found:
            again += 1
            name = f"{folder.name} ({again})"
        found[name] = out_of_fold_members(folder, anatomy_of)
    return found


def about_cohort(cohort: Cohort, table: pd.DataFrame, split: Split) -> dict[str, Any]:
    return {
        "simulated": cohort.simulated,
        "description": cohort.description,
        "split": split,
        "cases": len(table),
        "positives": int(table["label"].sum()),
        "anatomies": int(table["anatomy"].nunique()),
        "positive_class": cohort.positive_class,
    }


def about_model(
    readers: OutOfFoldMembers, table: pd.DataFrame, name: str, prevalence: float, seed: int
) -> dict[str, Any]:
    """What the model is, who of it read, what it could not read and why, and its figures."""
    info, answers = readers.model.info, Answers.of(table, name)
    read_by = Counter(table[f"read_by:{name}"]) - Counter({"": len(table)})
    problems = Counter(table[f"problem:{name}"]) - Counter({"": len(table)})
    return {
        "name": readers.model.name,
        "sha256": readers.model.sha256,
        "trained_on": info["trained_on"],
        "positive_class": info.get("positive_class", ""),
        "threshold": info.get("threshold", math.nan),
        "read_by": dict(sorted(read_by.items())),
        "not_read": dict(sorted(problems.items())),
        "measures": measures(answers, prevalence=prevalence, seed=seed),
        "strata": strata(table, name),
    }


def statements(
    cohort: Cohort, classifiers: Mapping[str, OutOfFoldMembers], table: pd.DataFrame, left_out: pd.DataFrame
) -> list[str]:
    """What a reader must know before any figure, the gravest first."""
    said = [SIMULATED_COHORT] if cohort.simulated else []
    if len(left_out):
        reasons = "; ".join(f"{count}: {why}" for why, count in left_out["reason"].value_counts().items())
        said.append(f"{len(left_out)} cases were left out of the manifest and are in no figure ({reasons}).")
    for name, readers in classifiers.items():
        info = readers.model.info
        if note := info.get("note"):
            said.append(f"{name}: {note}")
        if (trained_for := info.get("positive_class")) != cohort.positive_class:
            said.append(f"{name} was trained for {trained_for} and is judged here by {cohort.positive_class}.")
        alone = ~table[f"read_by:{name}"].isin([readers.describe(readers.model), ""])
        if alone.any():
            said.append(
                f"{name}: {alone.sum()} of {len(table)} cases were read out of fold, by members that have seen neither "
                "the case nor its anatomy. Its threshold and the scale of its probabilities were chosen on such cases, "
                "so sensitivity, specificity and calibration may flatter it."
            )
        if unread := int((table[f"problem:{name}"] != "").sum()):
            said.append(f"{name}: {unread} of {len(table)} cases have no probability and are in none of its figures.")
        if not readers.cases_known:
            said.append(
                f"{name} does not say which cases it was trained on: that it has seen none of these is not checked."
            )
        elif not readers.anatomies_known:
            said.append(
                f"{name} does not name the anatomies of its training: a case is known to be unseen by its patient_id "
                "and by the anatomies that this manifest gives the training's cases."
            )
    return said
