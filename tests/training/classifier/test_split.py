"""Folds by anatomy, the inner fold, and the labels of leak tests."""

from __future__ import annotations

import pytest

from pipeline.errors import ManifestError
from pipeline.training.classifier.split import relabel, split_folds, split_inner


def test_an_anatomy_is_never_both_seen_and_unseen(cases):
    for seen, unseen in split_folds(cases, 4, seed=0):
        assert not {cases[i].anatomy for i in seen} & {cases[i].anatomy for i in unseen}
        assert {cases[i].label for i in unseen} == {True, False}


def test_too_few_anatomies_are_refused(cases):
    with pytest.raises(ManifestError, match="5 folds"):
        split_folds(cases, 5, seed=0)


def test_the_inner_fold_keeps_anatomies_together_and_holds_both_labels(cases):
    learning, stopping = split_inner(cases, 0)
    assert sorted(case.case_id for case in learning + stopping) == sorted(case.case_id for case in cases)
    assert not {case.anatomy for case in learning} & {case.anatomy for case in stopping}
    assert {case.label for case in stopping} == {True, False}
    with pytest.raises(ManifestError, match="Early stopping"):
        split_inner(cases[:2], 0)


def test_a_site_classifier_learns_the_site(cases):
    sites = ["B", "A"] * (len(cases) // 2)
    assert [case.label for case in relabel(cases, "site", sites, 0)] == [site == "A" for site in sites]
    with pytest.raises(ManifestError, match="two sites"):
        relabel(cases, "site", ["A"] * len(cases), 0)


def test_shuffled_labels_are_the_same_ones_in_other_places(cases):
    shuffled = relabel(cases, "shuffled", [], 1)
    assert sorted(case.label for case in shuffled) == sorted(case.label for case in cases)
    assert [case.label for case in shuffled] != [case.label for case in cases]
