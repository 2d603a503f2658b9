"""Train a classifier of hand-crafted features: folds by anatomy, one logistic regression per fold."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np

from models.files import file_sha256
from models.replacement import ensure_writable_model_folder
from pipeline.classification.feature_groups import FEATURE_SPEC
from pipeline.training.classifier.feature_cases import FeatureTable, cohort_features
from pipeline.training.classifier.feature_fit import fit_member
from pipeline.training.classifier.feature_info import FittedEnsemble, FittedMember, feature_info
from pipeline.training.classifier.feature_settings import FeatureOptions
from pipeline.training.classifier.model_files import write_files
from pipeline.training.classifier.operating_point import platt
from pipeline.training.classifier.out_of_fold import OutOfFoldFigures, measure
from pipeline.training.classifier.prepared import PreparedCohort, split_and_relabel, training_cohort

log = logging.getLogger(__name__)


def train_features(manifest: Path, out: Path, options: FeatureOptions) -> OutOfFoldFigures:
    """Fit an ensemble on hand-crafted features and write a classifier folder that the app can use.

    The files are those of ``train_classifier``. Rows with ``split`` test are left out; the folds are those of a network
    trained on the same manifest with the same ``folds`` and ``seed``.

    Raises:
        ManifestError: the cohort cannot be used, or a group needs an organ that a mask lacks; it names the line.
        ModelError: ``out`` is a file.
    """
    began = time.monotonic()
    settings, spec = options.settings, options.spec or FEATURE_SPEC
    ensure_writable_model_folder(out)
    work = options.work or out.with_name(f"{out.resolve().name}.work")
    cohort = training_cohort(manifest, settings.cut_offs)
    log.info("computing the features of %d cases", len(cohort.rows))
    cases, table = cohort_features(cohort, settings.features, spec, options.cache or work / "features")
    cases, splits = split_and_relabel(cohort, cases, settings)
    prepared = PreparedCohort(cohort, file_sha256(manifest), cases, splits)
    log.info("fitting %d features", len(table.names))
    members = [finish_member(prepared, table, fold, settings.seed) for fold in range(settings.folds)]
    figures = measure(members, settings.seed, options.target_sensitivity)
    work.mkdir(parents=True, exist_ok=True)
    figures.out_of_fold.to_csv(work / "out_of_fold.csv", index=False)
    ensemble = FittedEnsemble(
        prepared, members, figures, settings, spec, options.licence, table.names, time.monotonic() - began
    )
    states = [member.model.state() for member in members]
    write_files(out, prepared, feature_info(ensemble), states, exact=True)
    return figures


def finish_member(prepared: PreparedCohort, table: FeatureTable, fold: int, seed: int) -> FittedMember:
    """Fit one fold's member, put its logits on the scale that all members share, and predict its unseen cases."""
    seen, unseen = prepared.splits[fold]
    fitted, penalty = fit_member(prepared.seen_by(fold), table.values[seen], seed)
    raw_logits = fitted.logits(table.values[unseen])
    labels = np.array([case.label for case in prepared.unseen_by(fold)])
    scale_and_shift = platt(labels, raw_logits)
    model = fitted.scaled(*scale_and_shift).as_stored()
    logits = model.logits(table.values[unseen])
    return FittedMember(prepared.unseen_by(fold), raw_logits, logits, scale_and_shift, None, model, penalty)
