"""The command line: ``python -m pipeline COMMAND --help``."""

from __future__ import annotations

import typer

from pipeline import RESEARCH_USE
from pipeline.commands import (
    analyze,
    cohorts,
    deploy,
    evaluate,
    heat,
    login,
    models,
    mrmc,
    quality,
    reviews,
    study,
    study_report,
    training,
)

app = typer.Typer(
    help="Liver MRI: segmentation, fibrosis classification, training. " + RESEARCH_USE,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
for command in (
    analyze.analyze,
    cohorts.import_cirrmri600,
    cohorts.simulate,
    cohorts.predict_masks,
    training.train_segmenter,
    training.evaluate_segmenter,
    training.train_classifier,
    training.training_config,
    quality.evaluate_corruptions,
    quality.train_quality,
    evaluate.evaluate,
    heat.evaluate_heat,
    mrmc.mrmc,
    deploy.deploy,
    login.login,
):
    app.command()(command)
app.command("contact-sheet")(cohorts.draw_contact_sheet)
app.add_typer(models.app, name="models")
app.add_typer(reviews.app, name="reviews")
for study_command in (study_report.report, study_report.power, study_report.export_masks):
    study.app.command()(study_command)
app.add_typer(study.app, name="study")

if __name__ == "__main__":
    app(prog_name="python -m pipeline")
