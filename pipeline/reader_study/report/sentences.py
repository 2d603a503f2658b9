"""What the report says in sentences: state of the study, findings, what is not estimable, cautions."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pipeline.exports.mrmc_wording import FIGURE_WORDS, cautions, conclusions
from pipeline.reader_study.analysis.comparison import ArmComparison
from pipeline.reader_study.analysis.reliance import Reliance
from pipeline.reader_study.analysis.study import StudyAnalysis
from pipeline.reader_study.protocol import Design
from pipeline.reader_study.readings import StudyReadings
from pipeline.statistics.estimate import Estimate

AUTOMATION_BIAS = "Readers followed the model when it was wrong (automation bias)."
"""Said where the model was wrong and the interval of the change in accuracy lies below 0."""
ANSWER_WORDS = {"verdict": "verdict", "suspicion": "suspicion", "segmentation": "segmentation score"}


def state_words(readings: StudyReadings) -> str:
    """The report's first sentence where the study is not closed or not complete; else empty."""
    reads = f"{len(readings.first)} of {readings.expected} reads"
    if not readings.closed:
        return f"Interim: {reads}. The study is not closed; these figures are not its result."
    return "" if readings.complete else f"Closed with {reads}."


def findings(analysis: StudyAnalysis) -> list[str]:
    """The primary result first; then corrections, reliance on the model, agreement."""
    found = [_comparison_words(analysis.primary, "Primary analysis")]
    if analysis.readings.corrections:
        found.append(_comparison_words(analysis.corrected, "With the latest corrections"))
    right, wrong, _ = analysis.reliance
    found += [reliance_words(right), reliance_words(wrong)]
    for one in analysis.over_readers:
        if one.measure == "icc_2_1" and one.agreement.estimate.known:
            found.append(f"Agreement of the readers' suspicion, {one.arm}: ICC(2,1) {one.agreement.estimate}.")
    return [words for words in found if words]


def not_estimable(analysis: StudyAnalysis) -> list[str]:
    """Every figure that could not be computed, with its reason; alike ones in one sentence."""
    return [*dict.fromkeys((*_without_comparison(analysis), *_without_auc(analysis), *_without_agreement(analysis)))]


def limits(analysis: StudyAnalysis) -> list[str]:
    """What a reader of the figures must know."""
    readings, primary = analysis.readings, analysis.primary
    found = [*_gaps(analysis)]
    if primary.analysis is not None:
        found += cautions(primary.analysis)
    if count := readings.shown_otherwise():
        found.append(f"{count} aided reads were made with another result of the model than the one that is stored.")
    unclassified = sum(case.model_positive is None for case in readings.cases)
    if unclassified:
        found.append(f"{unclassified} cases have no verdict of the model; they are in no figure that needs one.")
    if readings.protocol.design is Design.CROSSOVER:
        found.append(
            "In a crossover the two reads of a case are weeks apart: changes of verdict hold the readers' own "
            "variation beside the effect of the model."
        )
    return found


def _comparison_words(found: ArmComparison, head: str) -> str:
    figure = FIGURE_WORDS[found.figure_of_merit]
    if found.analysis is None:
        return f"{head}: the {figure} could not be compared between the arms."
    return f"{head}: {conclusions(found.analysis)[0]}"


def reliance_words(found: Reliance) -> str:
    """Changes of verdict in one sentence, and whether they show automation bias; empty without pairs."""
    if not found.pairs:
        return ""
    better, worse, _ = found.counts
    words = (
        f"Where the model was {found.model} ({found.pairs} pairs of reads, {found.cases} cases), readers changed for "
        f"the better in {better} and for the worse in {worse}; accuracy {found.unaided.value:.3f} unaided, "
        f"{found.aided.value:.3f} aided, difference {_signed(found.difference)}."
    )
    if found.model == "wrong" and found.difference.bounded and found.difference.high < 0:
        words += f" {AUTOMATION_BIAS}"
    return words


def _without_comparison(analysis: StudyAnalysis) -> Iterator[str]:
    for found in analysis.comparisons:
        figure = FIGURE_WORDS[found.figure_of_merit]
        if found.analysis is None:
            yield f"Aided against unaided, {figure}: {found.why_not.removesuffix('.')}."
        elif math.isnan(found.analysis.inferences["rrrc"].test.p):
            yield f"Aided against unaided, {figure}: no test over readers and cases."


def _without_auc(analysis: StudyAnalysis) -> Iterator[str]:
    for arm in analysis.arms:
        if not arm.auc.known:
            yield f"AUC of {arm.reader}, {arm.arm}: {arm.auc_method}."
        elif "degenerates" in arm.auc_method:
            yield f"AUC of {arm.reader}, {arm.arm}: DeLong's interval degenerates; Newcombe's is given."


def _without_agreement(analysis: StudyAnalysis) -> Iterator[str]:
    for kappa in analysis.kappas:
        if kappa.agreement.undefined:
            answer = ANSWER_WORDS[kappa.answer]
            yield (
                f"Kappa of {kappa.first} and {kappa.second}, {answer}, {kappa.arm}: undefined, "
                f"{kappa.agreement.undefined}."
            )
    for one in analysis.over_readers:
        if one.agreement.undefined:
            measure = "ICC(2,1)" if one.measure == "icc_2_1" else "Fleiss' kappa"
            yield f"{measure}, {ANSWER_WORDS[one.answer]}, {one.arm}: undefined, {one.agreement.undefined}."


def _gaps(analysis: StudyAnalysis) -> Iterator[str]:
    """What is missing, and what each analysis does without it."""
    readings, primary = analysis.readings, analysis.primary
    if missing := readings.missing():
        words = ", ".join(f"{reader} {arm} {count}" for (reader, arm), count in missing.items())
        yield (
            f"Missing reads: {sum(missing.values())} ({words}). A reader's own figures are over his or her own reads; "
            "paired figures over the cases read in both arms."
        )
    if primary.readers_left_out:
        names = ", ".join(primary.readers_left_out)
        yield f"Not in the comparison, since they have no read in one of the arms: {names}."
    if primary.cases_left_out:
        yield (
            f"{primary.cases_left_out} of {len(readings.cases)} cases are not in the comparison, since a reader lacks "
            "a read of them; this is right only where reads are missing by chance."
        )


def _signed(estimate: Estimate) -> str:
    if not estimate.bounded:
        return f"{estimate.value:+.3f}, interval not estimable"
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"
