"""Settings of a segmenter's training or export, and the record of a training in ``model.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SegmenterTraining:
    """Settings of one training; the defaults suit two CPU cores."""

    folds: int | None = None
    """Number of folds where the data have none of their own; None: 3."""
    steps: int = 2000
    """Optimiser steps per member, those before a resumption included."""
    device: str = "auto"
    planner: str = "small"
    """Key of ``plan.PLANNERS``."""
    resume: bool = True
    """Whether to resume from the checkpoints in ``work``."""
    seed: int = 0
    work: Path | None = None
    """Folder of nnU-Net's files and the checkpoints; None: beside the model, its name ending in ``.work``."""
    start_from: str | None = None
    """Name or folder of a model of the same plan and folds, for the initial weights; None: random weights."""
    anatomies: Path | None = None
    """Folder of label maps to paint and to warp real cases to (``added_cases``); None: real cases alone."""
    trained_on: str = "a cohort of this site"
    """Description of the training data, shown beside every result."""
    licence: str = "unknown"
    """Licence of the weights."""


@dataclass(frozen=True)
class AddedRecord:
    """What a training added to the real cases, in ``model.json``; its keys are these fields."""

    painted: int
    """Number of painted cases."""
    warped: int
    """Number of real cases warped to the shape of a label map."""
    shapes: int
    """Number of label maps that either was made from."""
    sources: list[str]
    """Data sets and licences of the label maps."""


@dataclass(frozen=True)
class TrainingRecord:
    """The entry ``training`` of ``model.json``; its keys are these fields."""

    steps: int
    """Optimiser steps per member, those of the models that it started from included."""
    hours: float
    """Training time summed over the members, those of the models that it started from included."""
    device: str
    seed: int
    parameters: int
    """Number of parameters per member."""
    folds: int
    """Number of members."""
    planner: str
    degraded: bool
    """Whether corrupted images were part of the augmentation."""
    blended: bool
    """Whether the weights are an average with those of the model that the training started from."""
    anatomies: AddedRecord | None
    """Painted and warped cases; None: real cases alone."""


@dataclass(frozen=True)
class ExportOptions:
    """What an nnU-Net result folder does not say about its model."""

    trained_on: str
    """Description of the training data, shown beside every result."""
    licence: str = "unknown"
    """Licence of the weights."""
    orientation: str = "LPS"
    """ITK axis code of the training images, which nnU-Net does not reorient."""
    checkpoint: str = "checkpoint_final.pth"
    """File name of each fold's checkpoint."""
    simulated: bool = False
    """Whether the training images were simulated."""
