"""What the study computes: its size, its networks and its leak tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from models.network_names import FeatureGroup, MaskUse
from pipeline.classification.slices import InputSpec
from pipeline.cohort.cohort_segmenter import Members
from pipeline.cohort.manifest import DEFAULT_CUT_OFFS, CutOffs
from pipeline.paper_study.names import CONTROL_FEATURES, MAIN, POOLING, SHUFFLED, SITE, TEXTURE
from pipeline.training.classifier.feature_settings import FeatureSettings
from pipeline.training.classifier.recipes import STEERED, recipe
from pipeline.training.classifier.settings import Labels, Settings


@dataclass(frozen=True)
class SimulatedCases:
    """The training part of the simulated cohort."""

    cases: int = 220
    phantoms: int = 15
    """Anatomies made from nothing, beside given ones."""
    phantom_size_xyz: tuple[int, int, int] | None = None
    """Voxels; None for the simulation's default."""
    phantom_spacing_mm_xyz: tuple[float, float, float] | None = None
    """None for the simulation's default."""


@dataclass(frozen=True)
class Size:
    """How much is computed, equal for all networks of the table and of the leak tests."""

    resnet: str = "resnet18"
    """Backbone of the main network, and of those that are compared with it by its input."""
    seeds: int = 3
    """Trainings of each network, with the seeds from ``seed``; shuffled labels are shuffled anew by each."""
    seed: int = 1
    epochs: int | None = None
    """None for the recipe's."""
    folds: int = 3
    members: int | None = 1
    """Members of each training, None for all folds: another seed tells more of the network than another fold."""
    masks_by: Members = "one"
    """As ``predict_masks`` takes it."""
    exact: bool = False
    """As ``predict_masks`` takes it."""
    simulated: SimulatedCases = field(default_factory=SimulatedCases)
    small_test: tuple[int, int] = (18, 5)
    """Advanced and other cases of the simulated test of the paper's size, as many as the paper's figures imply."""
    large_test: int = 300
    """Cases of the larger simulated test."""
    slices: int | None = None
    """Slices drawn from a case in each epoch; None for the recipe's."""
    patch: int | None = None
    """Side of the patches that networks learn from, pixels; None for the recipe's."""
    input: InputSpec = field(default_factory=InputSpec)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        return tuple(range(self.seed, self.seed + self.seeds))


SIZES = {
    "cpu": Size(),
    "full": Size(resnet="resnet50", seeds=5, folds=5, members=None, masks_by="all", exact=True),
}


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Choices of a study. ``study.json`` notes all but device and workers."""

    manifest: Path | None = None
    """Of a cohort with test rows; None to simulate one."""
    anatomies: Path | None = None
    """Folder of images and organ labels, or a manifest, for the simulation; None for none."""
    shapes: Path | None = None
    """Folder of label maps for the simulation, as further anatomies and as shapes of livers; None for none."""
    size: Size = SIZES["cpu"]
    segmenter: str = "liver_t2"
    """Name or path."""
    cut_offs: CutOffs = DEFAULT_CUT_OFFS
    """What counts as advanced fibrosis."""
    pretrained: str = ""
    """First weights of all networks, as ``train_classifier`` takes them: random if empty, or ``imagenet``."""
    device: str = "auto"
    workers: int = 2
    """Processes of the simulation."""


@dataclass(frozen=True)
class TrainingPlan:
    """One training of the study: a network at a seed. What is not here is the size's, and so equal for all."""

    network: str
    """Name of its row in the tables."""
    seed: int
    backbone: str = ""
    """Empty for a baseline without a network."""
    mask: MaskUse = "attention"
    labels: Labels = "cohort"
    features: tuple[FeatureGroup, ...] = ()
    """Hand-crafted features of a baseline."""

    @property
    def name(self) -> str:
        """Name of its folders of model and checkpoints, and in evaluations."""
        return f"{self.network}_seed{self.seed}"

    def settings(self, size: Size, cut_offs: CutOffs) -> Settings | FeatureSettings:
        """Settings of the training: the recipe of its backbone, as far as the size does not choose."""
        if self.features:
            return FeatureSettings(features=self.features, folds=size.folds, seed=self.seed, cut_offs=cut_offs)
        chosen = {"members": size.members, "slices": size.slices, "epochs": size.epochs}
        if self.mask in STEERED:
            chosen["patch"] = size.patch
        given: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
        own: dict[str, Any] = {"labels": self.labels, "seed": self.seed, "cut_offs": cut_offs}
        return recipe(self.backbone, self.mask, folds=size.folds, **own, **given)


def trainings(size: Size, seed: int, sites: int) -> list[TrainingPlan]:
    """Trainings at one seed: those of the table, the main network first, then those of the leak tests.

    Args:
        sites: number of sites that a network can learn to tell apart.
    """
    return [*networks(size, seed), *leak_tests(size, seed, sites)]


def networks(size: Size, seed: int) -> list[TrainingPlan]:
    """Networks of the table, the main one first."""
    main = TrainingPlan(MAIN, seed, size.resnet)
    return [
        main,
        replace(main, network=POOLING, mask="pooling"),
        replace(main, network="densenet121", backbone="densenet121"),
        replace(main, network="swin_tiny", backbone="swin_tiny"),
        replace(main, network="unmasked", mask="none"),
        TrainingPlan(TEXTURE, seed, features=("texture",)),
    ]


def leak_tests(size: Size, seed: int, sites: int) -> list[TrainingPlan]:
    """Networks that see no liver, learn shuffled labels, or learn the site if there are several; positive controls."""
    main = TrainingPlan(MAIN, seed, size.resnet)
    blind: tuple[MaskUse, ...] = ("mask_only", "background_only", "background_only_without_spleen")
    return [
        *(replace(main, network=mask, mask=mask) for mask in blind),
        replace(main, network=SHUFFLED, labels="shuffled"),
        *([replace(main, network=SITE, labels="site")] if sites > 1 else []),
        *(TrainingPlan(control, seed, features=(group,)) for control, group in CONTROL_FEATURES.items()),
    ]
