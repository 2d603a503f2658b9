"""The training rows of a cohort, prepared: slices cached, folds split, labels chosen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from models.files import file_sha256
from pipeline.classification.slices import InputSpec
from pipeline.cohort.manifest import Cohort, CutOffs, read_manifest
from pipeline.training.classifier.data import CachedCase, cache_case
from pipeline.training.classifier.settings import Labels, Settings
from pipeline.training.classifier.split import check_classes, relabel, split_folds

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedCohort:
    """Cases of a training with the labels to learn, and their folds."""

    cohort: Cohort
    manifest_sha256: str
    cases: Sequence[CachedCase]
    splits: Sequence[tuple[np.ndarray, np.ndarray]]
    """Indices into ``cases`` of the seen and the unseen cases of each fold's member."""

    def seen_by(self, fold: int) -> list[CachedCase]:
        return [self.cases[i] for i in self.splits[fold][0]]

    def unseen_by(self, fold: int) -> list[CachedCase]:
        return [self.cases[i] for i in self.splits[fold][1]]


class SplitSettings(Protocol):
    """How cases are split and labelled, whatever is trained on them."""

    @property
    def folds(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def labels(self) -> Labels: ...


def training_cohort(manifest: Path, cut_offs: CutOffs) -> Cohort:
    """The cohort without its test rows, which then have no say in the name of the positive class either."""
    cohort = read_manifest(manifest, cut_offs=cut_offs)
    return replace(cohort, rows=cohort.rows[cohort.rows.split != "test"])


def prepare_cohort(manifest: Path, settings: Settings, spec: InputSpec, cache: Path) -> PreparedCohort:
    """Prepare the slices of a manifest's training rows in the folder ``cache``, split them and choose their labels.

    Raises:
        ManifestError: the cohort cannot be used; one line per wrong row.
    """
    cohort = training_cohort(manifest, settings.cut_offs)
    log.info("preparing the slices of %d cases", len(cohort.rows))
    cases = [cache_case(int(index), row, cache, spec) for index, row in cohort.rows.iterrows()]  # type: ignore[call-overload]
    log.info("%d cases prepared, %d of them positive", len(cases), sum(case.label for case in cases))
    cases, splits = split_and_relabel(cohort, cases, settings)
    return PreparedCohort(cohort, file_sha256(manifest), cases, splits)


def split_and_relabel(
    cohort: Cohort, cases: Sequence[CachedCase], settings: SplitSettings
) -> tuple[list[CachedCase], list[tuple[np.ndarray, np.ndarray]]]:
    """The cases with the labels to learn, and the indices of the seen and the unseen cases of each fold's member.

    Raises:
        ManifestError: there are too few anatomies for the folds, or a fold would hold one class only.
    """
    splits = split_folds(cases, settings.folds, settings.seed)
    learnt = relabel(cases, settings.labels, cohort.rows["site"].tolist(), settings.seed)
    check_classes(learnt, splits)
    return learnt, splits
