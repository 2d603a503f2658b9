"""``models``: list, show, install and export segmenters and classifiers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pipeline.commands.shared import Out, answer_console, faults_in_one_line, log_shown, progress_bar

if TYPE_CHECKING:
    from models.registry import ModelFolder

app = typer.Typer(help="List, show, install and export segmenters and classifiers.", no_args_is_help=True)
SIMULATED = {True: "yes", False: "no", None: "not stated"}


@app.command("list")
def list_models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False) -> None:
    """List the models that can be chosen by name: those that ship and those that this site installed."""
    with faults_in_one_line():
        from models import registry

        rows = [_row(model) for model in registry.installed()]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table(box=None, header_style="bold")
    for heading in ("name", "kind", "members", "trained on", "simulated", "licence", "size", "from"):
        table.add_column(heading, no_wrap=heading == "name", overflow="fold")
    for row in rows:
        table.add_row(
            row["name"],
            row["kind"],
            str(len(row["members"])),
            row["trained_on"],
            SIMULATED[row["simulated"]],
            row["licence"],
            f"{row['size_bytes'] / 1e6:.1f} MB",
            "the app" if row["shipped"] else "this site",
        )
    answer_console().print(table, markup=False)


@app.command()
def show(name: Annotated[str, typer.Argument(help="Name or folder; liver_t2/fold1 for one member.")]) -> None:
    """Show what a model's model.json says, its cross-validated figures, its hash and its folder."""
    with faults_in_one_line():
        from models import registry

        model = registry.find(name)
        facts = {"name": model.name} | {k: v for k, v in model.info.items() if k not in ("schema", "name", "sha256")}
        facts["simulated"] = SIMULATED[model.description.simulated]
        facts["sha256 of the weights"], facts["sha256 of the whole model"] = model.sha256, model.whole_sha256
        facts["folder"] = str(model.folder)
        figures = _figures(model)
    console = answer_console()
    for key, value in facts.items():
        text = value if isinstance(value, str) else json.dumps(value)
        console.print(f"{key}: {text}", markup=False, highlight=False)
    if figures:
        console.print(f"cross-validation:\n{figures}", markup=False, highlight=False)


@app.command()
def install(
    source: Annotated[str, typer.Argument(help="A model folder, or OWNER/NAME@COMMIT of the Hugging Face Hub.")],
    name: Annotated[str | None, typer.Option(help="What it is called here; else as its folder or repository.")] = None,
    sha256: Annotated[str | None, typer.Option(help="Of the whole model, as show prints it.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of an installed model.")] = False,
) -> None:
    """Check a model and install it for this site; one that is refused changes nothing."""
    with faults_in_one_line(), progress_bar() as progress:
        progress.add_task("Checking files, hashes and networks", total=None)
        from models.install import install as install_model
        from pipeline.trial_run import try_out

        model = install_model(source, try_out, name=name, sha256=sha256, replace=replace)
    typer.echo(f"Installed the {model.description.kind} {model.name}, sha256 {model.whole_sha256}.")
    typer.echo("An app that is running offers it after its next start.")


@app.command()
def export(
    result: Annotated[
        Path, typer.Argument(help="Result folder of an nnU-Net v2 training, with plans.json and fold_*.")
    ],
    out: Out,
    trained_on: Annotated[str, typer.Option(help="Shown beside every result.")],
    licence: Annotated[str, typer.Option(help="Of the weights, from their data.")] = "unknown",
    orientation: Annotated[str, typer.Option(help="Axis code of the images it was trained on.")] = "LPS",
    simulated: Annotated[bool, typer.Option("--simulated", help="The images were simulated.")] = False,
) -> None:
    """Turn an nnU-Net v2 model that was trained elsewhere, liver-only ones too, into a folder to install."""
    with faults_in_one_line(), log_shown():
        from pipeline.training.segmenter import export as segmenter_export
        from pipeline.training.segmenter.options import ExportOptions

        options = ExportOptions(trained_on, licence, orientation, simulated=simulated)
        segmenter_export.convert(result, out, options=options)


def _row(model: ModelFolder) -> dict[str, Any]:
    from models import registry

    description = model.description
    files = [model.folder / file for member in model.members for file in model.weights(member)]
    return {
        "name": model.name,
        "kind": description.kind,
        "members": list(model.members),
        "trained_on": description.trained_on,
        "simulated": description.simulated,
        "licence": description.licence,
        "size_bytes": sum(file.stat().st_size for file in files if file.is_file()),
        "sha256": model.sha256,
        "whole_sha256": model.whole_sha256,
        "shipped": model.folder.parent == registry.SHIPPED,
    }


def _figures(model: ModelFolder) -> str:
    """A segmenter's cross-validation, summarised by organ; a classifier's figures are in its ``model.json``."""
    from models.measured import EVALUATION, read_measured
    from pipeline.training.segmenter.tables import summarise

    table = read_measured(model.folder, EVALUATION)
    return "" if table is None else summarise(table).round(3).to_string(index=False)
