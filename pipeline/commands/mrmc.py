"""``mrmc``: multi-reader multi-case analysis of a table of readings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from pipeline.commands.shared import WRONG_INPUT, answer_console, faults_in_one_line
from pipeline.errors import ReadingsError

if TYPE_CHECKING:
    from pipeline.cohort.reading_table import ReadingTable
    from pipeline.statistics.mrmc import MrmcAnalysis
    from pipeline.statistics.obuchowski_rockette import EqualityTest, Generalisation

RATINGS = typer.Argument(
    help="CSV file with the columns reader, modality (or treatment), case, truth, rating; a line for each reading."
)
METHOD = typer.Option(help="How covariances are estimated.")
FOM = typer.Option(help="Figure of merit.")
THRESHOLD = typer.Option(help="For sensitivity and specificity: a rating from here on counts as positive.")
POSITIVE = typer.Option(help="Value of 'truth' that has the condition (default: 1, yes, positive).")
COMPLETE = typer.Option("--complete-cases", help="Leave out cases that some reader did not read with every modality.")
OUTPUT = typer.Option("--output", "-o", help="JSON file to write.")


def mrmc(
    ratings: Annotated[Path, RATINGS],
    method: Annotated[Literal["jackknife", "delong"], METHOD] = "jackknife",
    fom: Annotated[Literal["auc", "sensitivity", "specificity"], FOM] = "auc",
    threshold: Annotated[float | None, THRESHOLD] = None,
    positive: Annotated[str | None, POSITIVE] = None,
    complete_cases: Annotated[bool, COMPLETE] = False,
    output: Annotated[Path | None, OUTPUT] = None,
) -> None:
    """Compare modalities over readers and cases (Obuchowski-Rockette analysis with Hillis' degrees of freedom)."""
    with faults_in_one_line():
        from models.files import write_json
        from pipeline.cohort.reading_table import read_readings
        from pipeline.exports.mrmc_json import mrmc_json
        from pipeline.statistics.mrmc import analyse_readings

        if output is not None and output.is_dir():
            typer.echo("The output is a folder; name a JSON file with -o.", err=True)
            raise typer.Exit(WRONG_INPUT)
        if fom == "auc" and threshold is not None:
            raise ReadingsError("An AUC needs no threshold; leave it out, or name --fom sensitivity or specificity.")
        table = read_readings(ratings, positive=positive, complete_cases=complete_cases)
        found = analyse_readings(table.readings, fom, method, threshold)
        if output is not None:
            write_json(output, mrmc_json(found, table.cases_left_out))
    print_analysis(found, table)


def print_analysis(found: MrmcAnalysis, table: ReadingTable) -> None:
    """Print conclusions, tables and cautions."""
    from pipeline.exports.mrmc_wording import cautions, conclusions

    console, readings = answer_console(), found.readings
    positives = int(readings.positive.sum())
    _say(
        console,
        f"{len(readings.readers)} readers, {len(readings.modalities)} modalities, {len(readings.positive)} cases: "
        f"{positives} with and {len(readings.positive) - positives} without the condition. "
        f"Covariances by {'the jackknife' if found.method == 'jackknife' else 'DeLong'}.",
    )
    for words in conclusions(found):
        _say(console, words)
    for one in (_readers(found), _means(found), _tests(found), _pairs(found), _spread(found)):
        if one is not None:
            console.print(one)
    for words in cautions(found, table.cases_left_out):
        _say(console, f"Note: {words}")


def _say(console: Console, words: str) -> None:
    console.print(words, markup=False, highlight=False)


def _table(title: str, *headings: str) -> Table:
    from rich.markup import escape

    found = Table(title=title, title_justify="left", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for place, heading in enumerate(headings):
        found.add_column(escape(heading), justify="right" if place else "left")
    return found


def _row(table: Table, *cells: str) -> None:
    from rich.markup import escape

    table.add_row(*(escape(cell) for cell in cells))


def _readers(found: MrmcAnalysis) -> Table:
    from pipeline.exports.mrmc_wording import FIGURE_WORDS

    table = _table(f"\n{FIGURE_WORDS[found.fom]} of each reader (95 % interval)", "reader", *found.readings.modalities)
    for reader, estimates in zip(found.readings.readers, zip(*found.intervals, strict=True), strict=True):
        _row(table, reader, *map(str, estimates))
    return table


def _means(found: MrmcAnalysis) -> Table:
    from pipeline.exports.mrmc_wording import FIGURE_WORDS, GENERALISATION_WORDS

    table = _table(
        f"\nMean {FIGURE_WORDS[found.fom]} (95 % interval for ...)", "modality", *GENERALISATION_WORDS.values()
    )
    for number, modality in enumerate(found.readings.modalities):
        singles = [found.inferences[name].single[number] for name in GENERALISATION_WORDS]
        _row(table, modality, *(_with_interval(one.value, one.low, one.high) for one in singles))
    return table


def _tests(found: MrmcAnalysis) -> Table | None:
    from pipeline.exports.mrmc_wording import GENERALISATION_WORDS, p_words

    if len(found.readings.modalities) == 1:
        return None
    table = _table("\nAre the modalities equal? A test for ...", "", "statistic", "p")
    for name, words in GENERALISATION_WORDS.items():
        test = found.inferences[name].test
        _row(table, words, _statistic(name, test), p_words(test.p).removeprefix("p ").removeprefix("= "))
    return table


def _statistic(name: Generalisation, test: EqualityTest) -> str:
    if math.isnan(test.statistic):
        return "not estimable"
    if name == "frrc":
        return f"chi2({test.df1:.0f}) = {test.statistic:.3f}"
    df = "inf" if math.isinf(test.df2) else f"{test.df2:.1f}".removesuffix(".0")
    return f"F({test.df1:.0f}, {df}) = {test.statistic:.3f}"


def _pairs(found: MrmcAnalysis) -> Table | None:
    from pipeline.exports.mrmc_wording import GENERALISATION_WORDS, p_words

    if len(found.readings.modalities) == 1:
        return None
    table = _table("\nDifferences (95 % interval; p) for ...", "", *GENERALISATION_WORDS.values())
    by_pair = zip(*(found.inferences[name].pairwise for name in GENERALISATION_WORDS), strict=True)
    for pairs in by_pair:
        a, b = (found.readings.modalities[number] for number in (pairs[0].first, pairs[0].second))
        cells = [f"{_with_interval(one.value, one.low, one.high)}; {p_words(one.p)}" for one in pairs]
        _row(table, f"{a} - {b}", *cells)
    for reader, pairs in zip(found.readings.readers, found.by_reader, strict=True):
        for one in pairs:
            a, b = (found.readings.modalities[number] for number in (one.first, one.second))
            _row(
                table,
                f"reader {reader}: {a} - {b}",
                "",
                f"{_with_interval(one.value, one.low, one.high)}; {p_words(one.p)}",
            )
    return table


def _spread(found: MrmcAnalysis) -> Table:
    table = _table("\nFor planning and for the methods section", "", "estimate")
    named = {
        "MS(modality)": found.ms.t,
        "MS(reader)": found.ms.r,
        "MS(modality x reader)": found.ms.tr,
        "Var (error)": found.cov.var,
        "Cov1 (same reader)": found.cov.cov1,
        "Cov2 (same modality)": found.cov.cov2,
        "Cov3 (neither)": found.cov.cov3,
        "Variance of readers": found.components.reader,
        "Variance of modality x reader": found.components.reader_modality,
    }
    for name, value in named.items():
        if not math.isnan(value):
            _row(table, name, f"{value:.8f}")
    return table


def _with_interval(value: float, low: float, high: float) -> str:
    from pipeline.statistics.estimate import Estimate

    return str(Estimate(value, low, high))
