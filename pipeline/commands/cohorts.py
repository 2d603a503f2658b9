"""The commands that make, bring in and show cohorts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.commands.shared import Device, Exact, Out, Seed, case_by_case, faults_in_one_line, progress_bar
from pipeline.simulation.options import PHANTOMS, SimulationOptions

OPTIONS = SimulationOptions()


def import_cirrmri600(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="The unpacked CirrMRI600+.")],
    out: Out,
) -> None:
    """Import the T2 part of CirrMRI600+ as nnU-Net raw data with a manifest; published splits are kept."""
    with faults_in_one_line(), progress_bar() as progress:
        from pipeline.cohort import cirrmri600

        imported = cirrmri600.import_cirrmri600(source, out, progress=case_by_case(progress, "Checking volumes"))
    typer.echo(imported.table.to_string(index=False))
    typer.echo(f"{imported.linked} files hard-linked, {imported.copied} copied, into {out}")
    for faults, words in (
        (imported.case_faults, "files are missing or wrong; their cases were left out:"),
        (imported.table_faults, "faults in the tables of age and sex; their cases were imported, with empty cells:"),
    ):
        if faults:
            typer.echo("\n  ".join([f"{len(faults)} {words}", *faults]))


def simulate(
    out: Out,
    cases: Annotated[int, typer.Option(help="Training cases, labelled by stiffness.")] = OPTIONS.cases,
    test: Annotated[int, typer.Option(help="Additional test cases with histology, of other anatomies.")] = OPTIONS.test,
    seed: Seed = OPTIONS.seed,
    anatomies: Annotated[
        Path | None, typer.Option(help="Folder with imagesTr and labelsTr (or images and labels), or a manifest.")
    ] = None,
    shapes: Annotated[
        Path | None,
        typer.Option(help="Folder of label maps: painted as further anatomies, and shapes for --anatomies."),
    ] = None,
    phantoms: Annotated[
        int | None, typer.Option(help=f"Phantom anatomies (default: {PHANTOMS} without other anatomies, else none).")
    ] = OPTIONS.phantoms,
    sites: Annotated[int, typer.Option(help="Sites, each with its own scanner.")] = OPTIONS.sites,
    confounding: Annotated[
        float, typer.Option(help="Share of the cases whose site is determined by the label.")
    ] = OPTIONS.confounding,
    poor_masks: Annotated[
        float, typer.Option(help="Share of the cases with a poor segmentation.")
    ] = OPTIONS.poor_masks,
    sign_maps: Annotated[
        bool, typer.Option("--sign-maps", help="Write where texture signs were drawn, into signs/.")
    ] = OPTIONS.sign_maps,
    workers: Annotated[int, typer.Option(help="Worker processes; voxels do not depend on it.")] = OPTIONS.workers,
    contact_sheet: Annotated[Path | None, typer.Option(help="Draw some cases of every stage into this PNG.")] = None,
) -> None:
    """Simulate a cohort with fibrosis: images, masks and a manifest to train and test a classifier on."""
    options = SimulationOptions(
        cases=cases,
        test=test,
        seed=seed,
        phantoms=phantoms,
        sites=sites,
        confounding=confounding,
        poor_masks=poor_masks,
        sign_maps=sign_maps,
        workers=workers,
    )
    with faults_in_one_line(), progress_bar() as progress:
        from pipeline.simulation import simulate as simulation

        manifest = simulation.simulate(
            out,
            options=options,
            anatomies=anatomies,
            shapes=shapes,
            progress=case_by_case(progress, "Making cases"),
        )
    typer.echo(f"{cases + test} cases in {manifest}")
    if contact_sheet:
        draw_contact_sheet(manifest, contact_sheet)


def predict_masks(
    manifest: Annotated[Path, typer.Argument(help="Cohort manifest (CSV).")],
    out: Out,
    segmenter: Annotated[str, typer.Option(help="Segmenter by name or folder.")] = "liver_t2",
    members: Annotated[
        Literal["one", "all"], typer.Option(help="One or all of the members that have not seen the case.")
    ] = "one",
    exact: Exact = False,
    device: Device = "auto",
) -> None:
    """Write a copy of a cohort with masks by a segmenter; an interrupted run can be resumed."""
    with faults_in_one_line(), progress_bar() as progress:
        from pipeline.cohort.cohort_segmenter import MaskOptions
        from pipeline.cohort.predicted_masks import predict_masks as predict

        options = MaskOptions(segmenter, members=members, exact=exact, device=device)
        masked = predict(manifest, out, options, progress=case_by_case(progress, "Segmenting cases"))
    typer.echo(f"{masked.cases} cases in {masked.manifest}, {masked.segmented} segmented in this run")
    if len(masked.dice):
        average, worst = masked.dice.mean(), masked.dice.min()
        typer.echo(f"Liver Dice of {len(masked.dice)} cases: mean {average:.3f}, worst {worst:.3f}")
    if not masked.cases_known:
        typer.echo(f"{segmenter} does not list the cases of its training; leakage is not checked.")
    for reason, count in masked.left_out["reason"].value_counts().items():
        typer.echo(f"{count} left out: {reason}")


def draw_contact_sheet(
    manifest: Annotated[Path, typer.Argument(help="Manifest of a simulated cohort (CSV).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG or PDF to write.")],
    columns: Annotated[int, typer.Option(min=1, help="Cases per stage.")] = 5,
) -> None:
    """Draw some cases of every stage on one page, for a radiologist to judge the simulated signs."""
    with faults_in_one_line():
        from pipeline.simulation import contact_sheet

        typer.echo(f"Contact sheet in {contact_sheet.contact_sheet(manifest, out, columns=columns)}")
