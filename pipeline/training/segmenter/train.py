"""Train the liver segmenter: nnU-Net's plan, data loading, augmentation, network and loss; a loop that suits a CPU.

nnU-Net's own schedule is 250000 steps of SGD. A CPU can afford a few thousand: AdamW, an averaged network, and a
learning rate that is constant at first and falls to zero over the last two thirds of the steps. A training is taken
further by naming more steps. One fold is one process's work: run the folds one after the other, or in processes of
their own, whose checkpoints a last call gathers.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import Tensor, nn

from models import registry
from models.device import autocast, choose_device
from models.files import atomic_path
from models.folds import folds_from_split, read_folds
from models.measured import keep_before
from models.replacement import check_out, drafted
from models.weights import WEIGHT_BITS, load_into, save_member
from pipeline.cohort.labelled_cases import anatomies_of
from pipeline.errors import ModelError
from pipeline.segmentation.channels_last import channels_last
from pipeline.statistics.overlap import dice
from pipeline.training.segmenter import card as segmenter_card
from pipeline.training.segmenter import export as segmenter_export
from pipeline.training.segmenter import plan as nnunet_plan
from pipeline.training.segmenter.augmentation import Acquisition, Corruption, Fluid, OrganContrast

log = logging.getLogger(__name__)

LEARNING_RATE = 1e-3
WARM_UP, COOL_DOWN = 50, 0.65
AVERAGE = 0.995
CONTRAST_FIRST, CONTRAST_LAST = 0.7, 0.2
"""Share of the samples whose organs are redrawn, at the start and from the middle on: first place and shape, then true
edges, which a network that saw too few of them crosses into heart and abdominal wall. A training that starts from a
trained model is past its middle."""
KEPT_OF_NEW = 0.5
"""A training that starts from a trained model ends halfway between the two: as good as the old one on what that knew,
and better than either on what the new training brought. Wortsman et al., CVPR 2022 (robust fine-tuning)."""
SAVE_EVERY_S = 180.0


class OrganContrastTrainer(nnUNetTrainer):
    """nnU-Net's trainer with bf16 on a CPU, AdamW, no mirroring (left and right kidney differ) and our augmentation."""

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, None]:
        return torch.optim.AdamW(self.network.parameters(), LEARNING_RATE, weight_decay=0.01, betas=(0.9, 0.99)), None

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple:  # noqa: N802 - nnU-Net's name
        _, flat, patch_size, _ = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        self.inference_allowed_mirroring_axes = None
        tilt = np.deg2rad(20.0)  # a patient lies askew, not upside down
        return (-tilt, tilt), flat, patch_size, None

    def get_training_transforms(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        composed = nnUNetTrainer.get_training_transforms(*args, **kwargs)
        steps = composed.transforms
        spatial = next(t for t in steps if type(t).__name__ == "SpatialTransform")
        spatial.p_rotation, spatial.p_scaling, spatial.scaling = 0.4, 0.5, (0.7, 1.45)
        spatial.p_synchronize_scaling_across_axes = 0.5
        after_spatial = next(i for i, t in enumerate(steps) if type(t).__name__ == "RandomTransform")
        steps[after_spatial:after_spatial] = [
            OrganContrast(),
            Fluid(),
            Acquisition(),
            Corruption(tuple(self.configuration_manager.spacing)),
        ]
        return composed

    def step(self, batch: dict) -> float:
        """One optimiser step; returns the loss."""
        image: Tensor = batch["data"].to(self.device)  # (B, 1, z, y, x)
        target = [t.to(self.device) for t in batch["target"]]  # deep supervision: (B, 1, z, y, x), halved each time
        with autocast(self.device):
            output = self.network(image)
        loss = self.loss([o.float() for o in output], target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        return float(loss.detach())


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, constant, then linear to zero over the last part of the training."""
    fall = (steps - step) / (COOL_DOWN * steps)
    return LEARNING_RATE * min(1.0, (step + 1) / WARM_UP, max(fall, 0.0))


@torch.no_grad()
def update_average(average: dict[str, Tensor], network: nn.Module, step: int) -> None:
    keep = min(AVERAGE, (1 + step) / (10 + step))
    for name, value in network.state_dict().items():
        average[name].lerp_(value.float(), 1 - keep)


@contextlib.contextmanager
def averaged(network: nn.Module, average: dict[str, Tensor]) -> Iterator[nn.Module]:
    """The network with the averaged weights, for validation and export."""
    own = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(average)
    network.eval()
    try:
        yield network
    finally:
        network.load_state_dict(own)
        network.train()


@torch.inference_mode()
def validation_dice(trainer: OrganContrastTrainer) -> dict[str, float]:
    """Liver Dice of each held-out case on the training grid, whole volume at once (its edge padded to fit)."""
    scores = {}
    dataset = trainer.get_tr_and_val_datasets()[1]
    divisor = np.prod(trainer.configuration_manager.pool_op_kernel_sizes, axis=0)
    trainer.network.decoder.deep_supervision = False
    for case in dataset.identifiers:
        image, labels, *_ = dataset.load_case(case)
        size = np.array(image.shape[1:])
        pad = (-size) % divisor
        padded = np.pad(np.asarray(image)[None], [(0, 0), (0, 0), *((0, int(p)) for p in pad)])
        with autocast(trainer.device):
            logits = trainer.network(torch.from_numpy(padded).to(trainer.device))
        found = logits.argmax(1)[0, : size[0], : size[1], : size[2]].cpu().numpy() == 1
        truth = np.asarray(labels)[0] == 1
        scores[case] = dice(found, truth)
    trainer.network.decoder.deep_supervision = True
    return scores


def make_trainer(work: Path, fold: int, device: torch.device) -> OrganContrastTrainer:
    from batchgenerators.utilities.file_and_folder_operations import load_json

    preprocessed = work / "preprocessed" / nnunet_plan.DATASET
    plans = load_json(str(preprocessed / "nnUNetPlans.json")) | {"continue_training": False}
    dataset = load_json(str(work / "raw" / nnunet_plan.DATASET / "dataset.json"))
    os.environ["nnUNet_n_proc_DA"] = "0"  # augment in this process
    with contextlib.redirect_stdout(open(os.devnull, "w")):
        trainer = OrganContrastTrainer(plans, nnunet_plan.CONFIGURATION, fold, dataset, device)
        # A patch holds most of the abdomen: centring it on an organ would put half of it outside the image.
        trainer.oversample_foreground_percent, trainer.probabilistic_oversampling = 0.25, True
        trainer.initialize()
    if device.type == "cpu":
        channels_last(trainer.network)
    return trainer


@dataclass(frozen=True)
class TrainedMember:
    """Averaged weights of one fold, and what they took."""

    state: dict[str, Tensor]
    seconds: float
    parameters: int


def train_fold(
    work: Path,
    fold: int,
    *,
    steps: int,
    device: torch.device,
    resume: bool = True,
    seed: int = 0,
    start_from: registry.ModelFolder | None = None,
    report: Callable[[str], None] = log.info,
) -> TrainedMember:
    """Train one member to ``steps`` optimiser steps; returns its averaged weights.

    Continues from the last checkpoint where there is one (written every few minutes and at the end), else starts from
    the same member of ``start_from``, which then keeps its half of the result, else from random weights.
    """
    torch.manual_seed(1000 * seed + fold)
    np.random.seed(1000 * seed + fold)  # nnU-Net's loader draws from NumPy's global state
    trainer = make_trainer(work, fold, device)
    network, optimizer = trainer.network, trainer.optimizer
    if start_from is not None:
        load_into(network, start_from.state(f"fold{fold}"))
    average = {name: value.detach().float().clone() for name, value in network.state_dict().items()}
    origin = {} if start_from is None else {name: value.clone() for name, value in average.items()}
    checkpoint, step, spent = work / f"fold{fold}.pt", 0, 0.0
    if resume and checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        average, step, spent = saved["average"], saved["step"], saved["seconds"]
        torch.manual_seed(1000 * seed + fold + step)
        np.random.seed((1000 * seed + fold + step) % 2**32)
        report(f"fold {fold}: going on at step {step}")

    def save() -> None:
        state = {
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "average": average,
            "step": step,
            "seconds": spent + time.monotonic() - start,
        }
        with atomic_path(checkpoint) as partial:
            torch.save(state, partial)

    with contextlib.redirect_stdout(open(os.devnull, "w")):
        batches, _ = trainer.get_dataloaders()
    contrast = next(t for t in batches.data_loader.transforms.transforms if isinstance(t, OrganContrast))
    network.train()
    start = saved_at = time.monotonic()
    losses: list[float] = []
    while step < steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        place_known = 1.0 if start_from is not None else min(1.0, 2 * step / steps)
        contrast.probability = CONTRAST_FIRST + (CONTRAST_LAST - CONTRAST_FIRST) * place_known
        losses.append(trainer.step(next(batches)))
        step += 1
        update_average(average, network, step)
        if step % 50 == 0:
            pace = (time.monotonic() - start) / len(losses)
            report(f"fold {fold}: step {step}/{steps}, loss {np.mean(losses[-50:]):.3f}, {pace:.2f} s a step")
        if step % 250 == 0 or step == steps:
            with averaged(network, average):
                scores = validation_dice(trainer)
            found = ", ".join(f"{case} {score:.3f}" for case, score in scores.items())
            report(f"fold {fold}: step {step}, liver Dice {np.mean(list(scores.values())):.3f} ({found})")
        if time.monotonic() - saved_at > SAVE_EVERY_S or step == steps:
            save()
            saved_at = time.monotonic()
    if start_from is not None:
        average = {name: torch.lerp(origin[name], value, KEPT_OF_NEW) for name, value in average.items()}
    network.load_state_dict(average)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    report(f"fold {fold}: done")
    return TrainedMember(network.state_dict(), spent + time.monotonic() - start, parameters)


def train_segmenter(
    data: Path,
    out: Path,
    *,
    folds: int | None = None,
    fold: int | None = None,
    steps: int = 2000,
    device: str = "auto",
    planner: str = "small",
    resume: bool = True,
    seed: int = 0,
    work: Path | None = None,
    start_from: str | None = None,
    trained_on: str = "a cohort of this site",
    licence: str = "unknown",
    report: Callable[[str], None] = log.info,
) -> None:
    """Plan, preprocess, train every fold, and write the model into ``out`` once all are trained.

    Labels are 1 liver, 2 right kidney, 3 left kidney, 4 spleen, or the liver alone. ``work`` keeps nnU-Net's files and
    the checkpoints: a second call goes on where the first ended, and one with more ``steps`` trains further. Where they
    are gone, ``start_from`` names a trained model of the same plan and folds whose weights to begin with; the new
    model's steps and hours count those of the old one.

    Args:
        data: a folder or manifest as in ``cohort.labelled_cases``. Rows of a test split are left out, and a division
            into folds that comes with the data is kept.
        folds: how many to deal out where the data have none of their own; by default 3.
        fold: train this member only and write nothing but its checkpoint; once all are trained, alone or side by side,
            a call without ``fold`` writes the model.

    Raises:
        ManifestError: the data are not as described, or ``work`` was prepared for others.
        ModelError: ``start_from`` is no such model, ``out`` is a file, or there is no such fold or device.
    """
    check_out(out)
    chosen = choose_device(device)
    work = work or out.with_name(out.name + ".work")
    cases, split = nnunet_plan.divide(data, folds)
    if fold is not None and not 0 <= fold < len(split):
        raise ModelError(f"The fold must be a number from 0 to {len(split) - 1}.")
    nnunet_plan.prepare(cases, split, work, planner=planner, processes=2)
    start = None if start_from is None else _same_folds(registry.find(start_from, "segmenter"), split)
    trained = [
        train_fold(work, number, steps=steps, device=chosen, resume=resume, seed=seed, start_from=start, report=report)
        for number in (range(len(split)) if fold is None else [fold])
    ]
    if fold is not None:
        return
    before = {"steps": 0, "hours": 0.0} | (start.info.get("training", {}) if start else {})
    hours = round(before["hours"] + sum(member.seconds for member in trained) / 3600, 2)
    facts = {
        "steps": before["steps"] + steps,
        "hours": hours,
        "device": str(chosen),
        "seed": seed,
        "parameters": trained[0].parameters,
        "folds": len(trained),
        "planner": planner,
        "degraded": True,
        "blended": start is not None,
    }
    anatomy_of = anatomies_of(data)
    with drafted(out) as draft:
        for number, member in enumerate(trained):
            save_member(draft, f"fold{number}", member.state, bits=WEIGHT_BITS)
        segmenter_export.write_folder(work, draft, anatomy_of, trained_on=trained_on, licence=licence, training=facts)
        keep_before(start, draft)
        segmenter_card.write(draft)


def _same_folds(model: registry.ModelFolder, split: nnunet_plan.Split) -> registry.ModelFolder:
    """The model, where its members held out what this training's members hold out: else a fold would be seen."""
    if folds_from_split(split) != read_folds(model.folder):
        raise ModelError(
            "The model to start from was trained on other folds; its members have seen what they must not."
        )
    return model
