"""What the design and single readers leave open is said, and automation bias only where it is that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.reader_study.analysis.study import analyse_study
from pipeline.reader_study.protocol import Design
from pipeline.reader_study.readings import select
from pipeline.reader_study.report.methods import methods
from pipeline.reader_study.report.sentences import AUTOMATION_BIAS, findings, limits
from tests.reader_study.studies import Planted, cases, protocol, rows, texts

PLANTED = Planted(readers=4, positives=10, negatives=10)
CROSSOVER = replace(PLANTED, design=Design.CROSSOVER)


def analysed(found=None, planted=PLANTED):
    ordered = sorted(rows(planted) if found is None else found, key=lambda review: review.saved_at)
    return analyse_study(select(texts(ordered), protocol(planted), cases(planted)))


def test_a_sequential_difference_holds_a_second_look():
    said = " ".join(limits(analysed()))
    assert "always the second look" in said
    assert "sitting" not in said


@pytest.mark.parametrize(("readers", "began"), [(4, "2 readers began unaided and 2 aided"), (3, "1 aided|2 aided")])
def test_a_crossover_says_who_began_with_which_arm(readers, began):
    analysis = analysed(planted=replace(CROSSOVER, readers=readers))
    said = " ".join(limits(analysis))
    assert "The sitting (first or second) is not modelled" in said
    assert "mean of both" in said
    assert any(words in " ".join(methods(analysis)) for words in began.split("|"))


def test_readers_who_all_began_with_one_arm_are_said_to_tell_nothing_apart():
    # The order of the arms alternates: the first and the third reader begin alike.
    found = [one for one in rows(CROSSOVER) if one.reader in ("R1", "R3")]
    assert "began with the same arm" in " ".join(limits(analysed(found, CROSSOVER)))


def test_the_reader_who_costs_most_cases_is_named():
    found = [one for one in rows(PLANTED) if one.reader != "R3" or int(one.case_id[1:]) in (1, 2, 11, 12)]
    assert "Without R3 the comparison would hold 20 cases instead of 4." in limits(analysed(found))
    assert not any(words.startswith("Without R") for words in limits(analysed()))


def test_the_same_where_that_reader_leaves_no_comparison():
    found = [one for one in rows(PLANTED) if one.reader != "R3" or int(one.case_id[1:]) == 1]
    assert "Without R3 the comparison would hold 20 cases instead of 1." in limits(analysed(found))


def wrong_model_reads(verdict):
    """Unaided reads right, aided ones where the model is wrong as ``verdict`` of (truth, model) says."""
    known = {case.case_id: case for case in cases(PLANTED)}

    def changed(one):
        case = known[one.case_id]
        truth = "yes" if case.positive else "no"
        if one.arm == "unaided" or case.model_right:
            return replace(one, advanced_fibrosis=truth)
        return replace(one, advanced_fibrosis=verdict("yes" if case.model_positive else "no"))

    return [changed(one) for one in rows(PLANTED)]


def test_giving_up_on_a_case_is_not_following_the_model():
    said = findings(analysed(wrong_model_reads(lambda model: "not_assessable")))
    assert any("Where the model was wrong" in words for words in said)
    assert not any(AUTOMATION_BIAS in words for words in said)


def test_following_the_model_in_every_wrong_case_is_said():
    said = findings(analysed(wrong_model_reads(lambda model: model)))
    assert any(AUTOMATION_BIAS in words for words in said)
