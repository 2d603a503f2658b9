"""``evaluate``: classifiers on a cohort, with intervals, figures and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from pipeline.commands.shared import Device, Out, Seed, answer_console, faults_in_one_line, progress_bar


def evaluate(
    manifest: Annotated[Path, typer.Argument(help="Cohort manifest (CSV).")],
    out: Out,
    models: Annotated[list[str], typer.Option(help="Classifier by name or folder; repeat for several.")] = [  # noqa: B006
        "fibrosis_t2"
    ],
    split: Annotated[Literal["test", "all"], typer.Option(help="Rows to read.")] = "test",
    prevalence: Annotated[
        float | None, typer.Option(min=0.001, max=0.999, help="For PPV, NPV and net benefit; else the cohort's.")
    ] = None,
    lsm_cut: Annotated[float, typer.Option(help="Stiffness in kPa above which fibrosis counts as advanced.")] = 12.0,
    metavir_cut: Annotated[str, typer.Option(help="Stage from which it does, where there is histology.")] = "F3",
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Evaluate classifiers on cases that they have not seen: AUC, calibration, comparisons, strata, report."""
    with faults_in_one_line(), progress_bar() as progress:
        from pipeline.training import evaluation
        from pipeline.training.manifest import CutOffs

        task = progress.add_task("Reading cases", total=None)
        found = evaluation.evaluate(
            manifest, models, out, split=split, prevalence=prevalence,
            cut_offs=CutOffs(lsm_cut, metavir_cut.upper()), seed=seed, device=device,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    table = Table("model", "cases", "positive", "AUC", "95 % interval")
    for name, model in found["models"].items():
        area = model["measures"]["auc"]
        value, low, high = area.estimate
        figures = (f"{value:.3f}", f"{low:.3f} to {high:.3f}") if area.estimate.known else ("not estimable", "")
        table.add_row(name, str(area.cases), str(area.positives), *figures)
    for words in found["statements"]:
        typer.echo(words)
    answer_console().print(table)
    typer.echo("report.html, evaluation.json and cases.csv are written.")
