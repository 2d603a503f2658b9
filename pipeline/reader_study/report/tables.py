"""The tables of the report, for the page and for the PDF."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.evaluation.pages import Table, table
from pipeline.exports.mrmc_wording import FIGURE_WORDS, GENERALISATION_WORDS, p_words
from pipeline.reader_study.analysis.comparison import ArmComparison
from pipeline.reader_study.analysis.consistency import MODEL
from pipeline.reader_study.analysis.reader_arms import Calls
from pipeline.reader_study.analysis.reliance import Reliance
from pipeline.reader_study.analysis.study import StudyAnalysis
from pipeline.reader_study.report.sentences import ANSWER_WORDS
from pipeline.statistics.agreement import Agreement
from pipeline.statistics.estimate import NOT_ESTIMABLE, Estimate

MOST_READERS_IN_PAIRS = 5
MEASURE_WORDS = {"fleiss_kappa": "Fleiss' kappa", "icc_2_1": "ICC(2,1)"}


class Section(NamedTuple):
    """A table under its title."""

    title: str
    table: Table


def sections(analysis: StudyAnalysis) -> list[Section]:
    """All tables that have a row, in the order of the report."""
    return [section for section in _sections(analysis) if section.table.rows]


def _sections(analysis: StudyAnalysis) -> Iterator[Section]:
    yield Section("Aided against unaided over readers and cases", comparison_table(analysis))
    yield Section("Each reader in each arm", arm_table(analysis))
    if any(arm.not_assessable for arm in analysis.arms):
        yield Section("The same without the reads that were not assessable", assessable_table(analysis))
    yield Section("Each reader, aided minus unaided", difference_table(analysis))
    yield Section("Changes of verdict, and whether the model was right", reliance_table(analysis))
    yield Section("Accuracy where the model was right and wrong", accuracy_table(analysis))
    yield Section("Changes of verdict by reader", changes_table(analysis))
    yield Section("Accuracy by segmentation score", score_table(analysis))
    yield Section("Agreement of all readers", over_readers_table(analysis))
    yield Section("Kappa of two readers, and with the model", kappa_table(analysis))


def comparison_table(analysis: StudyAnalysis) -> Table:
    head = ["", "Aided", "Unaided", *(f"Difference: {words}" for words in GENERALISATION_WORDS.values())]
    rows = [_comparison_row(one, "primary" if one is analysis.primary else "") for one in analysis.comparisons]
    if analysis.readings.corrections:
        rows.append(_comparison_row(analysis.corrected, "latest corrections"))
    return table(head, [row for row in rows if row], "Means over readers; differences with 95 % interval and p.")


def _comparison_row(found: ArmComparison, note: str) -> list[str]:
    if found.analysis is None:
        return []
    name = FIGURE_WORDS[found.figure_of_merit] + (f" ({note})" if note else "")
    pairs = [found.analysis.inferences[one].pairwise[0] for one in GENERALISATION_WORDS]
    cells = [f"{signed(Estimate(pair.value, pair.low, pair.high))}; {p_words(pair.p)}" for pair in pairs]
    return [name, *(f"{mean:.3f}" for mean in found.analysis.means), *cells]


def arm_table(analysis: StudyAnalysis) -> Table:
    head = ["Reader", "Arm", "Reads", "Not assessable", "AUC", "Sensitivity", "Specificity", "Accuracy", "Median, s"]
    rows = [
        [
            one.reader,
            one.arm,
            str(one.reads),
            str(one.not_assessable),
            str(one.auc),
            *_calls(one.calls),
            seconds(one.median_seconds),
        ]
        for one in analysis.arms
    ]
    return table(head, rows, "Not assessable counts as wrong. 95 % intervals in parentheses.")


def assessable_table(analysis: StudyAnalysis) -> Table:
    rows = [
        [one.reader, one.arm, str(one.reads - one.not_assessable), *_calls(one.assessable)] for one in analysis.arms
    ]
    return table(["Reader", "Arm", "Reads", "Sensitivity", "Specificity", "Accuracy"], rows)


def _calls(calls: Calls) -> list[str]:
    return [str(calls.sensitivity), str(calls.specificity), str(calls.accuracy)]


def difference_table(analysis: StudyAnalysis) -> Table:
    head = ["Reader", "Cases", "AUC", "Sensitivity", "Specificity", "Accuracy", "Median, s"]
    rows = [
        [
            one.reader,
            str(one.cases),
            *map(signed, (one.auc, one.sensitivity, one.specificity, one.accuracy)),
            seconds(one.median_seconds),
        ]
        for one in analysis.differences
    ]
    return table(head, rows, "On the cases read in both arms.")


def reliance_table(analysis: StudyAnalysis) -> Table:
    head = ["Model", "Pairs", "Cases", "Better", "Worse", "As before", "Right after wrong", "Wrong after right"]
    rows = []
    for one in _with_pairs(analysis):
        counted = zip(one.counts, (one.better, one.worse, one.same), strict=True)
        shares = [*(f"{count}: {share}" for count, share in counted), str(one.corrected), str(one.misled)]
        rows.append([one.model, str(one.pairs), str(one.cases), *shares])
    return table(head, rows, "A pair is both reads of a case by a reader. Intervals are over cases.")


def accuracy_table(analysis: StudyAnalysis) -> Table:
    head = ["Model", "Accuracy unaided", "Accuracy aided", "Difference"]
    head += ["Verdict as the model's, unaided", "Verdict as the model's, aided"]
    rows = [
        [one.model, str(one.unaided), str(one.aided), signed(one.difference), *map(str, one.with_model)]
        for one in _with_pairs(analysis)
    ]
    return table(head, rows, "The same pairs.")


def _with_pairs(analysis: StudyAnalysis) -> list[Reliance]:
    return [one for one in analysis.reliance if one.pairs]


def changes_table(analysis: StudyAnalysis) -> Table:
    rows = [
        [one.reader, one.model, str(one.pairs), str(one.better), str(one.worse), str(one.same)]
        for one in analysis.changes
        if one.pairs
    ]
    return table(["Reader", "Model", "Pairs", "Better", "Worse", "As before"], rows)


def score_table(analysis: StudyAnalysis) -> Table:
    head = ["Score", "given by", "Pairs", "Cases", "Model right", "Readers right, unaided", "aided"]
    rows = [
        [str(one.score), one.given_by, str(one.pairs), str(one.cases), str(one.model), str(one.unaided), str(one.aided)]
        for one in analysis.scores
    ]
    return table(head, rows, "1: usable as it is; 3: a part is missing or other tissue included.")


def over_readers_table(analysis: StudyAnalysis) -> Table:
    rows = [
        [ANSWER_WORDS[one.answer], one.arm, MEASURE_WORDS[one.measure], str(one.readers), *_agreement(one.agreement)]
        for one in analysis.over_readers
    ]
    return table(["Answer", "Arm", "Measure", "Readers", "Cases", "Estimate"], rows)


def kappa_table(analysis: StudyAnalysis) -> Table:
    """All pairs; of many readers only those with the model, since pairs grow with the square of the readers."""
    many = len(analysis.readings.readers) > MOST_READERS_IN_PAIRS
    rows = [
        [ANSWER_WORDS[one.answer], one.arm, one.first, one.second, *_agreement(one.agreement)]
        for one in analysis.kappas
        if one.agreement.cases and (one.second == MODEL or not many)
    ]
    more = " Pairs of readers are in the figure and in kappas.csv." if many else ""
    return table(["Answer", "Arm", "", "", "Cases", "Kappa"], rows, f"Weights as in the methods.{more}")


def _agreement(found: Agreement) -> list[str]:
    return [str(found.cases), f"undefined: {found.undefined}" if found.undefined else str(found.estimate)]


def signed(estimate: Estimate) -> str:
    """A difference with its interval, signs written."""
    if not estimate.known:
        return NOT_ESTIMABLE
    if not estimate.bounded:
        return f"{estimate.value:+.3f}"
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"


def seconds(estimate: Estimate) -> str:
    """A time with its interval, in whole seconds."""
    if not estimate.known:
        return NOT_ESTIMABLE
    if not estimate.bounded:
        return f"{estimate.value:.0f}"
    return f"{estimate.value:.0f} ({estimate.low:.0f} to {estimate.high:.0f})"
