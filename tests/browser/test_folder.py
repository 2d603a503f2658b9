"""A folder as it is: chosen by the button or dropped, without zipping it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Visitor
from tests.phantoms import make_volume_image, write_dicom_series

pytestmark = pytest.mark.browser
DROP = """async () => {
  const input = document.querySelector('#fr-upload input[type=file]');
  const entry = (file) => ({ isFile: true, isDirectory: false, file: (done) => done(file) });
  const files = window.folder.map((file) => entry(file));
  const parts = [files.slice(0, 5), files.slice(5), []];
  const folder = { isDirectory: true, createReader: () => ({ readEntries: (done) => done(parts.shift()) }) };
  const event = new Event('drop', { bubbles: true, cancelable: true });
  event.dataTransfer = { items: [{ webkitGetAsEntry: () => folder }] };
  input.closest('#fr-upload').firstElementChild.dispatchEvent(event);
}"""
"""Drops a folder of the files in ``window.folder``, which comes in two parts, as browsers give large ones."""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_dicom_series(make_volume_image((48, 40, 12), (6.5, 6.0, 20.0)), tmp_path / "study" / "series 1")
    (tmp_path / "study" / ".DS_Store").write_bytes(b"no image")
    (tmp_path / "study" / "readme.txt").write_text("no image")
    return tmp_path / "study"


def test_a_folder_is_chosen_and_opened(visitor: Visitor, study: Path) -> None:
    with visitor.page.expect_file_chooser() as chosen:
        visitor.page.click(".fr-folder")
    chosen.value.set_files(study)
    visitor.page.wait_for_selector('.fr-viewer[data-state="ready"]')
    assert visitor.page.inner_text("#fr-series").count("12 slices") == 1
    assert "files" in visitor.page.inner_text(".fr-opened")
    visitor.analyse()


def test_a_folder_is_dropped_and_opened(visitor: Visitor, study: Path) -> None:
    files = [{"name": file.name, "bytes": list(file.read_bytes())} for file in (study / "series 1").iterdir()]
    build = "(files) => { window.folder = files.map((f) => new File([new Uint8Array(f.bytes)], f.name)); }"
    visitor.page.evaluate(build, files)
    visitor.page.evaluate(DROP)
    visitor.page.wait_for_selector('.fr-viewer[data-state="ready"]')
    assert visitor.page.inner_text(".fr-opened") == "12 files"
