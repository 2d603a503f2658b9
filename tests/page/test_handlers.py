"""Events without a browser: what leaves the server, and when."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import SimpleITK as sitk

from models import registry
from pipeline.case import CaseWarning, Study, Volume
from pipeline.errors import ModelError, PipelineError
from pipeline.intake import read_series
from pipeline.page import handlers as handlers_module
from pipeline.page.cases import Cases
from pipeline.page.engine import Analyse, Choice, Engine
from pipeline.page.handlers import Handlers
from pipeline.page.layout import _place, build_page
from pipeline.page.settings import Settings
from pipeline.page.visit import Visit
from pipeline.reviews import ReviewStore
from tests.page.fake_models import load_fake
from tests.phantoms import make_volume_image
from tests.segmentation.conftest import write_model

DEFAULT = Choice("liver_t2", "fibrosis_t2")


@dataclass
class Request:
    session_hash: str = "one"


class Desk:
    """One visitor's page without a browser: applies what handlers return."""

    def __init__(self, folder: Path, *, public: bool = False, load: Any = None) -> None:
        self.cases = Cases(keep_s=1000)
        with gr.Blocks():
            self.parts, _ = _place(Settings(examples=folder), self.cases, has_library=False)
        self.store = ReviewStore(folder / "reviews")
        engine = Engine(load or load_fake(), DEFAULT)
        engine.start()
        self.handlers = Handlers(self.parts, public=public, cases=self.cases, engine=engine, store=self.store)
        self.visit = Visit()
        self.sent: list[dict[Any, Any]] = []

    def take(self, updates: dict[Any, Any]) -> None:
        self.visit = updates.pop(self.parts.visit, self.visit)
        self.sent.append(updates)

    def run(self, updates: Iterator[dict[Any, Any]]) -> str:
        """Everything that was sent to the page, as one text."""
        self.sent.clear()
        for update in updates:
            self.take(update)
        return repr(self.sent)

    def open(self, file: Path) -> str:
        upload = file.parent / "cache" / file.name
        upload.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, upload)
        said = self.run(self.handlers.upload(self.visit, str(upload), True, Request()))  # type: ignore[arg-type]
        assert not upload.exists(), "uploads are deleted"
        return said


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "case.nii.gz"
    sitk.WriteImage(make_volume_image((48, 40, 12), (6.5, 6.0, 20.0)), str(path))
    return path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.cases.close()


def test_before_the_reveal_nothing_of_the_result_is_sent(desk: Desk, file: Path) -> None:
    desk.open(file)
    said = desk.run(desk.handlers.analyse(desk.visit, True, *DEFAULT))
    case = desk.cases.find(desk.visit.case_key)
    assert case
    for secret in ("62 %", "0.62", "fr-verdict", "liver.nii.gz", "heatmap", "liver_window"):
        assert secret not in said, secret
    assert [file.name for file in case.served.iterdir()] == ["volume.nii.gz"]

    desk.take(desk.handlers.save(desk.visit, "R1", "no", 3, None, None, "", ""))
    assert "62 %" in repr(desk.sent[-1])
    assert (case.served / "liver.nii.gz").exists()
    assert desk.store.rows()["after_reveal"].tolist() == ["no"]


