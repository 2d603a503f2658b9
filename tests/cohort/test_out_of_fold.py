"""Members that may predict a case, beyond what the evaluation's tests show."""

from __future__ import annotations

import json

import pytest

from models.folds import SEEN_BY_ALL
from models.registry import ModelFolder
from pipeline.cohort.out_of_fold import out_of_fold_members
from pipeline.errors import ModelError

MEMBERS = ("fold0", "fold1", "fold2")


def model_in(folder, folds=None, members=MEMBERS, **info) -> ModelFolder:
    if folds is not None:
        (folder / "folds.json").write_text(json.dumps(folds))
    return ModelFolder("m", folder, {"members": list(MEMBERS)} | info, members)


def test_a_case_that_every_member_was_trained_on_has_no_unseen_member(tmp_path):
    folds = {"fold0": ["a"], "fold1": ["b"], "fold2": ["c"], SEEN_BY_ALL: ["d"]}
    members = out_of_fold_members(model_in(tmp_path, folds), {})
    assert members.unseen_members(("d",)) is None
    assert members.unseen_members(("b",)).members == ("fold1",)
    assert members.unseen_members(("new",)).members == MEMBERS


def test_the_members_are_named_unless_they_are_all_of_the_model(tmp_path):
    model = model_in(tmp_path)
    members = out_of_fold_members(model, {})
    assert members.describe(model) == "ensemble"
    assert members.describe(model_in(tmp_path, members=("fold0", "fold2"))) == "fold0+fold2"


def test_one_fold_does_not_tell_which_cases_were_trained_on(tmp_path):
    assert not out_of_fold_members(model_in(tmp_path, {"fold0": ["a"]}), {}).cases_known


@pytest.mark.parametrize("damaged", [3, {"fold0": 3}, ["fold0"]])
def test_damaged_anatomies_are_refused(tmp_path, damaged):
    with pytest.raises(ModelError, match="unseen_anatomies"):
        out_of_fold_members(model_in(tmp_path, unseen_anatomies=damaged), {})
