"""The commands that train models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

import typer

from models.network_names import BACKBONES, MaskUse
from pipeline.commands.shared import (
    Data,
    Device,
    Exact,
    Fold,
    Licence,
    LsmCut,
    MetavirCut,
    Out,
    Resume,
    Seed,
    Segmenter,
    faults_in_one_line,
    log_shown,
)
from pipeline.thresholds import ADVANCED_LSM_ABOVE_KPA, ADVANCED_METAVIR_FROM
from pipeline.training.classifier.settings import Labels, Settings, TrainingOptions
from pipeline.training.segmenter.options import SegmenterTraining


def train_segmenter(
    data: Data,
    out: Out,
    folds: Annotated[
        int | None, typer.Option(help="Members of the ensemble; by default as the data are split, else 3.")
    ] = SegmenterTraining.folds,
    fold: Fold = None,
    steps: Annotated[
        int, typer.Option(min=1, help="Optimiser steps per member; name more to train further.")
    ] = SegmenterTraining.steps,
    device: Device = SegmenterTraining.device,
    planner: Annotated[
        Literal["small", "nnunet", "residual"],
        typer.Option(help="small (two CPU cores); nnunet (its default) or residual (its ResEnc M) for a GPU."),
    ] = "small",
    resume: Resume = SegmenterTraining.resume,
    seed: Seed = SegmenterTraining.seed,
    start_from: Annotated[
        str | None, typer.Option(help="A trained model of the same data to train further.")
    ] = SegmenterTraining.start_from,
    anatomies: Annotated[
        Path | None,
        typer.Option(help="Folder of label maps to add: painted as T2, and as shapes that real cases are warped to."),
    ] = SegmenterTraining.anatomies,
    trained_on: Annotated[
        str, typer.Option(help="Training data in words, shown beside every result.")
    ] = SegmenterTraining.trained_on,
    licence: Licence = SegmenterTraining.licence,
) -> None:
    """Train the liver segmenter: nnU-Net's plan, network and augmentation in a loop that suits a CPU too."""
    with faults_in_one_line(), log_shown():
        from pipeline.training.segmenter import train as segmenter

        training = SegmenterTraining(
            folds=folds,
            steps=steps,
            device=device,
            planner=planner,
            resume=resume,
            seed=seed,
            start_from=start_from,
            anatomies=anatomies,
            trained_on=trained_on,
            licence=licence,
        )
        segmenter.train_segmenter(data, out, training=training, fold=fold)
    if fold is not None:
        typer.echo(f"Fold {fold} is trained. When all are, run the command without --fold.")


def evaluate_segmenter(
    data: Data,
    segmenter: Segmenter = Path("liver_t2"),
    device: Device = "auto",
    exact: Exact = False,
) -> None:
    """Compare a segmenter with labels, each case by a member that has not seen it; update its model card."""
    with faults_in_one_line(), log_shown():
        from pipeline.evaluation import segmenter as segmenter_evaluation

        table = segmenter_evaluation.evaluate_segmenter(data, segmenter, device=device, exact=exact)
    typer.echo(table.round(3).to_string(index=False))


if TYPE_CHECKING:
    BackboneName = str
    MaskName = str
else:  # typer offers the values of a Literal; type checkers take none that is computed
    BackboneName = Literal[tuple(BACKBONES)]
    MaskName = Literal[tuple(name.replace("_", "-") for name in get_args(MaskUse))]

Backbone = Annotated[BackboneName, typer.Option(help="Backbone network.")]
Mask = Annotated[
    MaskName, typer.Option(help="Use of the liver mask; none is the unmasked baseline, the others test for leaks.")
]
Folds = Annotated[int, typer.Option(help="Folds by source anatomy, one ensemble member each.", min=2)]
Members = Annotated[int | None, typer.Option(help="Train the first folds only, this many (default: all).", min=1)]
Epochs = Annotated[int, typer.Option(help="Passes over the cohort, at most.", min=1)]
Patience = Annotated[
    int | None,
    typer.Option(help="Stop after this many epochs without a better inner fold (default: train all epochs).", min=1),
]
Work = Annotated[
    Path | None, typer.Option(help="Folder of slices and checkpoints (default: beside the model, .work appended).")
]
Pretrained = Annotated[
    str, typer.Option(help="Initial weights: imagenet (timm's) or a .safetensors file of timm's (default: random).")
]
LearntLabels = Annotated[
    Labels, typer.Option(help="What to learn; shuffled (AUC near 0.5) and site (the scanner) test for leaks.")
]
Sensitivity = Annotated[
    float | None,
    typer.Option(
        help="Target sensitivity of the operating point (default: maximise Youden's index).", min=0.01, max=1.0
    ),
]


def train_classifier(
    manifest: Annotated[Path, typer.Argument(help="Cohort manifest (CSV).")],
    out: Out,
    backbone: Backbone = Settings.backbone,
    mask: Mask = Settings.mask,
    folds: Folds = Settings.folds,
    fold: Fold = None,
    members: Members = Settings.members,
    epochs: Epochs = Settings.epochs,
    patience: Patience = Settings.patience,
    seed: Seed = Settings.seed,
    device: Device = TrainingOptions.device,
    resume: Resume = TrainingOptions.resume,
    work: Work = TrainingOptions.work,
    pretrained: Pretrained = TrainingOptions.pretrained,
    labels: LearntLabels = Settings.labels,
    sensitivity: Sensitivity = TrainingOptions.target_sensitivity,
    licence: Licence = TrainingOptions.licence,
    lsm_cut: LsmCut = ADVANCED_LSM_ABOVE_KPA,
    metavir_cut: MetavirCut = ADVANCED_METAVIR_FROM,
) -> None:
    """Train the fibrosis classifier on a cohort and print what was measured out of fold."""
    with faults_in_one_line(), log_shown():
        from pipeline.cohort.manifest import CutOffs
        from pipeline.training.classifier import train as classifier

        options = TrainingOptions(
            settings=Settings(
                backbone=backbone,
                mask=cast(MaskUse, mask.replace("-", "_")),
                folds=folds,
                members=members,
                epochs=epochs,
                patience=patience,
                seed=seed,
                cut_offs=CutOffs(lsm_cut, metavir_cut.upper()),
                labels=labels,
            ),
            device=device,
            resume=resume,
            work=work,
            licence=licence,
            pretrained=pretrained,
            target_sensitivity=sensitivity,
        )
        figures = classifier.train_classifier(manifest, out, options, fold=fold)
    if figures is None:
        typer.echo(f"Fold {fold} is trained. When all {folds} are, run the command without --fold.")
    else:
        typer.echo("Out-of-fold AUC {:.3f} (95 % interval {:.3f} to {:.3f})".format(*figures.auc))
