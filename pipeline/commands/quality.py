"""The commands on a segmenter's robustness, and on the predicted quality of its masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.shared import Data, Device, Segmenter, faults_in_one_line, log_shown

PerCorruption = Annotated[
    int,
    typer.Option(
        "--severities", min=1, max=3, help="Severities per case and corruption; 1 alternates three over the cases."
    ),
]
Resume = Annotated[bool, typer.Option(help="Reuse the predictions in corrupted_cases.csv.")]


def evaluate_corruptions(
    data: Data,
    segmenter: Segmenter = Path("liver_t2"),
    severities: PerCorruption = 1,
    device: Device = "auto",
    resume: Resume = True,
) -> None:
    """Corrupt labelled cases as scanners and patients do, and measure a member that has not seen them."""
    with faults_in_one_line(), log_shown():
        from models import registry
        from pipeline.training.quality import robustness
        from pipeline.training.quality.corruption_plan import CorruptionPlan
        from pipeline.training.segmenter import card as segmenter_card

        plan = CorruptionPlan(severities)
        rows = robustness.measure_corruptions(data, segmenter, plan=plan, device=device, resume=resume)
        segmenter_card.write(registry.find(segmenter, "segmenter").folder)
    typer.echo(robustness.summarise(rows).round(3).to_string(index=False))


def train_quality(
    data: Data,
    segmenter: Segmenter = Path("liver_t2"),
    severities: PerCorruption = 1,
    device: Device = "auto",
    resume: Resume = True,
) -> None:
    """Fit the predictor of a mask's Dice on corrupted cases; print what was measured on anatomies left out."""
    with faults_in_one_line(), log_shown():
        from pipeline.training.quality import train as quality

        figures = quality.train_quality(data, segmenter, per_corruption=severities, device=device, resume=resume)
    for line in figures.lines():
        typer.echo(line)
