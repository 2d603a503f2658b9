"""Reviewed cases of a visit can be opened again; others are deleted when they are left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import SimpleITK as sitk

from pipeline.page.state.session_state import MOST_REVIEWED
from tests.page.desk import Desk
from tests.phantoms import make_volume_image


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    for seed in range(MOST_REVIEWED + 2):
        made.append(tmp_path / f"{seed}.nii.gz")
        sitk.WriteImage(make_volume_image((48, 40, 12), (6.5, 6.0, 20.0), seed=seed), str(made[-1]))
    return made


def review(desk: Desk, file: Path, verdict: str = "yes") -> str:
    """Open, analyse and review; the case's key."""
    desk.open(file)
    desk.analyse()
    desk.save(verdict=verdict, agreement="agree", quality=1)
    return desk.state.case_key


def reopen(desk: Desk, place: int) -> str:
    desk.take(desk.opening.reopen(desk.state, place))
    return repr(desk.sent[-1])


def test_a_reviewed_case_is_opened_again_with_its_answers(desk: Desk, files: list[Path]) -> None:
    first = review(desk, files[0], "not_assessable")
    shown = desk.state.result
    second = review(desk, files[1])
    assert [case.case_key for case in desk.state.reviewed] == [first]
    said = reopen(desk, 0)
    assert desk.state.case_key == first
    assert desk.state.result == shown
    assert "not_assessable" in said
    assert "Save correction" in said
    assert [case.case_key for case in desk.state.reviewed] == [second]
    case = desk.cases.find(first)
    assert case
    assert json.dumps(desk.state.viewer).count(case.served.name) >= 1
    desk.save(verdict="no", agreement="agree", quality=1)
    rows = desk.store.rows()
    assert rows["revises"].iloc[-1] == rows["review_id"].iloc[0]


def test_a_case_without_a_review_is_deleted_when_it_is_left(desk: Desk, files: list[Path]) -> None:
    desk.open(files[0])
    desk.analyse()
    left = desk.state.case_key
    desk.open(files[1])
    assert desk.state.reviewed == ()
    assert desk.cases.find(left) is None


def test_only_the_last_ones_are_kept(desk: Desk, files: list[Path]) -> None:
    keys = [review(desk, file) for file in files]
    assert [case.case_key for case in desk.state.reviewed] == keys[1:-1]
    assert desk.cases.find(keys[0]) is None
    reopen(desk, 0)  # the oldest: leaving the open case must not drop the one that was chosen
    assert desk.state.case_key == keys[1]
    assert desk.cases.find(keys[1])
    assert len(desk.cases._open) == MOST_REVIEWED + 1


def test_a_case_whose_time_is_up_is_said_to_be_gone(desk: Desk, files: list[Path]) -> None:
    first = review(desk, files[0])
    second = review(desk, files[1])
    desk.cases.discard(first)
    assert "closed after inactivity" in reopen(desk, 0)
    assert desk.state.case_key == second
    assert desk.state.reviewed == ()


@pytest.mark.parametrize("place", [None, -1, 5])
def test_no_other_place_is_opened(desk: Desk, files: list[Path], place: int | None) -> None:
    review(desk, files[0])
    before = desk.state
    assert desk.opening.reopen(desk.state, place) == {}
    assert desk.state == before


def test_a_deleted_case_is_not_kept(desk: Desk, files: list[Path]) -> None:
    key = review(desk, files[0])
    desk.take(desk.opening.delete(desk.state))
    desk.open(files[1])
    assert desk.state.reviewed == ()
    assert desk.cases.find(key) is None
