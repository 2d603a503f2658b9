"""Reviewing without a browser: what leaves the server before the reader's own verdict, and which rows are stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.page.state.session_state import SessionState
from pipeline.reviews.shown import ShownLedger
from tests.page.desk import Desk


def test_before_the_reveal_nothing_of_the_result_is_sent(desk: Desk, file: Path) -> None:
    desk.open(file)
    said = desk.analyse(blind=True)
    case = desk.cases.find(desk.state.case_key)
    assert case
    for secret in ("62 %", "0.62", "fr-verdict", "liver.nii.gz", "heatmap", "liver_window"):
        assert secret not in said, secret
    assert [file.name for file in case.served.iterdir()] == ["volume.nii.gz"]

    assert "62 %" in desk.save()
    assert (case.served / "liver.nii.gz").exists()
    assert desk.store.rows()["after_reveal"].tolist() == ["no"]


def test_a_refused_save_reveals_nothing(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.analyse(blind=True)
    assert "verdict" in desk.save("R1", None, None)
    assert "62 %" not in repr(desk.sent[-1])
    assert desk.store.rows().empty


def test_a_case_that_was_seen_cannot_be_read_blind_again(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.analyse()
    desk.open(file)
    assert "62 %" in desk.analyse(blind=True)


def test_another_analysis_of_a_case_is_fetched_anew_and_reviewed_for_itself(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.analyse()
    desk.save("R1", "no", 3, "agree", 1)
    before = desk.state
    assert before.result
    desk.analyse()
    assert desk.state.result
    assert desk.state.viewer["case"] != before.viewer["case"]
    assert desk.state.opened_at == before.opened_at
    assert desk.state.latest("R1")
    other = replace(desk.state, result=replace(desk.state.result, classifier="other@0"))
    assert other.latest("R1") is None
    desk.state = other
    desk.save("R1", "no", 3, "agree", 1)
    assert desk.store.rows()["revises"].tolist() == ["", ""]


def test_after_a_reload_a_case_that_was_seen_is_not_read_before_the_ai(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.analyse(blind=True)
    desk.save()
    desk.state = SessionState()
    desk.open(file)
    desk.analyse(blind=True)
    said = desk.save()
    assert "seen the AI" in said
    assert "62 %" in said
    assert len(desk.store.rows()) == 1
    desk.save("R1", "no", 3, "agree", 1)
    assert desk.store.rows()["after_reveal"].tolist() == ["no", "yes"]

    desk.state = SessionState()
    desk.open(file)
    desk.analyse(blind=True)
    assert "Saved as review" in desk.save("R2")


def test_a_review_is_saved_after_its_case_was_deleted_by_time(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.analyse()
    desk.cases.discard(desk.state.case_key)
    assert "Saved as review" in desk.save("R1", "no", 3, "agree", 1)
    assert desk.store.rows()["probability"].tolist() == ["0.62"]


def test_what_was_held_back_is_gone_with_its_case_but_not_the_verdict(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.analyse(blind=True)
    desk.cases.discard(desk.state.case_key)
    said = desk.save()
    assert "open the case again" in said
    assert "62 %" not in said
    assert desk.store.rows()["after_reveal"].tolist() == ["no"]


def test_a_result_without_a_heat_map_offers_none(desk: Desk, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.page.fake_models.fake_heat", lambda organs: None)
    desk.open(file)
    said = desk.analyse()
    case = desk.cases.find(desk.state.case_key)
    assert case
    assert "No heat map: this classifier uses hand-crafted features" in said
    assert "liver_mask.nii.gz" in said
    assert "heatmap.nii.gz" not in said
    assert not [served.name for served in case.served.iterdir() if "heat" in served.name]
    assert desk.state.result
    assert "heat" not in desk.state.result.overlays["files"]


def start_anew(desk: Desk, *, restarted: bool = False) -> None:
    """Reload the page, on a server that was started anew as well."""
    desk.state = SessionState()
    if restarted:
        desk.shown = desk.analysing.shown = desk.reviewing.shown = ShownLedger(desk.shown.folder)


@pytest.mark.parametrize("code", ["R1", "r1", " r1 "])
@pytest.mark.parametrize("restarted", [False, True])
def test_what_was_shown_counts_though_no_review_was_saved(desk: Desk, file: Path, code: str, restarted: bool) -> None:
    desk.open(file)
    desk.analyse()
    desk.reviewing.name_reader(desk.state, code)
    start_anew(desk, restarted=restarted)
    desk.open(file)
    assert "62 %" not in desk.analyse(blind=True)
    assert "seen the AI" in desk.save("R1")
    assert len(desk.store.rows()) == 0


def test_a_code_that_is_entered_later_counts_for_all_that_the_session_was_shown(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.analyse()
    said = desk.save("R1", None)  # refused, but now the reader is known
    assert "Answer before you save" in said
    start_anew(desk)
    desk.open(file)
    desk.analyse(blind=True)
    assert "seen the AI" in desk.save("R1")


def test_what_is_shown_after_the_code_was_entered_counts_too(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.reviewing.name_reader(desk.state, "R1")
    desk.analyse()
    start_anew(desk)
    desk.open(file)
    desk.analyse(blind=True)
    assert "Saved as review" in desk.save("R2")


def test_a_case_that_was_held_back_is_not_counted_as_shown(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.analyse(blind=True)
    desk.save("R1", None)
    start_anew(desk)
    desk.open(file)
    desk.analyse(blind=True)
    assert "Saved as review" in desk.save("R1")


def test_a_wrong_code_is_asked_for_again_and_reveals_nothing(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.analyse()
    start_anew(desk)
    desk.open(file)
    desk.analyse(blind=True)
    for code in ("-H1", "Meyer", "", "R" * 13 + "1"):
        said = desk.save(code)
        assert "reader code" in said
        assert "62 %" not in said
    assert len(desk.store.rows()) == 0


def test_a_full_disk_keeps_nobody_from_the_result_and_it_still_counts(desk: Desk, file: Path, monkeypatch) -> None:
    desk.open(file)
    desk.reviewing.name_reader(desk.state, "R1")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        assert "62 %" in desk.analyse()
    assert desk.shown.has_seen("R1", "", desk.state.result.case_id)
    assert not ShownLedger(desk.shown.folder).has_seen("R1", "", desk.state.result.case_id)
    desk.reviewing.name_reader(desk.state, "R2")
    assert ShownLedger(desk.shown.folder).has_seen("R1", "", desk.state.result.case_id)
