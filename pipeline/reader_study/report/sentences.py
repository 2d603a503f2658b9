"""What the report says in sentences: state of the study, findings, what is not estimable, cautions."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pipeline.exports.mrmc_wording import FIGURE_WORDS, cautions, conclusions
from pipeline.reader_study.analysis.comparison import ArmComparison
from pipeline.reader_study.analysis.reliance import Reliance
from pipeline.reader_study.analysis.study import StudyAnalysis
from pipeline.reader_study.protocol import Design, Protocol
from pipeline.reader_study.readings import StudyReadings
from pipeline.reader_study.work_list import AIDED, UNAIDED, arms_of
from pipeline.statistics.estimate import Estimate
from pipeline.statistics.mrmc import MrmcAnalysis

AUTOMATION_BIAS = "Readers followed the model when it was wrong (automation bias)."
"""Said where the model was wrong, the interval of the change in accuracy lies below 0, and at least half of the fall is
the model's own verdicts taken over."""
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
    if trained_on := {case.trained_on for case in readings.cases if case.trained_on}:
        found.append(f"The classifier was trained on {', '.join(sorted(trained_on))}.")
    return [*found, *_of_design(analysis)]


def _of_design(analysis: StudyAnalysis) -> Iterator[str]:
    """What the design itself leaves open."""
    protocol, primary = analysis.readings.protocol, analysis.primary
    if protocol.design is Design.SEQUENTIAL:
        yield (
            "The aided read is always the second look at a case: the difference holds a second look beside the effect "
            "of the model."
        )
        return
    yield (
        "In a crossover the two reads of a case are weeks apart: changes of verdict hold the readers' own variation "
        "beside the effect of the model."
    )
    yield (
        "The sitting (first or second) is not modelled. One reader's own difference between the arms is also one "
        "between sittings, and nothing separates the two; over readers they cancel only where as many began with each "
        "arm."
    )
    if primary.analysis is not None:
        yield _by_order(protocol, primary.analysis)


def _by_order(protocol: Protocol, found: MrmcAnalysis) -> str:
    """Mean difference of the readers who began with each arm, and the mean of both: it is free of a common effect of
    the sitting."""
    modalities, values = list(found.readings.modalities), found.figures.values
    differences = values[modalities.index(AIDED)] - values[modalities.index(UNAIDED)]
    groups: dict[str, list[float]] = {UNAIDED: [], AIDED: []}
    for reader, difference in zip(found.readings.readers, differences, strict=True):
        groups[arms_of(protocol, reader)[0]].append(float(difference))
    if not all(groups.values()):
        return "All readers in the comparison began with the same arm: model and sitting cannot be told apart."
    means = {arm: sum(of) / len(of) for arm, of in groups.items()}
    words = "; ".join(f"{len(of)} who began {arm}: {means[arm]:+.3f}" for arm, of in groups.items())
    return f"Difference by the arm that readers began with: {words}; mean of both {sum(means.values()) / 2:+.3f}."


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
    if found.model == "wrong" and _follows(found):
        words += f" {AUTOMATION_BIAS}"
    return words


def _follows(found: Reliance) -> bool:
    """Whether accuracy fell and the model's own wrong verdicts rose: giving up on a case is not following."""
    before, after = found.with_model
    if after.value <= before.value:
        return False
    fell = found.difference.high < 0 if found.difference.bounded else found.difference.value == -1
    return fell and after.value - before.value >= -found.difference.value / 2


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
            "a read of them or, for the AUC, called them not assessable without a suspicion; this is right only where "
            "that happens by chance, and not where it depends on the images."
        )
    if primary.costliest is not None:
        reader, cases = primary.costliest
        kept = len(readings.cases) - primary.cases_left_out
        yield f"Without {reader} the comparison would hold {cases} cases instead of {kept}."


def _signed(estimate: Estimate) -> str:
    if not estimate.bounded:
        return f"{estimate.value:+.3f}, interval not estimable"
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"
