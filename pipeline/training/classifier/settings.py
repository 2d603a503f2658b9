"""Settings and options of a classifier's training; loads neither torch nor pandas, for the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from models.network_names import MaskUse

if TYPE_CHECKING:
    from pipeline.classification.slices import InputSpec
    from pipeline.cohort.manifest import CutOffs

Labels = Literal["cohort", "shuffled", "site"]
"""What is learnt: the cohort's labels, or those of a leak test, see ``split.relabel``."""


def default_cut_offs() -> CutOffs:
    """The cohort's default cut-offs, imported on use since they bring pandas."""
    from pipeline.cohort.manifest import DEFAULT_CUT_OFFS

    return DEFAULT_CUT_OFFS


@dataclass(frozen=True)
class Settings:
    """What the weights depend on, besides cohort and input: equal ones give equal weights on one machine.

    Checkpoints and ``model.json`` hold these fields by name and in this order.
    """

    backbone: str = "resnet18"
    """A name of ``BACKBONES``."""
    mask: MaskUse = "attention"
    folds: int = 3
    """Folds by anatomy, one ensemble member each."""
    members: int | None = None
    """Number of folds that get a member, from the first; None for all. With fewer, fewer cases are out of fold."""
    epochs: int = 24
    """Passes over the cases; the most of them, where ``patience`` is given."""
    patience: int | None = None
    """Epochs without a better inner fold after which a member stops; None trains all epochs on all of its cases."""
    seed: int = 0
    slices: int = 4
    """Slices drawn from a case in each epoch: few, since another case teaches more than another slice."""
    batch: int = 8
    """Cases in an optimiser step."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.05
    """Weight decay of AdamW, on matrices only."""
    warm_up: float = 0.1
    """Share of the steps in which the learning rate rises."""
    averaging: float = 0.99
    """Decay per step of the exponential moving average of the weights (lower in the first steps), which is kept."""
    smoothing: float = 0.05
    """Label smoothing, to 0.05 and 0.95: stiffness near the cut-off is a matter of chance."""
    cut_offs: CutOffs = field(default_factory=default_cut_offs)
    pretrained: str = ""
    """``pretrained.fingerprint`` of the backbone's initial weights; empty for random ones."""
    labels: Labels = "cohort"


@dataclass(frozen=True)
class TrainingOptions:
    """How a training is run: what its weights depend on, and where, from what and for whom."""

    settings: Settings = field(default_factory=Settings)
    """Settings whose ``pretrained`` is filled in from the option of that name."""
    spec: InputSpec | None = None
    """How slices are prepared, for this training and every prediction with its weights; None for the defaults."""
    device: str = "auto"
    """``cpu``, ``cuda`` or ``auto``."""
    resume: bool = True
    """Whether checkpoints in ``work`` are resumed, not deleted."""
    work: Path | None = None
    """Folder of the checkpoints and ``out_of_fold.csv``; None for a sibling of the model, ``.work`` appended."""
    cache: Path | None = None
    """Folder of prepared slices, which trainings of one cohort may share; None for ``slices`` in ``work``."""
    licence: str = "unknown"
    """Licence of the weights, as their data demand; for ``model.json`` and the card."""
    pretrained: str = ""
    """Initial weights of the backbone, as ``backbone_weights`` takes them; empty for random ones."""
    target_sensitivity: float | None = None
    """Target sensitivity of the operating point, 0-1; None maximises Youden's index."""
