"""The commands that train models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from models.network_names import BACKBONES, MaskUse
from pipeline.commands.shared import (
    LSM_CUT,
    METAVIR_CUT,
    SEED,
    Data,
    Device,
    Exact,
    Fold,
    Licence,
    Out,
    Resume,
    Seed,
    Segmenter,
    faults_in_one_line,
    log_shown,
)
from pipeline.training.classifier.feature_settings import feature_options
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
        str | None, typer.Option(help="A model to train further: of the same data and folds, or of other cases.")
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


WORKERS = 1
"""Default number of processes that prepare training samples."""

if TYPE_CHECKING:
    BackboneName = str
    MaskName = str
else:  # typer offers the values of a Literal; type checkers take none that is computed
    BackboneName = Literal[tuple(BACKBONES)]
    MaskName = Literal[tuple(name.replace("_", "-") for name in get_args(MaskUse))]

Config = Annotated[
    Path | None,
    typer.Option(help="Settings (TOML), as training-config prints them and each model holds them in training.toml."),
]
Backbone = Annotated[BackboneName | None, typer.Option(help=f"Backbone network (default: {Settings.backbone}).")]
Mask = Annotated[
    MaskName | None,
    typer.Option(
        help="Use of the liver mask; pooling has no learned attention, none is the unmasked baseline, the others test "
        "for leaks."
    ),
]
Folds = Annotated[int | None, typer.Option(help="Folds by source anatomy, one ensemble member each.", min=2)]
Members = Annotated[int | None, typer.Option(help="Train the first folds only, this many (default: all).", min=1)]
Epochs = Annotated[int | None, typer.Option(help="Passes over the cohort, at most.", min=1)]
Patience = Annotated[
    int | None,
    typer.Option(help="Stop after this many epochs without a better inner fold (default: train all epochs).", min=1),
]
Workers = Annotated[
    int, typer.Option(help="Processes that prepare training samples; their number changes no result.", min=0)
]
Work = Annotated[
    Path | None, typer.Option(help="Folder of slices and checkpoints (default: beside the model, .work appended).")
]
Pretrained = Annotated[
    str | None,
    typer.Option(help="Initial weights: imagenet (timm's) or a .safetensors file of timm's (default: random)."),
]
Features = Annotated[
    str | None,
    typer.Option(
        help="Fit hand-crafted features, not a network: texture, outline, volumes or background; several by commas."
    ),
]
LearntLabels = Annotated[
    Labels | None, typer.Option(help="What to learn; shuffled (AUC near 0.5) and site (the scanner) test for leaks.")
]
LsmCut = Annotated[float | None, LSM_CUT]
MetavirCut = Annotated[str | None, METAVIR_CUT]
Sensitivity = Annotated[
    float | None,
    typer.Option(
        help="Target sensitivity of the operating point (default: maximise Youden's index).", min=0.01, max=1.0
    ),
]


def train_classifier(
    manifest: Annotated[Path, typer.Argument(help="Cohort manifest (CSV).")],
    out: Out,
    features: Features = None,
    config: Config = None,
    backbone: Backbone = None,
    mask: Mask = None,
    folds: Folds = None,
    fold: Fold = None,
    members: Members = None,
    epochs: Epochs = None,
    patience: Patience = None,
    seed: Annotated[int | None, SEED] = None,
    device: Device = TrainingOptions.device,
    workers: Workers = WORKERS,
    resume: Resume = TrainingOptions.resume,
    work: Work = TrainingOptions.work,
    pretrained: Pretrained = None,
    labels: LearntLabels = None,
    sensitivity: Sensitivity = TrainingOptions.target_sensitivity,
    licence: Licence = TrainingOptions.licence,
    lsm_cut: LsmCut = None,
    metavir_cut: MetavirCut = None,
) -> None:
    """Train the fibrosis classifier on a cohort and print what was measured out of fold.

    An option goes before the --config file, and the file before the defaults of the backbone.
    """
    with faults_in_one_line(), log_shown():
        from pipeline.training.classifier import train as classifier
        from pipeline.training.classifier import train_features as fitted
        from pipeline.training.classifier.config import read_config

        options_given = given(
            backbone=backbone,
            mask=mask and mask.replace("-", "_"),
            folds=folds,
            members=members,
            epochs=epochs,
            patience=patience,
            seed=seed,
            pretrained=pretrained,
            labels=labels,
            cut_offs=given(lsm_kpa=lsm_cut, metavir=metavir_cut and metavir_cut.upper()),
        )
        chosen = read_config(config, options_given)
        options = TrainingOptions(
            settings=chosen.settings,
            spec=chosen.spec,
            device=device,
            workers=workers,
            resume=resume,
            work=work,
            licence=licence,
            pretrained=chosen.settings.pretrained,
            target_sensitivity=sensitivity,
        )
        if features is None:
            figures = classifier.train_classifier(manifest, out, options, fold=fold)
        else:
            figures = fitted.train_features(manifest, out, feature_options(features, options, fold))
    if figures is None:
        typer.echo(f"Fold {fold} is trained. When all {chosen.settings.folds} are, run the command without --fold.")
    else:
        typer.echo("Out-of-fold AUC {:.3f} (95 % interval {:.3f} to {:.3f})".format(*figures.auc))


def given(**options: Any) -> dict[str, Any]:
    """The options that have a value."""
    return {name: value for name, value in options.items() if value is not None}


def training_config(backbone: Backbone = None, mask: Mask = None) -> None:
    """Print the settings of a classifier's training with comments, for a file that --config takes."""
    with faults_in_one_line():
        from pipeline.training.classifier.config import read_config

        typer.echo(
            read_config(None, given(backbone=backbone, mask=mask and mask.replace("-", "_"))).to_toml(), nl=False
        )
