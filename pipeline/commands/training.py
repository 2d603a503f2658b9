"""The commands that train models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.commands.shared import Device, Out, Seed, faults_in_one_line, log_shown

Backbone = Literal["resnet18", "resnet50", "densenet121", "swin_tiny"]
MaskUse = Literal["attention", "none", "mask-only", "background-only", "background-only-without-spleen"]
"""As in ``models.masked_attention``, which would load torch."""
Labels = Literal["cohort", "shuffled", "site"]


def train_segmenter(
    data: Annotated[Path, typer.Argument(help="Folder with imagesTr and labelsTr, or a manifest (CSV).")],
    out: Out,
    folds: Annotated[
        int | None, typer.Option(help="Members of the ensemble; by default as the data are split, else 3.")
    ] = None,
    fold: Annotated[
        int | None, typer.Option(help="Train this fold only, from 0; gather all by the command without --fold.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps per member; name more to train further.")] = 2000,
    device: Device = "auto",
    planner: Annotated[
        Literal["small", "nnunet"], typer.Option(help="small (two CPU cores) or nnunet (its own default, for a GPU).")
    ] = "small",
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = True,
    seed: Seed = 0,
    start_from: Annotated[str | None, typer.Option(help="A trained model of the same data to train further.")] = None,
    trained_on: Annotated[str, typer.Option(help="Shown beside every result.")] = "a cohort of this site",
    licence: Annotated[str, typer.Option(help="Of the weights, from their data.")] = "unknown",
) -> None:
    """Train the liver segmenter: nnU-Net's plan, network and augmentation in a loop that suits a CPU too."""
    with faults_in_one_line(), log_shown():
        from pipeline.training.segmenter import train as segmenter

        segmenter.train_segmenter(
            data,
            out,
            folds=folds,
            fold=fold,
            steps=steps,
            device=device,
            planner=planner,
            resume=resume,
            seed=seed,
            start_from=start_from,
            trained_on=trained_on,
            licence=licence,
        )
    if fold is not None:
        typer.echo(f"Fold {fold} is trained. When all are, run the command without --fold.")


def evaluate_segmenter(
    data: Annotated[Path, typer.Argument(help="Folder with imagesTr and labelsTr, or a manifest (CSV).")],
    segmenter: Annotated[Path, typer.Option(help="Name or folder of the model.")] = Path("liver_t2"),
    device: Device = "auto",
) -> None:
    """Compare a segmenter with labels, each case by a member that has not seen it; update its model card."""
    with faults_in_one_line(), log_shown():
        from pipeline.evaluation import segmenter as segmenter_evaluation

        table = segmenter_evaluation.evaluate_segmenter(data, segmenter, device=device)
    typer.echo(table.round(3).to_string(index=False))


def train_classifier(
    manifest: Annotated[Path, typer.Argument(help="Cohort manifest (CSV).")],
    out: Out,
    backbone: Annotated[Backbone, typer.Option(help="Network that reads the slices.")] = "resnet18",
    mask: Annotated[
        MaskUse,
        typer.Option(help="How the liver mask enters; none is the unmasked baseline, the others test for leaks."),
    ] = "attention",
    folds: Annotated[int, typer.Option(help="Members of the ensemble, split by source anatomy.", min=2)] = 3,
    fold: Annotated[
        int | None, typer.Option(help="Train this fold only, from 0; gather all by the command without --fold.")
    ] = None,
    members: Annotated[int | None, typer.Option(help="Train the first so many folds only; else all.", min=1)] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the cohort, at most.", min=1)] = 24,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better inner fold; else train all.", min=1)
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = True,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder of slices and checkpoints; beside the model, ending in .work, by default."),
    ] = None,
    pretrained: Annotated[
        str, typer.Option(help="First weights: imagenet (timm's) or a .safetensors file of timm's; else random.")
    ] = "",
    labels: Annotated[
        Labels, typer.Option(help="What to learn; shuffled (AUC near 0.5) and site (the scanner) test for leaks.")
    ] = "cohort",
    sensitivity: Annotated[
        float | None, typer.Option(help="Wished of the operating point; else Youden's index.", min=0.01, max=1.0)
    ] = None,
    licence: Annotated[str, typer.Option(help="Of the weights, from their data.")] = "unknown",
    lsm_cut: Annotated[float, typer.Option(help="Stiffness in kPa above which fibrosis counts as advanced.")] = 12.0,
    metavir_cut: Annotated[str, typer.Option(help="Stage from which it does, where there is histology.")] = "F3",
) -> None:
    """Train the fibrosis classifier on a cohort and print what was measured out of fold."""
    with faults_in_one_line(), log_shown():
        from pipeline.cohort.manifest import CutOffs
        from pipeline.training.classifier import train as classifier

        measured = classifier.train_classifier(
            manifest,
            out,
            fold=fold,
            device=device,
            resume=resume,
            work=work,
            licence=licence,
            pretrained=pretrained,
            sensitivity=sensitivity,
            backbone=backbone,
            mask=mask.replace("-", "_"),
            folds=folds,
            epochs=epochs,
            patience=patience,
            seed=seed,
            labels=labels,
            members=members,
            cut_offs=CutOffs(lsm_cut, metavir_cut.upper()),
        )
    if measured is None:
        typer.echo(f"Fold {fold} is trained. When all {folds} are, run the command without --fold.")
        return
    auc, low, high = measured.auc
    typer.echo(f"Out-of-fold AUC {auc:.3f} (95 % interval {low:.3f} to {high:.3f})")
