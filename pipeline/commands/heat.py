"""``evaluate-heat``: heat maps against the signs that a simulation drew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.evaluate import MODELS, Models, Split
from pipeline.commands.shared import Device, Out, Seed, case_by_case, faults_in_one_line, progress_bar

Stages = Annotated[
    list[str] | None, typer.Option(help="Stage to explain, such as layer2; repeat for several (default: all).")
]
Methods = Annotated[list[str], typer.Option(help="gradcam, hirescam, layercam or gradcam++; repeat for several.")]
METHODS: list[str] = ["gradcam"]


def evaluate_heat(
    manifest: Annotated[Path, typer.Argument(help="Manifest of a cohort simulated with --sign-maps (CSV).")],
    out: Out,
    models: Models = MODELS,
    stages: Stages = None,
    methods: Methods = METHODS,
    split: Split = "test",
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Measure how well heat maps show where signs were drawn, beside shuffled weights and simple references."""
    with faults_in_one_line(), progress_bar() as progress:
        from pipeline.evaluation import heat

        options = heat.HeatOptions(
            split=split, stages=tuple(stages or ()), methods=tuple(methods), seed=seed, device=device
        )
        report = case_by_case(progress, "Explaining cases")
        found = heat.evaluate_heat(manifest, models, out, options, progress=report)
    typer.echo(found.markdown())
    typer.echo("heat.md, heat.json and heat.csv are written.")
