"""A study's figures against values computed another way, and what is said where there are none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, recall_score, roc_auc_score

from pipeline.reader_study.analysis.comparison import compare_arms
from pipeline.reader_study.analysis.consistency import kappas
from pipeline.reader_study.analysis.reader_arms import median
from pipeline.reader_study.analysis.study import analyse_study
from pipeline.reader_study.protocol import FigureOfMerit
from pipeline.reader_study.readings import select
from pipeline.reader_study.reads import ReadCase
from pipeline.statistics.proportions import wilson
from tests.reader_study.studies import Planted, cases, changed, protocol, rows, texts
from tests.reader_study.test_readings import selected

PLANTED = Planted(readers=3, positives=12, negatives=14, seed=4)


def studied(found=None, planted=PLANTED):
    return selected(rows(planted) if found is None else found, planted)


@pytest.fixture(scope="module")
def analysis():
    return analyse_study(studied())


def arrays(readings, reader, arm):
    reads = [read for read in readings.first if (read.reader, read.arm) == (reader, arm)]
    return reads, np.array([read.case.positive for read in reads])


def test_figures_of_a_reader_are_those_of_scikit_learn(analysis):
    for arm in analysis.arms:
        reads, truth = arrays(analysis.readings, arm.reader, arm.arm)
        called = np.array([read.verdict == "yes" for read in reads])
        assert arm.auc.value == pytest.approx(roc_auc_score(truth, [read.suspicion for read in reads]))
        assert arm.auc.low < arm.auc.value < arm.auc.high
        assert arm.calls.sensitivity.value == pytest.approx(recall_score(truth, called))
        assert arm.calls.specificity.value == pytest.approx(recall_score(~truth, ~called))
        assert arm.calls.accuracy == pytest.approx(wilson((truth == called).sum(), len(truth)))
        assert arm.median_seconds.value == pytest.approx(np.median([read.active_seconds for read in reads]))


def test_the_comparison_is_aided_minus_unaided_of_the_mean_auc(analysis):
    found = analysis.primary.analysis
    means = {arm: np.mean([one.auc.value for one in analysis.arms if one.arm == arm]) for arm in ("aided", "unaided")}
    (pair,) = found.inferences["rrrc"].pairwise
    assert pair.value == pytest.approx(means["aided"] - means["unaided"])
    for own, difference in zip(found.by_reader, analysis.differences, strict=True):
        assert difference.auc.value == pytest.approx(own[0].value)


def test_differences_of_a_reader_are_paired(analysis):
    for one in analysis.differences:
        (before, truth), (after, _) = (arrays(analysis.readings, one.reader, arm) for arm in ("unaided", "aided"))
        right = np.array([[read.right for read in reads] for reads in (before, after)], float)
        change = (right[1] - right[0])[truth]
        assert one.sensitivity.value == pytest.approx(change.mean())
        half = 2.200985 * change.std(ddof=1) / math.sqrt(12)  # Student's t with 11 degrees of freedom
        assert one.sensitivity.high == pytest.approx(change.mean() + half)
        seconds = [b.active_seconds - a.active_seconds for a, b in zip(before, after, strict=True)]
        assert one.median_seconds.value == pytest.approx(np.median(seconds))
        assert one.median_seconds.low < one.median_seconds.value < one.median_seconds.high


def test_not_assessable_is_wrong_in_the_primary_figures_and_left_out_of_the_others():
    found = analyse_study(studied(changed(rows(PLANTED), "R1-unaided-C1", advanced_fibrosis="not_assessable")))
    arm = found.arms[0]
    reads, truth = arrays(found.readings, "R1", "unaided")
    yes = sum(read.verdict == "yes" for read in reads if read.case.positive)
    assert (arm.not_assessable, arm.reads, truth.sum()) == (1, 26, 12)
    assert arm.calls.sensitivity == pytest.approx(wilson(yes, 12))
    assert arm.assessable.sensitivity == pytest.approx(wilson(yes, 11))
    assert arm.calls.specificity == arm.assessable.specificity


@pytest.mark.parametrize("fom", ["sensitivity", "specificity"])
def test_verdicts_are_compared_with_not_assessable_as_wrong(fom):
    found = changed(rows(PLANTED), "R1-unaided-C1", advanced_fibrosis="not_assessable")
    readings = studied(changed(found, "R2-aided-C20", advanced_fibrosis="not_assessable"))
    analysis = compare_arms(readings, readings.first, fom).analysis
    for m, arm in enumerate(("aided", "unaided")):
        for r, reader in enumerate(("R1", "R2", "R3")):
            reads, _ = arrays(readings, reader, arm)
            of_class = [read.right for read in reads if read.case.positive == (fom == "sensitivity")]
            assert analysis.figures.values[m, r] == pytest.approx(np.mean(of_class))


def test_the_protocol_names_the_primary_figure():
    planted = replace(PLANTED, figure_of_merit=FigureOfMerit.SPECIFICITY)
    found = analyse_study(studied(planted=planted))
    assert [one.figure_of_merit for one in found.comparisons] == ["specificity", "auc", "sensitivity"]
    assert found.corrected.figure_of_merit == "specificity"


def test_corrections_change_the_sensitivity_analysis_only():
    old = next(one for one in rows(PLANTED) if one.review_id == "R1-aided-C1")
    late = replace(old, review_id="new", revises=old.review_id, suspicion=0, saved_at=old.saved_at.replace(year=2027))
    plain, found = analyse_study(studied()), analyse_study(studied([*rows(PLANTED), late]))
    assert found.primary.analysis.means == pytest.approx(plain.primary.analysis.means)
    assert found.corrected.analysis.means[0] < plain.corrected.analysis.means[0]
    assert found.corrected.analysis.means[1] == pytest.approx(plain.corrected.analysis.means[1])


def test_an_unfinished_study_compares_the_complete_cases():
    found = [one for one in rows(PLANTED) if one.review_id not in ("R1-aided-C3", "R2-unaided-C20")]
    found = [one for one in found if one.reader != "R3" or one.arm == "unaided"]
    analysis = analyse_study(studied(found))
    assert analysis.primary.readers_left_out == ("R3",)
    assert analysis.primary.cases_left_out == 2
    assert len(analysis.primary.analysis.readings.positive) == 24
    assert [(arm.reader, arm.arm, arm.reads) for arm in analysis.arms] == [
        ("R1", "unaided", 26),
        ("R1", "aided", 25),
        ("R2", "unaided", 25),
        ("R2", "aided", 26),
        ("R3", "unaided", 26),
    ]
    assert [one.cases for one in analysis.differences] == [25, 25]


def test_suspicions_that_were_not_given_leave_the_auc_only():
    found = changed(rows(PLANTED), "R1-aided-C3", suspicion=None)
    analysis = analyse_study(studied(found))
    arm = next(one for one in analysis.arms if (one.reader, one.arm) == ("R1", "aided"))
    assert (arm.reads, arm.auc_reads) == (26, 25)
    assert [one.cases_left_out for one in analysis.comparisons] == [1, 0, 0]


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        (lambda one: one.arm == "unaided", "no reader has reads in both arms"),
        (lambda one: (one.reader == "R1") == (one.case_id in ("C1", "C2")), "no case was read in both arms"),
        (lambda one: one.case_id not in [f"C{k}" for k in range(13, 27)], "There are no cases without the condition"),
    ],
)
def test_what_cannot_be_compared_says_why(keep, reason):
    analysis = analyse_study(studied([one for one in rows(PLANTED) if keep(one)]))
    assert analysis.primary.analysis is None
    assert reason in analysis.primary.why_not


def test_changes_are_counted_by_whether_the_model_was_right(analysis):
    counted = dict.fromkeys(((m, k) for m in ("right", "wrong") for k in ("better", "worse", "same")), 0)
    reads = analysis.readings.reading_order
    for (reader, arm, case_id), before in reads.items():
        if arm == "aided":
            continue
        after = reads[reader, "aided", case_id]
        model = "right" if (before.case.probability >= 0.5) == before.case.positive else "wrong"
        truth = "yes" if before.case.positive else "no"
        kind = {(False, True): "better", (True, False): "worse"}.get(
            (before.verdict == truth, after.verdict == truth), "same"
        )
        counted[model, kind] += 1
    for row in analysis.reliance[:2]:
        assert row.counts == tuple(counted[row.model, kind] for kind in ("better", "worse", "same"))
        assert row.better.value == pytest.approx(row.counts[0] / row.pairs)
        assert row.difference.value == pytest.approx((row.counts[0] - row.counts[1]) / row.pairs)
        wrong_before = row.pairs - round(row.unaided.value * row.pairs)
        assert row.corrected.value == pytest.approx(row.counts[0] / wrong_before)
        assert row.misled.value == pytest.approx(row.counts[1] / (row.pairs - wrong_before))
    total = analysis.reliance[2]
    assert total.counts == tuple(np.add(analysis.reliance[0].counts, analysis.reliance[1].counts))
    by_reader = [one for one in analysis.changes if one.model == "all"]
    assert tuple(sum(getattr(one, kind) for one in by_reader) for kind in ("better", "worse", "same")) == total.counts


def test_intervals_of_changes_are_over_cases():
    """Three readers who always answer alike know no more than one."""
    one = replace(PLANTED, readers=1)
    base = rows(one)
    copies = [
        replace(
            row,
            reader=f"R{k}",
            review_id=row.review_id.replace("R1", f"R{k}"),
            protocol_sha256=protocol(PLANTED).sha256,
        )
        for k in (1, 2, 3)
        for row in base
    ]
    alone, together = (analyse_study(studied(found, planted)) for found, planted in ((base, one), (copies, PLANTED)))
    single, triple = alone.reliance[2], together.reliance[2]
    assert triple.pairs == 3 * single.pairs
    assert triple.difference == pytest.approx(single.difference, abs=1e-6)
    width = single.aided.high - single.aided.low
    assert triple.aided.high - triple.aided.low == pytest.approx(width, rel=0.1)


def test_a_case_without_the_models_verdict_is_no_pair():
    unclassified = (replace(cases(PLANTED)[0], probability=None), *cases(PLANTED)[1:])
    analysis = analyse_study(select(texts(rows(PLANTED)), protocol(PLANTED), unclassified))
    assert analysis.reliance[2].pairs == 3 * 25


def test_kappas_are_on_the_full_scale_and_with_the_model(analysis):
    found = {(k.answer, k.arm, k.first, k.second): k.agreement for k in analysis.kappas}
    assert len(found) == 5 * 6
    first, second = (arrays(analysis.readings, reader, "aided")[0] for reader in ("R1", "R2"))
    expected = cohen_kappa_score(
        [read.suspicion for read in first], [read.suspicion for read in second], labels=range(101), weights="quadratic"
    )
    assert found["suspicion", "aided", "R1", "R2"].estimate.value == pytest.approx(expected)
    model = [round(100 * read.case.probability) for read in first]
    expected = cohen_kappa_score([read.suspicion for read in first], model, labels=range(101), weights="quadratic")
    assert found["suspicion", "aided", "R1", "model"].estimate.value == pytest.approx(expected)
    score = [read.segmentation_quality for read in first]
    expected = cohen_kappa_score(score, [read.case.score for read in first], labels=(1, 2, 3), weights="quadratic")
    assert found["segmentation", "aided", "R1", "model"].estimate.value == pytest.approx(expected)


def test_a_constant_reader_has_no_kappa():
    found = [replace(one, advanced_fibrosis="yes") if one.reader == "R1" else one for one in rows(PLANTED)]
    constant = [k for k in kappas(studied(found)) if k.answer == "verdict" and k.first == "R1"]
    assert len(constant) == 6
    assert all("the same level" in k.agreement.undefined for k in constant)
    assert all(math.isnan(k.agreement.estimate.value) for k in constant)


def test_accuracy_by_segmentation_score(analysis):
    reads = [read for read in analysis.readings.first if read.arm == "aided"]
    for row in analysis.scores:
        own = [r for r in reads if row.score == (r.segmentation_quality if row.given_by == "reader" else r.case.score)]
        assert row.pairs == len(own)
        truth = [read.case.positive for read in own]
        assert row.aided.value == pytest.approx(np.mean([read.right for read in own]))
        assert row.model.value == pytest.approx(accuracy_score(truth, [read.case.probability >= 0.5 for read in own]))
    assert sum(row.pairs for row in analysis.scores if row.given_by == "reader") == len(reads)


def test_medians_have_the_exact_interval():
    # Binomial(10, 1/2): the 2nd and the 9th of ten values enclose the median with 97.9 %.
    assert median(np.arange(1.0, 11.0)) == (5.5, 2.0, 9.0)
    assert not median(np.arange(5.0)).bounded


def test_the_models_verdict_is_at_the_threshold():
    assert ReadCase("C1", True, 0.5, 0.5).model_right
    assert not ReadCase("C1", False, 0.5, 0.5).model_right
