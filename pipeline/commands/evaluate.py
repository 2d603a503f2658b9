"""``evaluate``: classifiers on a cohort, with intervals, figures and a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from pipeline.commands.shared import (
    Device,
    LsmCut,
    MetavirCut,
    Out,
    Seed,
    answer_console,
    case_by_case,
    faults_in_one_line,
    log_shown,
    progress_bar,
)
from pipeline.errors import ManifestError
from pipeline.thresholds import ADVANCED_LSM_ABOVE_KPA, ADVANCED_METAVIR_FROM

if TYPE_CHECKING:
    from pipeline.evaluation.result import Evaluation
    from pipeline.paper_study.plan import StudyOptions

MODELS = ["fibrosis_t2"]
Manifest = Annotated[
    Path | None, typer.Argument(help="Cohort manifest (CSV); --protocol simulates one if none is given.")
]
Models = Annotated[list[str], typer.Option(help="Classifier by name or folder; repeat for several.")]
Split = Annotated[Literal["test", "all"], typer.Option(help="Rows to evaluate.")]
Prevalence = Annotated[
    float | None, typer.Option(min=0.001, max=0.999, help="For PPV, NPV and net benefit (default: the cohort's).")
]
Protocol = Annotated[
    Literal["paper"] | None, typer.Option(help="Run a whole study instead: masks, trainings, leak tests, tables.")
]
SizeName = Annotated[
    Literal["cpu", "full"], typer.Option(help="Size of the study: cpu (two cores) or full (for a GPU).")
]
Anatomies = Annotated[
    Path | None, typer.Option(help="For the study's simulation: folder with imagesTr and labelsTr, or a manifest.")
]
Shapes = Annotated[
    Path | None, typer.Option(help="For the study's simulation: folder of label maps, as further anatomies and shapes.")
]
StudySegmenter = Annotated[str, typer.Option(help="Segmenter of the study, by name or folder.")]
Pretrained = Annotated[
    Literal["", "imagenet"],
    typer.Option(help="Initial weights of the study's networks: imagenet (timm's); default random."),
]


def evaluate(
    context: typer.Context,
    out: Out,
    manifest: Manifest = None,
    models: Models = MODELS,
    split: Split = "test",
    prevalence: Prevalence = None,
    lsm_cut: LsmCut = ADVANCED_LSM_ABOVE_KPA,
    metavir_cut: MetavirCut = ADVANCED_METAVIR_FROM,
    device: Device = "auto",
    seed: Seed = 0,
    protocol: Protocol = None,
    size: SizeName = "cpu",
    anatomies: Anatomies = None,
    shapes: Shapes = None,
    segmenter: StudySegmenter = "liver_t2",
    pretrained: Pretrained = "",
) -> None:
    """Evaluate classifiers on cases that they have not seen: AUC, calibration, comparisons, strata, report."""
    with faults_in_one_line():
        refuse_unused_options(context, study=protocol is not None)
        from pipeline.cohort.manifest import CutOffs

        cut_offs = CutOffs(lsm_cut, metavir_cut.upper())
    if protocol:
        from pipeline.paper_study.plan import SIZES, StudyOptions

        study = StudyOptions(
            manifest=manifest,
            anatomies=anatomies,
            shapes=shapes,
            size=SIZES[size],
            segmenter=segmenter,
            cut_offs=cut_offs,
            pretrained=pretrained,
            device=device,
        )
        run_study(out, study)
        return
    with faults_in_one_line(), progress_bar() as progress:
        if manifest is None:
            raise ManifestError("Name a cohort manifest, or give --protocol paper.")
        from pipeline.evaluation import classifier

        options = classifier.EvaluationOptions(
            split=split, prevalence=prevalence, cut_offs=cut_offs, seed=seed, device=device
        )
        report = case_by_case(progress, "Predicting cases")
        found = classifier.evaluate(manifest, models, out, options, progress=report)
    print_evaluation(found)


def refuse_unused_options(context: typer.Context, *, study: bool) -> None:
    """Refuse options that belong to the other kind of run.

    Raises:
        ManifestError: such an option is given.
    """
    if study and (given := given_options(context, "models", "split", "prevalence", "seed")):
        raise ManifestError(f"A study has its own {' and '.join(given)}; leave them out beside --protocol.")
    if not study and (given := given_options(context, "size", "anatomies", "shapes", "segmenter", "pretrained")):
        raise ManifestError(f"Only a study takes {' and '.join(given)}; add --protocol paper, or leave them out.")


def given_options(context: typer.Context, *names: str) -> list[str]:
    """Those of the options that the command line gives."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return [name for name, source in sources.items() if source is not None and source.name != "DEFAULT"]


def print_evaluation(found: Evaluation) -> None:
    """Print statements and AUCs of an evaluation."""
    from pipeline.statistics.estimate import NOT_ESTIMABLE

    table = Table("model", "cases", "positive", "AUC", "95 % interval")
    for name, model in found.models.items():
        area = model.measures["auc"]
        value, low, high = area.estimate
        figures = (f"{value:.3f}", f"{low:.3f} to {high:.3f}") if area.estimate.known else (NOT_ESTIMABLE, "")
        table.add_row(name, str(area.cases), str(area.positives), *figures)
    for words in found.statements:
        typer.echo(words)
    answer_console().print(table)
    typer.echo("report.html, evaluation.json, cases.csv and predictions.csv are written.")


def run_study(out: Path, options: StudyOptions) -> None:
    """Run the paper's study, its log on standard error and its table on standard output."""
    with faults_in_one_line(), log_shown():
        from pipeline.paper_study import protocol

        report = protocol.run_protocol(out, options)
    typer.echo((out / "table.md").read_text(encoding="utf-8"))
    typer.echo(f"{report.name}, protocol.json and table.csv are written.")