def test_a_refused_save_reveals_nothing(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.run(desk.handlers.analyse(desk.visit, True, *DEFAULT))
    desk.take(desk.handlers.save(desk.visit, "R1", None, None, None, None, "", ""))
    assert "verdict" in repr(desk.sent[-1])
    assert "62 %" not in repr(desk.sent[-1])
    assert desk.store.rows().empty


def test_a_case_that_was_seen_cannot_be_read_blind_again(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.run(desk.handlers.analyse(desk.visit, False, *DEFAULT))
    desk.open(file)
    assert "62 %" in desk.run(desk.handlers.analyse(desk.visit, True, *DEFAULT))


def test_another_analysis_of_a_case_is_fetched_anew_and_reviewed_for_itself(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.run(desk.handlers.analyse(desk.visit, False, *DEFAULT))
    desk.take(desk.handlers.save(desk.visit, "R1", "no", 3, "agree", 1, "", ""))
    before = desk.visit
    assert before.outcome
    desk.run(desk.handlers.analyse(desk.visit, False, *DEFAULT))
    assert desk.visit.outcome
    assert desk.visit.viewer["case"] != before.viewer["case"]
    assert desk.visit.opened_at == before.opened_at
    assert desk.visit.latest("R1")
    other = replace(desk.visit, outcome=replace(desk.visit.outcome, classifier="other@0"))
    assert other.latest("R1") is None
    desk.visit = other
    desk.take(desk.handlers.save(desk.visit, "R1", "no", 3, "agree", 1, "", ""))
    assert desk.store.rows()["revises"].tolist() == ["", ""]


def test_another_upload_deletes_the_case_before(desk: Desk, file: Path) -> None:
    desk.open(file)
    first = desk.cases.find(desk.visit.case_key)
    desk.open(file)
    assert first
    assert not first.private.exists()
    assert not first.served.exists()


def test_an_analysis_that_was_overtaken_leaves_nothing(desk: Desk, file: Path) -> None:
    desk.open(file)
    first = desk.cases.find(desk.visit.case_key)
    assert first
    steps = desk.handlers.analyse(desk.visit, False, *DEFAULT)
    next(steps)
    desk.cases.discard(first.key)
    assert all(desk.parts.result not in update for update in steps)
    assert not first.private.exists()
    assert desk.handlers.line._tickets == []


def test_on_a_public_space_the_tick_is_asked_for_by_the_server(tmp_path: Path, file: Path) -> None:
    desk = Desk(tmp_path, public=True)
    upload = tmp_path / "upload.nii.gz"
    shutil.copyfile(file, upload)
    said = desk.run(desk.handlers.upload(desk.visit, str(upload), False, Request()))  # type: ignore[arg-type]
    assert "de-identified" in said
    assert desk.visit.study is None
    assert not upload.exists()
    desk.cases.close()


def test_models_that_cannot_be_loaded_are_said_and_not_hidden(tmp_path: Path, file: Path) -> None:
    def load(choice: Choice) -> Analyse:
        raise ModelError("The model liver_t2 is missing: install it.")

    desk = Desk(tmp_path, load=load)
    desk.open(file)
    assert "liver_t2 is missing" in desk.run(desk.handlers.analyse(desk.visit, False, *DEFAULT))
    desk.cases.close()


def test_the_same_upload_of_two_visitors_is_asked_for_again(desk: Desk, tmp_path: Path) -> None:
    said = desk.run(desk.handlers.upload(desk.visit, str(tmp_path / "gone.nii"), True, Request()))  # type: ignore[arg-type]
    assert "choose the file again" in said


def test_stages_reach_the_page_by_name(desk: Desk, file: Path) -> None:
    desk.open(file)
    assert "Segmenting the liver" in desk.run(desk.handlers.analyse(desk.visit, False, *DEFAULT))


def test_the_volume_is_what_the_models_get(tmp_path: Path, file: Path) -> None:
    seen: list[Volume] = []

    def load(choice: Choice) -> Analyse:
        fake = load_fake()(choice)

        def steps(volume: Volume, cancelled: Any) -> Any:
            seen.append(volume)
            return fake(volume, cancelled)

        return steps

    desk = Desk(tmp_path, load=load)
    desk.open(file)
    desk.run(desk.handlers.analyse(desk.visit, False, *DEFAULT))
    assert seen[0].image.GetSize() == (48, 40, 12)
    desk.cases.close()


def blind_save(desk: Desk, reader: str = "R1") -> str:
    desk.take(desk.handlers.save(desk.visit, reader, "no", 3, None, None, "", ""))
    return repr(desk.sent[-1])


def test_after_a_reload_a_case_that_was_seen_is_not_read_before_the_ai(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.run(desk.handlers.analyse(desk.visit, True, *DEFAULT))
    blind_save(desk)
    desk.visit = Visit()
    desk.open(file)
    desk.run(desk.handlers.analyse(desk.visit, True, *DEFAULT))
    said = blind_save(desk)
    assert "reviewed this case before" in said
    assert "62 %" in said
    assert len(desk.store.rows()) == 1
    desk.take(desk.handlers.save(desk.visit, "R1", "no", 3, "agree", 1, "", ""))
    assert desk.store.rows()["after_reveal"].tolist() == ["no", "yes"]

    desk.visit = Visit()
    desk.open(file)
    desk.run(desk.handlers.analyse(desk.visit, True, *DEFAULT))
    assert "Saved as review" in blind_save(desk, "R2")


def test_a_review_is_saved_after_its_case_was_deleted_by_time(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.run(desk.handlers.analyse(desk.visit, False, *DEFAULT))
    desk.cases.discard(desk.visit.case_key)
    desk.take(desk.handlers.save(desk.visit, "R1", "no", 3, "agree", 1, "", ""))
    assert "Saved as review" in repr(desk.sent[-1])
    assert desk.store.rows()["probability"].tolist() == ["0.62"]


def test_what_was_held_back_is_gone_with_its_case_but_not_the_verdict(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.run(desk.handlers.analyse(desk.visit, True, *DEFAULT))
    desk.cases.discard(desk.visit.case_key)
    said = blind_save(desk)
    assert "open the case again" in said
    assert "62 %" not in said
    assert desk.store.rows()["after_reveal"].tolist() == ["no"]


@pytest.mark.parametrize(
    ("step", "fault", "words"),
    [
        ("read_series", PipelineError("Set the key of the site first."), "Set the key of the site first."),
        ("volume_value", RuntimeError("No space left on /device"), "free disk space"),
    ],
)
def test_a_series_that_cannot_be_shown_is_said(
    desk: Desk, file: Path, monkeypatch: pytest.MonkeyPatch, step: str, fault: Exception, words: str
) -> None:
    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(handlers_module, step, fail)
    said = desk.open(file)
    assert words in said
    assert "/device" not in said
    assert desk.visit.series_key == ""


def test_after_an_unforeseen_fault_the_case_can_be_analysed_again(
    tmp_path: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def load(choice: Choice) -> Analyse:
        def steps(volume: Volume, cancelled: Any) -> Any:
            raise MemoryError("out of memory")

        return steps

    desk = Desk(tmp_path, load=load)
    desk.open(file)
    with pytest.raises(MemoryError):
        desk.run(desk.handlers.analyse(desk.visit, False, *DEFAULT))
    assert desk.handlers.line._tickets == []
    updates = desk.handlers.failed(desk.visit)
    assert "did not foresee" in repr(updates)
    assert updates[desk.parts.analyse]["interactive"]
    assert not updates[desk.parts.stop]["visible"]
    assert "unexpected fault" in caplog.text
    assert not desk.handlers.failed(Visit())[desk.parts.analyse]["interactive"]
    desk.cases.close()


def test_every_event_that_can_hang_says_so_when_it_fails(tmp_path: Path) -> None:
    page, _ = build_page(Settings(examples=tmp_path, reviews=tmp_path / "reviews"), load=load_fake())
    names = {number: function.name for number, function in page.fns.items()}
    caught = {names.get(f.trigger_after or 0) for f in page.fns.values() if f.trigger_only_on_failure}
    assert {"upload", "choose_series", "analyse", "save"} <= caught


def test_several_warnings_are_a_list(desk: Desk, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def warned(study: Study, key: str) -> Volume:
        volume = read_series(study, key)
        return replace(volume, warnings=(CaseWarning("a", "One < two."), CaseWarning("b", "Three.")))

    monkeypatch.setattr(handlers_module, "read_series", warned)
    assert "<li>One &lt; two.</li><li>Three.</li>" in desk.open(file)


def test_with_one_model_of_a_kind_there_is_nothing_to_choose(desk: Desk) -> None:
    assert [(p.value, p.visible) for p in (desk.parts.segmenter, desk.parts.classifier)] == [
        (name, False) for name in DEFAULT
    ]


def test_an_installed_model_can_be_chosen_and_is_loaded_once(tmp_path: Path, file: Path) -> None:
    write_model(registry.site_folder() / "ours")
    loaded: list[Choice] = []

    def load(choice: Choice) -> Analyse:
        loaded.append(choice)
        return load_fake()(choice)

    desk = Desk(tmp_path, load=load)
    picker = desk.parts.segmenter
    assert picker.visible
    assert not desk.parts.classifier.visible
    assert [name for _, name in picker.choices] == ["liver_t2", "ours"]
    with pytest.raises(gr.Error):
        picker.preprocess("../elsewhere")
    desk.open(file)
    for segmenter in ("ours", "liver_t2", "ours"):
        assert "62 %" in desk.run(desk.handlers.analyse(desk.visit, False, segmenter, "fibrosis_t2"))
    assert loaded == [DEFAULT, Choice("ours", "fibrosis_t2")]
    desk.cases.close()


def test_a_chosen_model_that_cannot_be_loaded_is_said(tmp_path: Path, file: Path) -> None:
    def load(choice: Choice) -> Analyse:
        if choice != DEFAULT:
            raise ModelError("The weights of ours are damaged.")
        return load_fake()(choice)

    desk = Desk(tmp_path, load=load)
    desk.open(file)
    assert "ours are damaged" in desk.run(desk.handlers.analyse(desk.visit, False, "ours", "fibrosis_t2"))
    assert "62 %" in desk.run(desk.handlers.analyse(desk.visit, False, *DEFAULT))
    desk.cases.close()
