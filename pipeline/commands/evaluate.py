"""``evaluate``: classifiers on a cohort, with intervals, figures and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from pipeline.commands.shared import (
    Device,
    Out,
    Seed,
    answer_console,
    case_by_case,
    faults_in_one_line,
    log_shown,
    progress_bar,
)
from pipeline.errors import ManifestError


def evaluate(
    context: typer.Context,
    out: Out,
    manifest: Annotated[
        Path | None, typer.Argument(help="Cohort manifest (CSV); with --protocol simulated where none is given.")
    ] = None,
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
    protocol: Annotated[
        Literal["paper"] | None, typer.Option(help="Run a whole study instead: masks, trainings, leak tests, tables.")
    ] = None,
    size: Annotated[
        Literal["cpu", "full"], typer.Option(help="Of the study: for two cores without a GPU, or for a GPU.")
    ] = "cpu",
    anatomies: Annotated[
        Path | None, typer.Option(help="For the study's simulation: folder with imagesTr and labelsTr, or a manifest.")
    ] = None,
    segmenter: Annotated[str, typer.Option(help="Of the study, by name or folder.")] = "liver_t2",
    pretrained: Annotated[
        Literal["", "imagenet"],
        typer.Option(help="First weights of the study's networks: imagenet (timm's) or random."),
    ] = "",
) -> None:
    """Evaluate classifiers on cases that they have not seen: AUC, calibration, comparisons, strata, report."""
    if protocol:
        with faults_in_one_line():
            if given := given_options(context, "models", "split", "prevalence", "seed"):
                raise ManifestError(f"A study has its own {' and '.join(given)}; leave them out beside --protocol.")
        run_study(manifest, out, size, anatomies, segmenter, (lsm_cut, metavir_cut), pretrained, device)
        return
    with faults_in_one_line(), progress_bar() as progress:
        if manifest is None:
            raise ManifestError("Name a cohort manifest, or give --protocol paper.")
        if given := given_options(context, "size", "anatomies", "segmenter", "pretrained"):
            raise ManifestError(f"Only a study takes {' and '.join(given)}; add --protocol paper, or leave them out.")
        from pipeline.cohort.manifest import CutOffs
        from pipeline.evaluation import classifier as evaluation

        found = evaluation.evaluate(
            manifest,
            models,
            out,
            split=split,
            prevalence=prevalence,
            cut_offs=CutOffs(lsm_cut, metavir_cut.upper()),
            seed=seed,
            device=device,
            progress=case_by_case(progress, "Reading cases"),
        )
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


def given_options(context: typer.Context, *names: str) -> list[str]:
    """Those that stand on the command line: what is given must not go unused."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return [name for name, source in sources.items() if source is not None and source.name != "DEFAULT"]


def run_study(
    manifest: Path | None,
    out: Path,
    size: str,
    anatomies: Path | None,
    segmenter: str,
    cut_offs: tuple[float, str],
    pretrained: str,
    device: str,
) -> None:
    """The paper's study, its lines on standard error and its table on standard output."""
    with faults_in_one_line(), log_shown():
        from pipeline.cohort.manifest import CutOffs
        from pipeline.paper_study import protocol

        lsm, metavir = cut_offs
        report = protocol.run_protocol(
            out,
            manifest=manifest,
            anatomies=anatomies,
            size=protocol.SIZES[size],
            segmenter=segmenter,
            cut_offs=CutOffs(lsm, metavir.upper()),
            pretrained=pretrained,
            device=device,
        )
    typer.echo((out / "table.md").read_text(encoding="utf-8"))
    typer.echo(f"{report.name}, protocol.json and table.csv are written.")
