"""Splits without leakage between anatomies: the folds of the ensemble and the inner fold of early stopping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from pipeline.errors import ManifestError
from pipeline.training.classifier.data import CachedCase
from pipeline.training.classifier.settings import Labels

INNER_FOLDS = 5
"""Number of inner folds, of which early stopping holds out one."""


def split_folds(cases: Sequence[CachedCase], folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Indices of each member's seen and unseen cases, stratified by label, grouped by anatomy.

    Raises:
        ManifestError: there are too few anatomies for the folds, or a part holds one class only.
    """
    labels = np.array([case.label for case in cases])
    groups = np.array([case.anatomy for case in cases])
    if anatomies_per_class(cases) < folds:
        raise ManifestError(f"{folds} folds need positive and negative cases of {folds} anatomies each.")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    splits = list(splitter.split(labels, labels, groups))
    check_classes(cases, splits)
    return splits


def check_classes(cases: Sequence[CachedCase], splits: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Raise ManifestError if the seen or unseen cases of a member are of one class."""
    labels = np.array([case.label for case in cases])
    if any(len(set(labels[part])) < 2 for split in splits for part in split):
        raise ManifestError(
            "A fold would hold one class only; give more anatomies, or use fewer folds or another seed."
        )


def split_inner(cases: Sequence[CachedCase], seed: int) -> tuple[list[CachedCase], list[CachedCase]]:
    """Split a member's seen cases into those to train on and those for early stopping, grouped by anatomy.

    The member's unseen cases take no part, so early stopping leaks nothing of them.

    Raises:
        ManifestError: a class has fewer than two anatomies.
    """
    folds = min(INNER_FOLDS, anatomies_per_class(cases))
    if folds < 2:
        raise ManifestError("Early stopping needs positive and negative cases of 2 anatomies each beside every fold.")
    learning, stopping = split_folds(cases, folds, seed)[0]
    return [cases[i] for i in learning], [cases[i] for i in stopping]


def anatomies_per_class(cases: Sequence[CachedCase]) -> int:
    """Number of anatomies of the class that has fewer."""
    return min(len({case.anatomy for case in cases if case.label is label}) for label in (True, False))


def relabel(cases: Sequence[CachedCase], labels: Labels, sites: Sequence[str], seed: int) -> list[CachedCase]:
    """The same cases with the labels to learn.

    Args:
        labels: ``cohort`` keeps them; ``shuffled`` permutes them, so that any skill is leakage or chance; ``site`` is
            whether a case comes from the first site by name, which shows what the images reveal of the scanner.
        sites: of the cases.
        seed: of the permutation.

    Raises:
        ManifestError: there is one site only.
    """
    if labels == "cohort":
        return list(cases)
    if labels == "shuffled":
        learnt = np.random.default_rng(seed).permutation([case.label for case in cases]).tolist()
    else:
        if len(set(sites)) < 2:
            raise ManifestError("A site classifier needs cases of two sites.")
        learnt = [site == min(sites) for site in sites]
    return [replace(case, label=label) for case, label in zip(cases, learnt, strict=True)]
