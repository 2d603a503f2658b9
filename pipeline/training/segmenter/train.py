"""Train the liver segmenter: nnU-Net's plan, data loading, augmentation, network and loss; a loop that suits a CPU.

A training is extended by a second call with more steps. Each fold can be trained by a process of its own: one after the
other or in parallel; a last call, without a fold, gathers their checkpoints.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from models import registry
from models.device import choose_device
from models.measured import write_corruptions_before
from models.replacement import atomic_model_folder, ensure_writable_model_folder
from models.weights import WEIGHT_BITS, save_member
from pipeline.cohort.labelled_cases import anatomies_of
from pipeline.errors import ModelError
from pipeline.training.curve import PICTURE, draw_curves
from pipeline.training.segmenter import added_cases, continuation
from pipeline.training.segmenter import card as segmenter_card
from pipeline.training.segmenter import export as segmenter_export
from pipeline.training.segmenter import plan as nnunet_plan
from pipeline.training.segmenter.fold import TrainedFold, train_fold
from pipeline.training.segmenter.options import AddedRecord, SegmenterTraining, TrainingRecord

log = logging.getLogger(__name__)


def train_segmenter(
    data: Path,
    out: Path,
    training: SegmenterTraining,
    *,
    fold: int | None = None,
    report: Callable[[str], None] = log.info,
) -> None:
    """Plan, preprocess, train every fold, and write the model into ``out`` once all are trained.

    Labels are 1 liver, 2 right kidney, 3 left kidney, 4 spleen, or the liver alone. A second call resumes from the
    checkpoints in ``training.work``, and trains further if it names more steps. Without checkpoints the weights of
    ``training.start_from`` are the initial ones, if given; the new model's steps and hours count those of the old one.
    That model must have been trained on the same folds, or on none of these cases: then its plan and labels are kept.

    Args:
        data: a folder or manifest as in ``cohort.labelled_cases``. Rows of a test split are left out, and a division
            into folds that comes with the data is kept.
        fold: train this member only and write nothing but its checkpoint; once all are trained, sequentially or in
            parallel, a call without ``fold`` writes the model.

    Raises:
        ManifestError: the data are not as described, or the work folder was prepared for others.
        ModelError: ``start_from`` is no such model, ``out`` is a file, or there is no such fold or device.
    """
    ensure_writable_model_folder(out)
    choose_device(training.device)  # refuse an unknown one before planning, which takes minutes
    work = training.work or out.with_name(out.name + ".work")
    cases, split = nnunet_plan.divide(data, training.folds)
    if fold is not None and not 0 <= fold < len(split):
        raise ModelError(f"The fold must be a number from 0 to {len(split) - 1}.")
    start = None if training.start_from is None else registry.find(training.start_from, "segmenter")
    anatomy_of = anatomies_of(data)
    given = None
    if start is not None and not continuation.continues_same_folds(start, split):
        given = continuation.plan_of(start, split, {case: anatomy_of[case] for case in cases})
    nnunet_plan.prepare(cases, split, work, planner=training.planner, processes=2, given=given)
    added_cases.prepare_or_refuse(training, cases, work, report)
    members = [
        train_fold(work, number, training, start_from=start, report=report)
        for number in (range(len(split)) if fold is None else [fold])
    ]
    if fold is not None:
        return
    record = _record(training, members, start, added_cases.record(work))
    earlier = start if given is not None else None
    with atomic_model_folder(out) as draft:
        for number, member in enumerate(members):
            save_member(draft, f"fold{number}", member.state, bits=WEIGHT_BITS)
        segmenter_export.write_folder(work, draft, anatomy_of, training, record, earlier)
        write_corruptions_before(start, draft)
        draw_curves(work, len(members), draft / PICTURE, score="Dice")
        segmenter_card.write(draft)


def _record(
    training: SegmenterTraining,
    members: Sequence[TrainedFold],
    start: registry.ModelFolder | None,
    added: AddedRecord | None,
) -> TrainingRecord:
    before = {"steps": 0, "hours": 0.0} | (start.info.get("training", {}) if start else {})
    return TrainingRecord(
        steps=before["steps"] + training.steps,
        hours=round(before["hours"] + sum(member.seconds for member in members) / 3600, 2),
        device=str(choose_device(training.device)),
        seed=training.seed,
        parameters=members[0].parameters,
        folds=len(members),
        planner=training.planner,
        degraded=True,
        blended=start is not None,
        anatomies=added,
    )
