"""Analysing without a browser: what the models get, what is said, and what is left after a fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from models import registry
from pipeline.case import Study, Volume
from pipeline.errors import ModelError
from pipeline.intake import read_series
from pipeline.page.handlers.analysing import EVERY_S, Progress
from pipeline.page.layout import build_page
from pipeline.page.server.engine import Analyse, Choice, WaitingLine
from pipeline.page.server.settings import PageSettings
from pipeline.page.state.session_state import SessionState
from tests.page.desk import DEFAULT, Desk
from tests.page.fake_models import load_fake
from tests.segmentation.conftest import write_model


def test_an_analysis_that_was_overtaken_leaves_nothing(desk: Desk, file: Path) -> None:
    desk.open(file)
    first = desk.cases.find(desk.state.case_key)
    assert first
    steps = desk.analysing.analyse(desk.state, False, *DEFAULT)
    next(steps)
    desk.cases.discard(first.key)
    assert all(desk.components.result not in update for update in steps)
    assert not first.private.exists()
    assert desk.analysing.line._tickets == []


def test_models_that_cannot_be_loaded_are_said_and_not_hidden(tmp_path: Path, file: Path) -> None:
    def load(choice: Choice) -> Analyse:
        raise ModelError("The model liver_t2 is missing: install it.")

    desk = Desk(tmp_path, load=load)
    desk.open(file)
    assert "liver_t2 is missing" in desk.analyse()
    desk.cases.close()


def test_stages_reach_the_page_by_name(desk: Desk, file: Path) -> None:
    desk.open(file)
    assert "Segmenting the liver" in desk.analyse()


def test_the_progress_bar_is_sent_only_what_changes_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("pipeline.page.handlers.analysing.time.monotonic", lambda: now)
    progress = Progress(desk.components)

    def sent(name: str, share: float) -> int:
        return len(list(progress.show(name, share)))

    assert [sent("Waiting: 1 ahead of you", 0.0), sent("Waiting: 1 ahead of you", 0.0)] == [1, 0]
    assert [sent("Segmenting: tile 1", 0.1), sent("Segmenting: tile 2", 0.2)] == [1, 0], "too soon after the last"
    assert sent("Classifying", 0.3) == 1, "another stage is said at once"
    now += EVERY_S
    assert [sent("Classifying", 0.3), sent("Classifying", 0.4)] == [0, 1]


def test_the_models_get_the_series_that_is_open_and_its_timings_are_kept(tmp_path: Path, file: Path) -> None:
    seen: list[Volume] = []

    def load(choice: Choice) -> Analyse:
        fake = load_fake()(choice)

        def steps(study: Study, key: str, cancelled: Any) -> Any:
            seen.append(read_series(study, key))
            return fake(study, key, cancelled)

        return steps

    desk = Desk(tmp_path, load=load)
    desk.open(file)
    said = desk.analyse()
    assert seen[0].image.GetSize() == (48, 40, 12)
    assert "Analysed in 12 s." in said
    desk.cases.close()


def test_after_an_unforeseen_fault_the_case_can_be_analysed_again(
    tmp_path: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def load(choice: Choice) -> Analyse:
        def steps(study: Study, key: str, cancelled: Any) -> Any:
            raise MemoryError("out of memory")

        return steps

    desk = Desk(tmp_path, load=load)
    desk.open(file)
    with pytest.raises(MemoryError):
        desk.analyse()
    assert desk.analysing.line._tickets == []
    updates = desk.analysing.failed(desk.state)
    assert "Unexpected error" in repr(updates)
    assert updates[desk.components.analyse]["interactive"]
    assert not updates[desk.components.stop]["visible"]
    assert "unexpected fault" in caplog.text
    assert not desk.analysing.failed(SessionState())[desk.components.analyse]["interactive"]
    desk.cases.close()


def test_every_event_that_can_hang_says_so_when_it_fails(tmp_path: Path) -> None:
    page, _, _ = build_page(PageSettings(examples=tmp_path, reviews=tmp_path / "reviews"), load_fake())
    names = {number: function.name for number, function in page.fns.items()}
    caught = {names.get(f.trigger_after or 0) for f in page.fns.values() if f.trigger_only_on_failure}
    assert {"upload", "choose_series", "analyse", "save"} <= caught


def test_with_one_model_of_a_kind_there_is_nothing_to_choose(desk: Desk) -> None:
    assert [(p.value, p.visible) for p in (desk.components.segmenter, desk.components.classifier)] == [
        (name, False) for name in DEFAULT
    ]


def test_an_installed_model_can_be_chosen_and_is_loaded_once(tmp_path: Path, file: Path) -> None:
    write_model(registry.site_folder() / "ours")
    loaded: list[Choice] = []

    def load(choice: Choice) -> Analyse:
        loaded.append(choice)
        return load_fake()(choice)

    desk = Desk(tmp_path, load=load)
    picker = desk.components.segmenter
    assert picker.visible
    assert not desk.components.classifier.visible
    assert [name for _, name in picker.choices] == ["liver_t2", "ours"]
    with pytest.raises(gr.Error):
        picker.preprocess("../elsewhere")
    desk.open(file)
    for segmenter in ("ours", "liver_t2", "ours"):
        assert "62 %" in desk.analyse(Choice(segmenter, "fibrosis_t2"))
    assert loaded == [DEFAULT, Choice("ours", "fibrosis_t2")]
    desk.cases.close()


def test_a_chosen_model_that_cannot_be_loaded_is_said(tmp_path: Path, file: Path) -> None:
    def load(choice: Choice) -> Analyse:
        if choice != DEFAULT:
            raise ModelError("The weights of ours are damaged.")
        return load_fake()(choice)

    desk = Desk(tmp_path, load=load)
    desk.open(file)
    assert "ours are damaged" in desk.analyse(Choice("ours", "fibrosis_t2"))
    assert "62 %" in desk.analyse()
    desk.cases.close()


def test_an_analysis_that_takes_too_long_is_stopped(desk: Desk, file: Path) -> None:
    desk.analysing.longest_s = 0.0
    desk.open(file)
    assert "Stopped: it took longer than 0 seconds" in desk.analyse()
    assert desk.state.result is None
    desk.analysing.longest_s = 60.0
    desk.analyse()
    assert desk.state.result is not None


def test_beyond_the_longest_queue_the_answer_is_busy(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.analysing.line = WaitingLine(1)
    with desk.analysing.line.join(), desk.analysing.line.join() as ahead:
        assert ahead() == 1
        assert len(desk.analysing.line) == 2
        assert "Busy, with 1 analyses waiting" in desk.analyse()
    desk.analyse()
    assert desk.state.result is not None


def test_without_a_choice_the_default_models_run(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.run(desk.analysing.analyse(desk.state, None, None, ""))
    assert desk.state.result
    assert desk.state.result.segmenter.startswith("liver_t2@")
    assert desk.state.result.classifier.startswith("fibrosis_t2@")
