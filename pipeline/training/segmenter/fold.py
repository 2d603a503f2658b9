"""Train one member of a segmenter: the loop, its checkpoints, and the average with the weights that it started from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.device import choose_device
from models.files import atomic_path
from models.registry import ModelFolder
from models.weights import load_into
from pipeline.training.curve import LOSS, LearningCurve
from pipeline.training.segmenter.options import SegmenterTraining
from pipeline.training.segmenter.trainer import (
    OrganContrastTrainer,
    averaged,
    learning_rate,
    make_trainer,
    training_batches,
    update_average,
    validation_dice,
)

log = logging.getLogger(__name__)

CONTRAST_FIRST, CONTRAST_LAST = 0.7, 0.2
"""Share of the samples whose organs are redrawn, at the start and from the middle on: first place and shape, then true
edges, which a network that saw too few of them crosses into heart and abdominal wall. A training that starts from a
trained model is past its middle."""
KEPT_OF_NEW = 0.75
"""Weight of the new parameters in the average with those of the model that the training started from, chosen by
cross-validation (``docs/segmenter.md``). Wortsman et al., CVPR 2022 (robust fine-tuning)."""
LOG_EVERY, VALIDATE_EVERY, SAVE_EVERY_S = 50, 250, 180.0
"""Steps between log lines and between validations; seconds between checkpoints."""


@dataclass(frozen=True)
class TrainedFold:
    """A member's averaged weights, and what they took."""

    state: dict[str, Tensor]
    """Weights by parameter name."""
    seconds: float
    """Training time, those before a resumption included."""
    parameters: int
    """Number of parameters."""


@dataclass
class FoldCheckpoint:
    """The state of one member's training, and the file that holds it: tensors and numbers only, never code."""

    file: Path
    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor]
    """Averaged weights by parameter name, float32."""
    step: int = 0
    """Number of optimiser steps taken."""
    seconds: float = 0.0
    """Training time so far."""

    @classmethod
    def of(cls, trainer: OrganContrastTrainer, file: Path) -> FoldCheckpoint:
        """The state before the first step; the average is a copy of the network's weights."""
        average = {name: value.detach().float().clone() for name, value in trainer.network.state_dict().items()}
        return cls(file, trainer.network, trainer.optimizer, average)

    def save(self) -> None:
        """Replace the file atomically."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "step": self.step,
            "seconds": self.seconds,
        }
        with atomic_path(self.file) as partial:
            torch.save(state, partial)

    def load(self, device: torch.device) -> None:
        """Restore what ``save`` wrote."""
        saved = torch.load(self.file, map_location=device, weights_only=True)
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.average, self.step, self.seconds = saved["average"], saved["step"], saved["seconds"]


def train_fold(
    work: Path,
    fold: int,
    training: SegmenterTraining,
    *,
    start_from: ModelFolder | None = None,
    report: Callable[[str], None] = log.info,
) -> TrainedFold:
    """Train one member to ``training.steps`` optimiser steps; returns its averaged weights.

    Resumes from the last checkpoint if there is one (written every few minutes and at the end), else starts from the
    same member of ``start_from``, with which the result is averaged, else from random weights.

    Args:
        work: a folder that ``plan.prepare`` has prepared.
    """
    device = choose_device(training.device)
    _seed(training.seed, fold)
    trainer = make_trainer(work, fold, device)
    if start_from is not None:
        load_into(trainer.network, start_from.state(f"fold{fold}"))
    state = FoldCheckpoint.of(trainer, work / f"fold{fold}.pt")
    origin = {} if start_from is None else {name: value.clone() for name, value in state.average.items()}

    def report_fold(line: str) -> None:
        report(f"fold {fold}: {line}")

    if training.resume and state.file.exists():
        state.load(device)
        _seed(training.seed, fold, state.step)
        report_fold(f"resuming at step {state.step}")
    curve = LearningCurve(work, fold, state.step, score="Dice")
    _optimise(trainer, state, training.steps, curve, pretrained=start_from is not None, report=report_fold)
    curve.close()
    weights = blended(origin, state.average) if origin else state.average
    trainer.network.load_state_dict(weights)
    parameters = sum(parameter.numel() for parameter in trainer.network.parameters())
    report_fold("done")
    return TrainedFold(trainer.network.state_dict(), state.seconds, parameters)


def blended(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights between those that a training started from and those that it ended with; see ``KEPT_OF_NEW``."""
    return {name: torch.lerp(old[name], value, KEPT_OF_NEW) for name, value in new.items()}


def contrast_share(step: int, steps: int, *, pretrained: bool) -> float:
    """Probability at ``step`` of ``steps`` that a sample's organs are redrawn; see ``CONTRAST_FIRST``."""
    place_known = 1.0 if pretrained else min(1.0, 2 * step / steps)
    return CONTRAST_FIRST + (CONTRAST_LAST - CONTRAST_FIRST) * place_known


def _seed(seed: int, fold: int, step: int = 0) -> None:
    number = 1000 * seed + fold + step
    torch.manual_seed(number)
    np.random.seed(number % 2**32)  # nnU-Net's loader draws from NumPy's global state


def _optimise(
    trainer: OrganContrastTrainer,
    state: FoldCheckpoint,
    steps: int,
    curve: LearningCurve,
    *,
    pretrained: bool,
    report: Callable[[str], None],
) -> None:
    """Train until step ``steps``; saves the state every few minutes and at the end."""
    batches, contrast = training_batches(trainer)
    trainer.network.train()
    seconds_before, began = state.seconds, time.monotonic()
    saved_at, losses = began, list[float]()
    while state.step < steps:
        for group in trainer.optimizer.param_groups:
            group["lr"] = learning_rate(state.step, steps, pretrained=pretrained)
        contrast.probability = contrast_share(state.step, steps, pretrained=pretrained)
        losses.append(trainer.step(next(batches)))
        state.step += 1
        update_average(state.average, trainer.network, state.step)
        last = state.step == steps
        if state.step % LOG_EVERY == 0:
            pace = (time.monotonic() - began) / len(losses)
            loss = float(np.mean(losses[-LOG_EVERY:]))
            curve.add(state.step, {LOSS: loss})
            report(f"step {state.step}/{steps}, loss {loss:.3f}, {pace:.2f} s a step")
        if state.step % VALIDATE_EVERY == 0 or last:
            with averaged(trainer.network, state.average):
                scores = validation_dice(trainer)
            means = {organ: float(np.mean(list(by_case.values()))) for organ, by_case in scores.items()}
            curve.add(state.step, means)
            by_case = ", ".join(f"{case} {score:.3f}" for case, score in scores["liver"].items())
            by_organ = ", ".join(f"{organ} {mean:.3f}" for organ, mean in means.items())
            report(f"step {state.step}, Dice {by_organ} (liver: {by_case})")
        if time.monotonic() - saved_at > SAVE_EVERY_S or last:
            saved_at = time.monotonic()
            state.seconds = seconds_before + saved_at - began
            state.save()
