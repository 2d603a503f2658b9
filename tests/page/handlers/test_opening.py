"""Opening a case without a browser: what is deleted, what is refused, what is said."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.case import CaseWarning, Study, Volume
from pipeline.errors import PipelineError
from pipeline.intake import read_series
from pipeline.page.handlers import opening
from pipeline.page.view import slice_viewer as viewer
from tests.page.desk import Desk


def test_another_upload_deletes_the_case_before(desk: Desk, file: Path) -> None:
    desk.open(file)
    first = desk.cases.find(desk.state.case_key)
    desk.open(file)
    assert first
    assert not first.private.exists()
    assert not first.served.exists()


def test_on_a_public_space_the_tick_is_asked_for_by_the_server(tmp_path: Path, file: Path) -> None:
    desk = Desk(tmp_path, public=True)
    upload = tmp_path / "upload.nii.gz"
    shutil.copyfile(file, upload)
    assert "de-identified" in desk.upload(upload, confirmed=False)
    assert desk.state.study is None
    assert not upload.exists()
    desk.cases.close()


def test_the_same_upload_of_two_visitors_is_asked_for_again(desk: Desk, tmp_path: Path) -> None:
    assert "choose the file again" in desk.upload(tmp_path / "gone.nii")


@pytest.mark.parametrize(
    ("room", "step", "fault", "words"),
    [
        (opening, "read_series", PipelineError("Set the key of the site first."), "Set the key of the site first."),
        (viewer, "write_viewer_volume", RuntimeError("No space left on /device"), "free disk space"),
    ],
)
def test_a_series_that_cannot_be_shown_is_said(
    desk: Desk, file: Path, monkeypatch: pytest.MonkeyPatch, room: ModuleType, step: str, fault: Exception, words: str
) -> None:
    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(room, step, fail)
    said = desk.open(file)
    assert words in said
    assert "/device" not in said
    assert desk.state.series_key == ""


def test_several_warnings_are_a_list(desk: Desk, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def warned(study: Study, key: str) -> Volume:
        volume = read_series(study, key)
        return replace(volume, warnings=(CaseWarning("a", "One < two."), CaseWarning("b", "Three.")))

    monkeypatch.setattr(opening, "read_series", warned)
    assert "<li>One &lt; two.</li><li>Three.</li>" in desk.open(file)
