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
from tests.phantoms import make_volume_image, write_dicom_series


def test_another_upload_deletes_the_case_before(desk: Desk, file: Path) -> None:
    desk.open(file)
    first = desk.cases.find(desk.state.case_key)
    desk.open(file)
    assert first
    assert not first.private.exists()
    assert not first.served.exists()


def test_on_a_public_space_the_tick_is_asked_for_by_the_server(tmp_path: Path, file: Path) -> None:
    desk = Desk(tmp_path, public=True)
    upload = desk.cases.uploads / "hash" / "upload.nii.gz"
    upload.parent.mkdir()
    shutil.copyfile(file, upload)
    assert "de-identified" in desk.upload(upload, confirmed=False)
    assert desk.state.study is None
    assert not upload.exists()
    desk.cases.close()


def put_upload(desk: Desk, file: Path, name: str = "upload.nii.gz") -> Path:
    upload = desk.cases.uploads / "hash" / name
    upload.parent.mkdir(exist_ok=True)
    shutil.copyfile(file, upload)
    return upload


def test_the_same_upload_of_two_visitors_opens_for_both(desk: Desk, file: Path) -> None:
    upload = put_upload(desk, file)
    desk.visitors.uploaded([upload], "b" * 32)
    desk.upload(upload)
    assert desk.state.study
    assert upload.exists()
    assert desk.visitors.claim(upload, "b" * 32) is True


def test_the_files_of_a_folder_open_as_one_study(desk: Desk, tmp_path: Path) -> None:
    series = write_dicom_series(make_volume_image((40, 40, 8)), tmp_path / "series")
    files = [put_upload(desk, slice_, slice_.name) for slice_ in series]
    note = put_upload(desk, series[0], "readme.txt")
    note.write_text("no image")
    desk.upload_all([*files, note])
    assert desk.state.study is not None
    assert desk.state.study.kind == "dicom"
    assert [listed.slices for listed in desk.state.study.series] == [8]
    assert not any(desk.cases.uploads.rglob("*"))
    [case] = desk.cases._open.values()
    assert not (case.private / "upload").exists()


def test_several_nifti_files_are_no_study(desk: Desk, file: Path) -> None:
    said = desk.upload_all([put_upload(desk, file, "a.nii.gz"), put_upload(desk, file, "b.nii.gz")])
    assert "holds 2 NIfTI files" in said
    assert not any((desk.cases.root / "private").rglob("*.nii.gz"))
    assert not any(desk.cases.uploads.rglob("*"))


def test_one_foreign_file_among_own_ones_refuses_all(desk: Desk, file: Path) -> None:
    own, foreign = put_upload(desk, file, "a.nii.gz"), put_upload(desk, file, "b.nii.gz")
    desk.visitors.uploaded([own], desk.visitor)
    desk.visitors.uploaded([foreign], "b" * 32)
    said = desk.run(desk.opening.upload(desk.state, [str(own), str(foreign)], True, desk.request))
    assert "choose the file again" in said
    assert own.exists()
    assert desk.visitors.owns(own, desk.visitor)


def test_an_upload_opens_once(desk: Desk, file: Path) -> None:
    upload = put_upload(desk, file)
    desk.upload(upload)
    assert "choose the file again" in desk.run(desk.opening.upload(desk.state, [str(upload)], True, desk.request))


@pytest.mark.parametrize(
    "forged",
    [
        "uploads",
        "hash",
        "other visitor's",
        "case",
        "example",
        "link",
        "link to a folder",
        "parent",
        "zero byte",
        "none",
    ],
)
def test_an_event_takes_only_what_its_visitor_uploaded(desk: Desk, file: Path, tmp_path: Path, forged: str) -> None:
    upload = put_upload(desk, file)
    desk.visitors.uploaded([upload], "b" * 32)
    case = desk.cases.open("b")
    (case.private / "a.nii.gz").write_bytes(b"images")
    (desk.cases.uploads / "other").mkdir()
    (desk.cases.uploads / "other" / "link.nii.gz").symlink_to(file)
    (desk.cases.uploads / "linked").symlink_to(tmp_path)
    path = {
        "uploads": desk.cases.uploads,
        "hash": upload.parent,
        "other visitor's": upload,
        "case": case.private / "a.nii.gz",
        "example": file,
        "link": desk.cases.uploads / "other" / "link.nii.gz",
        "link to a folder": desk.cases.uploads / "linked" / file.name,
        "parent": desk.cases.uploads / "x" / ".." / "hash" / upload.name,
        "zero byte": Path(f"{upload}\0"),
        "none": desk.cases.uploads / "hash" / "gone.nii.gz",
    }[forged]
    if forged not in ("other visitor's", "parent"):
        desk.visitors.uploaded([path], desk.visitor)  # even if it were noted as this visitor's
    before = sorted(desk.cases.root.rglob("*"))
    assert "choose the file again" in desk.run(desk.opening.upload(desk.state, [str(path)], True, desk.request))
    assert desk.state.study is None
    assert sorted(desk.cases.root.rglob("*")) == before
    assert file.exists()


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


def test_a_case_is_deleted_at_once_when_it_is_asked_for(desk: Desk, file: Path) -> None:
    desk.open(file)
    case = desk.cases.find(desk.state.case_key)
    assert case
    desk.take(desk.opening.delete(desk.state))
    assert not case.private.exists()
    assert not case.served.exists()
    assert case.stop.is_set()
    assert desk.state.study is None
    assert "Saved reviews stay" in repr(desk.sent)
    assert "open an MRI first" in desk.analyse()
