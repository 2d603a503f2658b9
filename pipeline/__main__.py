"""The command line: ``python -m pipeline COMMAND --help``."""

from __future__ import annotations

import typer

from pipeline import RESEARCH_USE
from pipeline.commands import analyze, training

app = typer.Typer(
    help="Liver MRI: segmentation, fibrosis classification, training. " + RESEARCH_USE,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
for command in (
    analyze.analyze,
    training.simulate,
    training.train_segmenter,
    training.evaluate_segmenter,
    training.convert_segmenter,
    training.train_classifier,
):
    app.command()(command)

if __name__ == "__main__":
    app(prog_name="python -m pipeline")
