"""Settings and options of a classifier's training; loads neither torch nor pandas, for the command line.

The docstrings of the fields are the comments of a written configuration (``config.TrainingConfig.to_toml``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from models.network_names import MaskUse

if TYPE_CHECKING:
    from pipeline.classification.slices import InputSpec
    from pipeline.cohort.manifest import CutOffs

Labels = Literal["cohort", "shuffled", "site"]
"""What is learnt: the cohort's labels, or those of a leak test, see ``split.relabel``."""


FILE = "training.toml"
"""Settings of a training in the folder of its model, as ``--config`` takes them."""

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Augmentation:
    """Ranges of what is drawn anew for each training sample. None of it depends on fibrosis."""

    turn_degrees: NotNegative = 12.0
    """Largest rotation in plane, either way. Samples are never mirrored, since the liver is not symmetric."""
    shear: NotNegative = 0.08
    """Largest shear in plane, either way."""
    stretch: NotNegative = 0.14
    """Largest logarithm of the stretch along x and along y, either way."""
    shift_pixels: NotNegative = 8.0
    """Largest shift of the whole crop along x and along y, either way; patches lie anywhere in the liver."""
    gain: NotNegative = 0.15
    """Largest logarithm of the factor of brightness, either way."""
    gamma: NotNegative = 0.25
    """Largest logarithm of the exponent of brightness, either way."""
    shading: NotNegative = 0.15
    """Standard deviation of the logarithm of the coil's sensitivity."""
    coarser_probability: Share = 0.2
    """Share of the samples that lose resolution."""
    coarser: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = (0.65, 0.9)
    """Range of the matrix size of those, relative to the original."""
    noise: NotNegative = 0.04
    """Largest standard deviation of the noise, in units of the liver's median."""
    mask_edge_mm: NotNegative = 4.0
    """Largest distance by which the mask's whole edge is moved, either way."""
    mask_waves_mm: NotNegative = 3.0
    """Standard deviation of the waves of the mask's edge."""


def default_cut_offs() -> CutOffs:
    """The cohort's default cut-offs, imported on use since they bring pandas."""
    from pipeline.cohort.manifest import DEFAULT_CUT_OFFS

    return DEFAULT_CUT_OFFS


@dataclass(frozen=True)
class Settings:
    """What the weights depend on, besides cohort and input: equal ones give equal weights on one machine.

    The defaults are those of the default backbone; ``recipes.recipe`` gives those of each. Checkpoints and
    ``model.json`` hold these fields by name and in this order.
    """

    backbone: str = "resnet18"
    """Backbone network, by its name in ``models/network_names.py``."""
    mask: MaskUse = "attention"
    """Use of the liver mask: attention, pooling (no learned attention), none (the unmasked baseline), or one of the
    tests for leaks: mask_only, background_only, background_only_without_spleen."""
    folds: Annotated[int, Field(ge=2)] = 3
    """Folds by anatomy, one ensemble member each."""
    members: Count | None = None
    """Number of folds that get a member, from the first; all if not given. With fewer, fewer cases are
    predicted out of fold."""
    epochs: Count = 24
    """Passes over the cases; the most of them, where ``patience`` is given."""
    patience: Count | None = None
    """Epochs without a better inner fold after which a member stops; if not given, it trains all epochs on all of
    its cases."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of folds, initial weights and every random draw."""
    slices: Count = 6
    """Slices drawn from a case in each epoch: few, since another case teaches more than another slice."""
    patch: Annotated[int, Field(ge=0, multiple_of=32)] = 96
    """Side of the square, in pixels, around a random point of the liver that is taken of each slice; 0 is the whole
    crop, as prediction takes it."""
    batch: Annotated[int, Field(ge=2)] = 8
    """Cases in an optimiser step."""
    learning_rate: Positive = 1e-3
    """Peak learning rate of AdamW."""
    warm_up: Share = 0.1
    """Share of the steps in which the learning rate rises; half a cosine to 0 follows."""
    weight_decay: NotNegative = 0.05
    """Weight decay of AdamW, on matrices only."""
    gradient_clip: Positive = 1.0
    """Largest norm of the gradient; a longer one is scaled down to it."""
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay per step of the exponential moving average of the weights (lower in the first steps), which is kept."""
    smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    """Label smoothing, to 0.05 and 0.95: stiffness near the cut-off is a matter of chance."""
    cut_offs: CutOffs = field(default_factory=default_cut_offs)
    pretrained: str = ""
    """Initial weights of the backbone: imagenet (timm's), a .safetensors file of timm's, or empty for random ones. A
    trained model names a file by its SHA-256: give it with --pretrained."""
    labels: Labels = "cohort"
    """What is learnt: cohort (its labels), or one of the tests for leaks: shuffled labels, or the site."""
    augmentation: Augmentation = field(default_factory=Augmentation)


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
    workers: int = 0
    """Processes that draw training samples beside the optimiser; none of the results depends on their number."""
    pretrained: str = ""
    """Initial weights of the backbone, as ``backbone_weights`` takes them; empty for random ones."""
    target_sensitivity: float | None = None
    """Target sensitivity of the operating point, 0-1; None maximises Youden's index."""
