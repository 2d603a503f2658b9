"""Train the fibrosis classifier: folds by anatomy, one member per fold, every published figure measured out of fold."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from models.device import choose_device
from models.network_names import BACKBONES
from models.replacement import ensure_writable_model_folder
from pipeline.classification.slices import InputSpec
from pipeline.errors import ModelError
from pipeline.training.classifier.fold import FoldTask, train_fold
from pipeline.training.classifier.model_files import write_model
from pipeline.training.classifier.model_info import TrainedEnsemble
from pipeline.training.classifier.out_of_fold import OutOfFoldFigures, measure
from pipeline.training.classifier.prepared import prepare_cohort
from pipeline.training.classifier.pretrained import backbone_weights, fingerprint
from pipeline.training.classifier.settings import Settings, TrainingOptions
from pipeline.training.classifier.trained_member import finish_member

log = logging.getLogger(__name__)


def train_classifier(
    manifest: Path, out: Path, options: TrainingOptions, *, fold: int | None = None
) -> OutOfFoldFigures | None:
    """Train an ensemble on a cohort manifest and write a classifier folder that the app can use.

    Written to ``out``: ``fold0`` and so on, ``model.json``, ``folds.json`` (which cases each member has not seen),
    ``training.toml`` (every setting), ``learning_curve.png`` and ``MODEL_CARD.md``. Rows with ``split`` test
    are left out.

    Args:
        manifest: CSV as in ``pipeline.cohort.manifest``; ``source_anatomy`` keeps related cases in one fold.
        fold: train this member only and write nothing but its checkpoint; once all are trained, alone or side by side,
            a call without ``fold`` measures and writes the model.

    Returns:
        What was measured out of fold; None for a single ``fold``.

    Raises:
        ManifestError: the cohort cannot be used; one line per wrong row.
        ModelError: the checkpoints belong to a training with other settings or cases, the pretrained weights cannot be
            had, ``out`` is a file, or there is no such backbone, fold or device.
    """
    settings = checked_settings(options, fold)
    spec, device = options.spec or InputSpec(), choose_device(options.device)
    initial_weights = backbone_weights(settings.backbone, options.pretrained) if options.pretrained else None
    ensure_writable_model_folder(out)
    if initial_weights is None:
        log.info("the backbone starts from random weights; --pretrained imagenet would take ImageNet's")
    work = options.work or out.with_name(f"{out.resolve().name}.work")
    prepared = prepare_cohort(manifest, settings, spec, options.cache or work / "slices")
    members = []
    for number in range(settings.folds)[: settings.members] if fold is None else [fold]:
        checkpoint = work / f"fold{number}.pt"
        if not options.resume:
            checkpoint.unlink(missing_ok=True)
        seen, unseen = prepared.seen_by(number), prepared.unseen_by(number)
        run = train_fold(
            FoldTask(number, seen, settings, spec, device, checkpoint, initial_weights, unseen, options.workers)
        )
        if fold is None:
            log.info("fold %d: predicting its %d unseen cases", number, len(unseen))
            members.append(finish_member(run, unseen))
    if fold is not None:
        return None
    figures = measure(members, settings.seed, options.target_sensitivity)
    figures.out_of_fold.to_csv(work / "out_of_fold.csv", index=False)
    write_model(out, TrainedEnsemble(prepared, members, figures, settings, spec, options.licence, device), work)
    return figures


def checked_settings(options: TrainingOptions, fold: int | None) -> Settings:
    """The settings with the fingerprint of the initial weights.

    Raises:
        ModelError: the initial weights are no safetensors file, or there is no such backbone or fold.
    """
    settings = replace(options.settings, pretrained=fingerprint(options.pretrained))
    if settings.backbone not in BACKBONES:
        raise ModelError(f"The backbone must be one of {', '.join(BACKBONES)}.")
    if fold is not None and not 0 <= fold < settings.folds:
        raise ModelError(f"The fold must be a number from 0 to {settings.folds - 1}.")
    return settings
