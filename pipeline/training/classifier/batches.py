"""Batches of training samples, drawn by worker processes ahead of the optimiser.

Each sample has random numbers of its own, so that neither the number of workers nor an interruption changes any.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.classification.slices import InputSpec
from pipeline.training.classifier.augmentation import draw_training_input
from pipeline.training.classifier.data import CachedCase
from pipeline.training.classifier.settings import Settings

Draw = tuple[int, int]
"""Epoch, and index of the case."""


@dataclass(frozen=True)
class TrainingSamples(Dataset[tuple[Tensor, float]]):
    """Samples by ``Draw``: the slices, (slices, 2, y, x) float32, and the label."""

    cases: Sequence[CachedCase]
    settings: Settings
    spec: InputSpec
    fold: int

    def __getitem__(self, draw: Draw) -> tuple[Tensor, float]:
        epoch, index = draw
        # From 1: NumPy fills a short seed up with zeros, and the epoch itself has the seed without an index.
        random = np.random.default_rng([self.settings.seed, self.fold, epoch, index + 1])
        case = self.cases[index]
        return draw_training_input(case, self.spec, self.settings, random), float(case.label)


@dataclass(frozen=True)
class EpochBatches(Sampler[list[Draw]]):
    """The draws of each batch, epoch after epoch, every case once in an epoch."""

    cases: int
    settings: Settings
    fold: int
    first_epoch: int
    """Number of epochs that are trained already."""

    def __iter__(self) -> Iterator[list[Draw]]:
        steps = steps_per_epoch(self.cases, self.settings)
        for epoch in range(self.first_epoch, self.settings.epochs):
            order = epoch_random(self.settings, self.fold, epoch).permutation(self.cases)
            for picks in np.array_split(order, steps):
                yield [(epoch, int(index)) for index in picks]


def steps_per_epoch(cases: int, settings: Settings) -> int:
    """Number of optimiser steps of a pass over the cases."""
    return max(1, min(math.ceil(cases / settings.batch), cases // 2))  # features are standardised over 2 cases or more


def epoch_random(settings: Settings, fold: int, epoch: int) -> np.random.Generator:
    """Random numbers of an epoch as a whole: the order of the cases."""
    return np.random.default_rng([settings.seed, fold, epoch])


def training_batches(
    samples: TrainingSamples, first_epoch: int, workers: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Slices (cases, slices, 2, y, x) and labels (cases,) of every batch from ``first_epoch`` to the last epoch.

    One stream over all epochs, so that the workers, of which 0 draws in this process, start once and work ahead while
    an epoch is saved.
    """
    batches = EpochBatches(len(samples.cases), samples.settings, samples.fold, first_epoch)
    yield from DataLoader(
        samples,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # else it draws a number of torch's own, and so changes dropout
    )
