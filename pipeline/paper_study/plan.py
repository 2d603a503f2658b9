"""What the study computes: its size, its networks and its leak tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.masked_attention import MaskUse
from pipeline.classification.slices import InputSpec
from pipeline.cohort.cohort_segmenter import Members
from pipeline.cohort.manifest import DEFAULT_CUT_OFFS, CutOffs
from pipeline.paper_study.names import ENSEMBLE, MAIN, SHUFFLED, SITE
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
    """Backbone of the main network."""
    epochs: int = 24
    folds: int = 3
    members: int | None = 1
    """Members of a network in the table, None for all folds; ``ENSEMBLE`` has all of them."""
    masks_by: Members = "one"
    """As ``predict_masks`` takes it."""
    exact: bool = False
    """As ``predict_masks`` takes it."""
    shuffles: int = 3
    """Trainings with shuffled labels, each shuffled with a seed of its own."""
    seed: int = 1
    simulated: SimulatedCases = field(default_factory=SimulatedCases)
    small_test: tuple[int, int] = (18, 5)
    """Advanced and other cases of the simulated test of the paper's size, as many as the paper's figures imply."""
    large_test: int = 500
    """Cases of the larger simulated test."""
    slices: int = Settings.slices
    """Slices drawn from a case in each training step."""
    input: InputSpec = field(default_factory=InputSpec)


SIZES = {
    "cpu": Size(),
    "full": Size(resnet="resnet50", epochs=48, folds=5, members=None, masks_by="all", exact=True, shuffles=5),
}


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Choices of a study. ``study.json`` notes all but device and workers."""

    manifest: Path | None = None
    """Of a cohort with test rows; None to simulate one."""
    anatomies: Path | None = None
    """Folder of images and organ labels, or a manifest, for the simulation; None for phantoms alone."""
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
class NetworkPlan:
    """One training of the study."""

    name: str
    """Of its folder and in tables."""
    backbone: str
    members: int | None
    """None for all folds."""
    epochs: int
    folds: int
    seed: int
    slices: int
    mask: MaskUse = "attention"
    labels: Labels = "cohort"
    shares_checkpoints_of: str = ""
    """Network whose folder of checkpoints, and so members, it shares; its own if empty."""

    @property
    def checkpoints(self) -> str:
        """Name of the folder of its checkpoints."""
        return self.shares_checkpoints_of or self.name


def networks(size: Size) -> list[NetworkPlan]:
    """Networks of the paper's table, the main one first, and the main one's ensemble if it is another."""
    main = _main(size)
    found = [
        main,
        replace(main, name="densenet121", backbone="densenet121"),
        replace(main, name="swin_tiny", backbone="swin_tiny"),
        replace(main, name="unmasked", mask="none"),
    ]
    if size.members is not None:
        found.append(replace(main, name=ENSEMBLE, members=None, shares_checkpoints_of=MAIN))
    return found


def leak_tests(size: Size, sites: int) -> list[NetworkPlan]:
    """Networks that see no liver, learn shuffled labels, or learn the site if there are several."""
    return list(_leak_tests(size, sites))


def _leak_tests(size: Size, sites: int) -> Iterator[NetworkPlan]:
    main = _main(size)
    blind: tuple[MaskUse, ...] = ("mask_only", "background_only", "background_only_without_spleen")
    for mask in blind:
        yield replace(main, name=mask, mask=mask)
    for number in range(1, size.shuffles + 1):
        yield replace(main, name=f"{SHUFFLED}{number}", labels="shuffled", seed=size.seed + number)
    if sites > 1:
        yield replace(main, name=SITE, labels="site")


def _main(size: Size) -> NetworkPlan:
    return NetworkPlan(MAIN, size.resnet, size.members, size.epochs, size.folds, size.seed, size.slices)
