"""Train the fibrosis classifier: folds by anatomy, one member per fold, everything that ships measured out of fold."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.device import choose_device
from models.files import file_sha256
from models.masked_attention import BACKBONES, MaskedAttentionNet
from models.replacement import check_out
from models.weights import WEIGHT_BITS, as_stored
from pipeline.classification.explain import member_heat
from pipeline.classification.predict import for_prediction, predict_member
from pipeline.classification.slices import InputSpec
from pipeline.cohort.manifest import Cohort, read_manifest
from pipeline.errors import ModelError
from pipeline.training.classifier.data import CachedCase, cache_case
from pipeline.training.classifier.fold import Run, Settings, train_fold
from pipeline.training.classifier.model_files import Measured, Member, measure, write_model
from pipeline.training.classifier.operating_point import platt
from pipeline.training.classifier.pretrained import backbone_weights, fingerprint
from pipeline.training.classifier.split import check_classes, relabel, split_folds

log = logging.getLogger(__name__)


def train_classifier(
    manifest: Path,
    out: Path,
    *,
    fold: int | None = None,
    device: str = "auto",
    resume: bool = True,
    work: Path | None = None,
    cache: Path | None = None,
    spec: InputSpec | None = None,
    licence: str = "unknown",
    pretrained: str = "",
    sensitivity: float | None = None,
    **settings: Any,
) -> Measured | None:
    """Train an ensemble on a cohort manifest and write a classifier folder that the app can use.

    Written to ``out``: ``fold0`` and so on, ``model.json``, ``folds.json`` (which cases each member has not seen) and
    ``MODEL_CARD.md``. Rows with ``split`` test are left out.

    Args:
        manifest: CSV as in ``pipeline.cohort.manifest``; ``source_anatomy`` keeps related cases in one fold.
        fold: train this member only and write nothing but its checkpoint; once all are trained, alone or side by side,
            a call without ``fold`` measures and writes the model.
        device: ``cpu``, ``cuda`` or ``auto``.
        resume: go on from the checkpoints in ``work``, else start anew.
        work: for the checkpoints and ``out_of_fold.csv``; by default beside ``out``, its name with ``.work`` behind.
        cache: for prepared slices, which trainings of one cohort may share; by default ``slices`` in ``work``.
        spec: how slices are prepared, for this training and for every prediction with its weights.
        licence: of the weights, as their data demand; for ``model.json`` and the card.
        pretrained: the backbone's first weights: random where empty, else as ``backbone_weights`` takes it.
        sensitivity: wished of the operating point; Youden's index where it is not given.
        settings: fields of ``Settings`` that differ from their defaults.

    Returns:
        What was measured out of fold; None for a single ``fold``.

    Raises:
        ManifestError: the cohort cannot be used; one line per wrong row.
        ModelError: the checkpoints belong to a training with other settings or cases, the pretrained weights cannot be
            had, ``out`` is a file, or there is no such backbone, fold or device.
    """
    chosen = Settings(**settings, pretrained=fingerprint(pretrained))
    if chosen.backbone not in BACKBONES:
        raise ModelError(f"The backbone must be one of {', '.join(BACKBONES)}.")
    if fold is not None and not 0 <= fold < chosen.folds:
        raise ModelError(f"The fold must be a number from 0 to {chosen.folds - 1}.")
    spec, where = spec or InputSpec(), choose_device(device)
    start = backbone_weights(chosen.backbone, pretrained) if pretrained else None
    check_out(out)
    if not pretrained:
        log.info("the backbone starts from random weights; --pretrained imagenet would take ImageNet's")
    work = work or out.with_name(f"{out.resolve().name}.work")
    cohort = learnt_from(manifest, chosen)
    cases, splits = prepare(cohort, chosen, spec, cache or work / "slices")
    wanted = range(chosen.folds)[: chosen.members] if fold is None else [fold]

    members = []
    for number in wanted:
        seen, unseen = splits[number]
        checkpoint = work / f"fold{number}.pt"
        if not resume:
            checkpoint.unlink(missing_ok=True)
        run = train_fold([cases[i] for i in seen], chosen, spec, number, where, checkpoint, start)
        if fold is None:
            log.info("fold %d: reading its %d unseen cases", number, len(unseen))
            members.append(finish_member(run, cases, unseen, spec, where))
    if fold is not None:
        return None
    measured = measure(cases, members, chosen.seed, sensitivity)
    measured.out_of_fold.to_csv(work / "out_of_fold.csv", index=False)
    unseen_by = [[cases[i] for i in unseen] for _, unseen in splits]
    write_model(out, cohort, cases, members, unseen_by, chosen, spec, measured, licence, file_sha256(manifest), where)
    return measured


def learnt_from(manifest: Path, settings: Settings) -> Cohort:
    """The cohort without its test rows; its positive class is theirs, whatever labels a test split has."""
    cohort = read_manifest(manifest, cut_offs=settings.cut_offs)
    return replace(cohort, rows=cohort.rows[cohort.rows.split != "test"])


def prepare(
    cohort: Cohort, settings: Settings, spec: InputSpec, cache: Path
) -> tuple[list[CachedCase], list[tuple[np.ndarray, np.ndarray]]]:
    """The cohort's cases, sliced and labelled, and for each fold the indices (seen, unseen) into them."""
    log.info("preparing the slices of %d cases", len(cohort.rows))
    cases = [cache_case(int(index), row, cache, spec) for index, row in cohort.rows.iterrows()]  # type: ignore[call-overload]
    log.info("%d cases prepared, %d of them positive", len(cases), sum(case.label for case in cases))
    splits = split_folds(cases, settings.folds, settings.seed)
    cases = relabel(cases, settings.labels, cohort.rows["site"].tolist(), settings.seed)
    check_classes(cases, splits)
    return cases, splits


def finish_member(
    run: Run, cases: Sequence[CachedCase], unseen: np.ndarray, spec: InputSpec, device: torch.device
) -> Member:
    """Let a member read the cases that it has not seen, and put its logits on the scale that all members share.

    The scale (Platt's) goes into the last layer: members then speak of the same log odds, so that their mean
    probability, and a threshold on it, mean something.
    """
    net = for_prediction(run.result().to(memory_format=torch.contiguous_format))
    as_it_ships(net)
    raw = np.array([predict_member(net, cases[i].tensor(spec).to(device))[0] for i in unseen])
    scale, shift = platt(np.array([cases[i].label for i in unseen]), raw)
    with torch.no_grad():
        net.head.weight.mul_(scale)
        net.head.bias.mul_(scale).add_(shift)
    as_it_ships(net)  # the scaled layer is rounded too; a steep scale makes that visible
    logits = np.array([predict_member(net, cases[i].tensor(spec).to(device))[0] for i in unseen])
    peaks = [heat_peak(net, cases[i].tensor(spec).to(device)) for i in unseen]
    return Member(net, unseen, raw, logits, (scale, shift), np.array(peaks), run.epochs, run.seconds)


def as_it_ships(net: MaskedAttentionNet) -> None:
    """Round the weights, in place, to what is stored: that is what is measured."""
    state = {name: as_stored(value, WEIGHT_BITS) for name, value in net.state_dict().items()}
    net.load_state_dict(state)


def heat_peak(net: MaskedAttentionNet, x: torch.Tensor) -> float:
    """The 99th percentile of a case's heat in the liver: its peak without the last outliers."""
    liver = x[:, 1].cpu().numpy() > 0.5
    return float(np.percentile(member_heat(net, x)[liver], 99)) if liver.any() else 0.0
