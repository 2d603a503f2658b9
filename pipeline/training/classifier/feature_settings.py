"""Settings and options of a classifier of hand-crafted features; loads neither torch nor pandas."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from models.network_names import FeatureGroup
from pipeline.errors import ModelError
from pipeline.training.classifier.settings import Labels, Settings, TrainingOptions, default_cut_offs

if TYPE_CHECKING:
    from pipeline.classification.slices import InputSpec
    from pipeline.cohort.manifest import CutOffs


@dataclass(frozen=True)
class FeatureSettings:
    """What the coefficients depend on, besides cohort and input; ``model.json`` holds these fields by name."""

    features: tuple[FeatureGroup, ...] = ("texture",)
    """Groups of features, in the order of the coefficients."""
    folds: int = 3
    """Folds by anatomy, one ensemble member each; as those of networks for equal cases and ``seed``."""
    seed: int = 0
    cut_offs: CutOffs = field(default_factory=default_cut_offs)
    labels: Labels = "cohort"


@dataclass(frozen=True)
class FeatureOptions:
    """How a training is run: what its coefficients depend on, and where, from what and for whom."""

    settings: FeatureSettings = field(default_factory=FeatureSettings)
    spec: InputSpec | None = None
    """How slices are prepared, for this training and every prediction with it; None for ``FEATURE_SPEC``."""
    work: Path | None = None
    """Folder of ``out_of_fold.csv``; None for a sibling of the model, ``.work`` appended."""
    cache: Path | None = None
    """Folder of the cases' features, which trainings of one cohort may share; None for ``features`` in ``work``."""
    licence: str = "unknown"
    """Licence of the model, as its data demand; for ``model.json`` and the card."""
    target_sensitivity: float | None = None
    """Target sensitivity of the operating point, 0-1; None maximises Youden's index."""


def feature_options(groups: str, options: TrainingOptions, fold: int | None) -> FeatureOptions:
    """The options of a training on features that were given as those of a network.

    Args:
        groups: names of ``FeatureGroup``, with commas between them.
        fold: the only fold to train, which only networks have.

    Raises:
        ModelError: there is no such group, or an option is one of networks.
    """
    names = tuple(dict.fromkeys(name.strip() for name in groups.split(",")))
    if not set(names) <= set(get_args(FeatureGroup)):
        raise ModelError(f"The features must be of {', '.join(get_args(FeatureGroup))}, with commas between them.")
    given = options.settings
    shared = {name: getattr(given, name) for name in ("folds", "seed", "cut_offs", "labels")}
    own_input = options.spec is not None and options.spec != type(options.spec)()
    if fold is not None or options.pretrained or own_input or given != replace(Settings(), **shared):
        raise ModelError(
            "A training with --features takes no option of a network; leave out --config, --backbone, --mask, --fold, "
            "--members, --epochs, --patience and --pretrained."
        )
    return FeatureOptions(
        settings=FeatureSettings(cast("tuple[FeatureGroup, ...]", names), **shared),
        work=options.work,
        cache=options.cache,
        licence=options.licence,
        target_sensitivity=options.target_sensitivity,
    )
