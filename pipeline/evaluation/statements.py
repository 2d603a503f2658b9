"""Sentences to read before any figure of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from pipeline.cohort.manifest import Cohort
from pipeline.cohort.out_of_fold import OutOfFoldMembers
from pipeline.evaluation.predictions import CohortPredictions

SIMULATED_COHORT = "The cohort is simulated. No figure here says anything about patients or about any clinical use."


def statements(
    cohort: Cohort,
    classifiers: Mapping[str, OutOfFoldMembers],
    predictions: CohortPredictions,
    left_out: pd.DataFrame,
) -> tuple[str, ...]:
    """All sentences, the gravest first.

    Args:
        classifiers: by the name that tables use.
        left_out: rows of ``left_out.csv``.
    """
    found = [SIMULATED_COHORT] if cohort.simulated else []
    if len(left_out):
        reasons = "; ".join(f"{count}: {why}" for why, count in left_out["reason"].value_counts().items())
        found.append(f"{len(left_out)} cases were left out of the manifest and are in no figure ({reasons}).")
    for name, members in classifiers.items():
        found += _about_model(name, members, cohort.positive_class)
        found += _about_predictions(name, members, predictions.by_case(name))
        found += _about_training_cases(name, members)
    return tuple(found)


def _about_model(name: str, members: OutOfFoldMembers, positive_class: str) -> Iterator[str]:
    info = members.model.info
    if note := info.get("note"):
        yield f"{name}: {note}"
    if (trained_for := info.get("positive_class")) != positive_class:
        yield f"{name} was trained for {trained_for} and is judged here by {positive_class}."


def _about_predictions(name: str, members: OutOfFoldMembers, table: pd.DataFrame) -> Iterator[str]:
    out_of_fold = ~table["predicted_by"].isin([members.describe(members.model), ""])
    if out_of_fold.any():
        yield (
            f"{name}: {out_of_fold.sum()} of {len(table)} cases were predicted out of fold, by members that have seen "
            "neither the case nor its anatomy. Its threshold and the scale of its probabilities were chosen on such "
            "cases, so sensitivity, specificity and calibration may flatter it."
        )
    if not_predicted := int((table["problem"] != "").sum()):
        yield f"{name}: {not_predicted} of {len(table)} cases have no probability and are in none of its figures."


def _about_training_cases(name: str, members: OutOfFoldMembers) -> Iterator[str]:
    if not members.cases_known:
        yield f"{name} does not say which cases it was trained on: that it has seen none of these is not checked."
    elif not members.anatomies_known:
        yield (
            f"{name} does not name the anatomies of its training: a case is known to be unseen by its patient_id "
            "and by the anatomies that this manifest gives the training's cases."
        )
