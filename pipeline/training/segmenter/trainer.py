"""nnU-Net's trainer with the optimiser, augmentation and precision of this software, one step at a time.

nnU-Net's own schedule is 250000 steps of SGD. A CPU can afford a few thousand: AdamW, an averaged network, and a
learning rate that is constant at first and falls to zero over the last two thirds of the steps.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import Tensor, nn

from models.device import autocast
from pipeline.segmentation.channels_last import channels_last
from pipeline.statistics.overlap import dice
from pipeline.training.segmenter import plan as nnunet_plan
from pipeline.training.segmenter.added_cases import AddedCase, may_learn, read_added, sampling
from pipeline.training.segmenter.augmentation import Acquisition, Corruption, Fluid, OrganContrast

LEARNING_RATE, CONTINUED_RATE = 1e-3, 3e-4
"""Learning rate from random weights, and of a training that starts from a trained model."""
WARM_UP, COOL_DOWN = 50, 0.65
"""Steps of the linear warm-up; share of the steps over which the learning rate falls to zero."""
AVERAGE = 0.995
"""Decay of the averaged weights per step."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Discard what nnU-Net prints."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


class OrganContrastTrainer(nnUNetTrainer):
    """nnU-Net's trainer with bfloat16, AdamW, this software's augmentation, and no mirroring, since sides differ."""

    added: Sequence[AddedCase] = ()
    """Painted and warped cases of the work folder."""

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

    def do_split(self) -> tuple[list[str], list[str]]:
        """The fold's real cases, with the added ones to train on."""
        train, held_out = super().do_split()
        return [*train, *may_learn(self.added, train)], held_out

    def step(self, batch: Mapping[str, Any]) -> float:
        """Take one optimiser step and return the loss."""
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


def learning_rate(step: int, steps: int, *, pretrained: bool) -> float:
    """Learning rate of step ``step`` of ``steps``: linear warm-up, constant, then linear to zero."""
    fall = (steps - step) / (COOL_DOWN * steps)
    highest = CONTINUED_RATE if pretrained else LEARNING_RATE
    return highest * min(1.0, (step + 1) / WARM_UP, max(fall, 0.0))


@torch.no_grad()
def update_average(average: dict[str, Tensor], network: nn.Module, step: int) -> None:
    """Move the averaged weights, in place, towards the network's; early steps weigh more."""
    keep = min(AVERAGE, (1 + step) / (10 + step))
    for name, value in network.state_dict().items():
        average[name].lerp_(value.float(), 1 - keep)


@contextlib.contextmanager
def averaged(network: nn.Module, average: dict[str, Tensor]) -> Iterator[nn.Module]:
    """Put the averaged weights into the network, in evaluation mode, until the block ends."""
    own = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(average)
    network.eval()
    try:
        yield network
    finally:
        network.load_state_dict(own)
        network.train()


@torch.inference_mode()
def validation_dice(trainer: OrganContrastTrainer) -> dict[str, dict[str, float]]:
    """Dice by organ and held-out case, on the training grid; each volume is predicted whole, padded at its ends."""
    organs = {name: value for name, value in trainer.dataset_json["labels"].items() if value > 0}
    scores: dict[str, dict[str, float]] = {name: {} for name in organs}
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
        found = logits.argmax(1)[0, : size[0], : size[1], : size[2]].cpu().numpy()  # (z, y, x)
        for name, value in organs.items():
            scores[name][case] = dice(found == value, np.asarray(labels)[0] == value)
    trainer.network.decoder.deep_supervision = True
    return scores


def make_trainer(work: Path, fold: int, device: torch.device) -> OrganContrastTrainer:
    """Build the trainer of one fold from the prepared work folder; its network has random weights."""
    preprocessed = work / "preprocessed" / nnunet_plan.DATASET
    plans = json.loads((preprocessed / "nnUNetPlans.json").read_text()) | {"continue_training": False}
    dataset = json.loads((work / "raw" / nnunet_plan.DATASET / "dataset.json").read_text())
    os.environ["nnUNet_n_proc_DA"] = "0"  # augment in this process
    nnunet_plan.set_folders(work)
    with quiet():
        trainer = OrganContrastTrainer(plans, nnunet_plan.CONFIGURATION, fold, dataset, device)
        # A patch holds most of the abdomen: centring it on an organ would put half of it outside the image.
        trainer.added = read_added(work)
        trainer.oversample_foreground_percent, trainer.probabilistic_oversampling = 0.25, True
        trainer.initialize()
    if device.type == "cpu":
        channels_last(trainer.network)
    return trainer


def training_batches(trainer: OrganContrastTrainer) -> tuple[Iterator[Mapping[str, Any]], OrganContrast]:
    """Endless augmented batches, and the transform in them that redraws the organs."""
    with quiet():
        batches, _ = trainer.get_dataloaders()
    loader = batches.data_loader
    loader.sampling_probabilities = sampling(loader.indices, trainer.added)
    transforms = loader.transforms.transforms
    return batches, next(transform for transform in transforms if isinstance(transform, OrganContrast))
