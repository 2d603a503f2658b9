"""The commands that make cohorts and models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.commands.shared import Device, Out, Seed, faults_in_one_line, log_shown, progress_bar

MaskUse = Literal["attention", "none", "mask_only", "background_only"]
"""As in ``models.masked_attention``, which would load torch."""


def simulate(
    out: Out,
    cases: Annotated[int, typer.Option(help="How many.")] = 200,
    seed: Seed = 0,
    anatomies: Annotated[
        Path | None, typer.Option(help="Folder with imagesTr and labelsTr (or images and labels); else phantoms.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes at work; the voxels do not depend on it.")] = 2,
) -> None:
    """Make a cohort with simulated fibrosis: images, masks and a manifest to train and test a classifier on."""
    with faults_in_one_line(), progress_bar() as progress:
        from pipeline.training import simulation

        task = progress.add_task("Making cases", total=cases)
        manifest = simulation.simulate(
            out, cases=cases, seed=seed, anatomies=anatomies, workers=workers,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    typer.echo(f"{cases} cases in {manifest}")


def train_segmenter(
    data: Annotated[Path, typer.Argument(help="Folder with imagesTr and labelsTr, or a manifest (CSV).")],
    out: Out,
    folds: Annotated[int, typer.Option(help="Members of the ensemble; each has not seen its own fold.")] = 3,
    fold: Annotated[int | None, typer.Option(help="Train this fold only, counted from 0.")] = None,
    steps: Annotated[int, typer.Option(help="Optimiser steps per member; name more to train further.")] = 2000,
    device: Device = "auto",
    planner: Annotated[
        str, typer.Option(help="small (two CPU cores) or nnunet (its own default, for a GPU).")
    ] = "small",
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = True,
    seed: Seed = 0,
    start_from: Annotated[str | None, typer.Option(help="A trained model of the same data to train further.")] = None,
    trained_on: Annotated[str, typer.Option(help="Shown beside every result.")] = "a cohort of this site",
    licence: Annotated[str, typer.Option(help="Of the weights, from their data.")] = "unknown",
) -> None:
    """Train the liver segmenter: nnU-Net's plan, network and augmentation in a loop that suits a CPU too."""
    with faults_in_one_line(), log_shown():
        from pipeline.training import segmenter

        segmenter.train_segmenter(
            data, out, folds=folds, fold=fold, steps=steps, device=device, planner=planner, resume=resume, seed=seed,
            start_from=start_from, trained_on=trained_on, licence=licence,
        )  # fmt: skip


def evaluate_segmenter(
    data: Annotated[Path, typer.Argument(help="Folder with imagesTr and labelsTr, or a manifest (CSV).")],
    segmenter: Annotated[Path, typer.Option(help="Name or folder of the model.")] = Path("liver_t2"),
    device: Device = "auto",
) -> None:
    """Compare a segmenter with labels, each case by a member that has not seen it; update its model card."""
    with faults_in_one_line(), log_shown():
        from pipeline.training import segmenter_evaluation

        table = segmenter_evaluation.evaluate_segmenter(data, segmenter, device=device)
    typer.echo(table.round(3).to_string(index=False))


def convert_segmenter(
    result: Annotated[
        Path, typer.Argument(help="Result folder of an nnU-Net v2 training, with plans.json and fold_*.")
    ],
    out: Out,
    trained_on: Annotated[str, typer.Option(help="Shown beside every result.")],
    licence: Annotated[str, typer.Option(help="Of the weights, from their data.")] = "unknown",
    orientation: Annotated[str, typer.Option(help="Axis code of the images it was trained on.")] = "LPS",
) -> None:
    """Turn an nnU-Net v2 model that was trained elsewhere, liver-only ones too, into a segmenter of this app."""
    with faults_in_one_line(), log_shown():
        from pipeline.training import segmenter_export

        segmenter_export.convert(result, out, trained_on=trained_on, licence=licence, orientation=orientation)


def train_classifier(
    manifest: Annotated[Path, typer.Argument(help="Cohort manifest (CSV).")],
    out: Out,
    backbone: Annotated[str, typer.Option(help="A timm name, such as resnet18, densenet121, swin_tiny.")] = "resnet18",
    mask: Annotated[
        MaskUse, typer.Option(help="How the liver mask enters; none is the unmasked baseline.")
    ] = "attention",
    folds: Annotated[int, typer.Option(help="Members of the ensemble, split by source anatomy.")] = 3,
    epochs: Annotated[int, typer.Option(help="Passes over the cohort.")] = 24,
    seed: Seed = 0,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = False,
    licence: Annotated[str, typer.Option(help="Of the weights, from their data.")] = "unknown",
) -> None:
    """Train the fibrosis classifier on a cohort and print what was measured out of fold."""
    with faults_in_one_line(), log_shown():
        from pipeline.training import classifier

        measured = classifier.train_classifier(
            manifest, out, backbone=backbone, mask=mask, folds=folds, epochs=epochs, seed=seed, device=device,
            resume=resume, licence=licence,
        )  # fmt: skip
    auc, low, high = measured.auc
    typer.echo(f"Out-of-fold AUC {auc:.3f} (95 % interval {low:.3f} to {high:.3f})")
