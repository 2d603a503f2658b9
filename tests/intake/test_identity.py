"""The site's key: created once, private, the same for concurrent processes."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.intake import case_id, case_key


@pytest.fixture
def data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("FIBROREVIEW_SITE_KEY")
    monkeypatch.setenv("FIBROREVIEW_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_key_file_is_made_once_and_private(data_folder: Path) -> None:
    key = case_key()
    assert case_key() == key
    assert len(key) == 64
    assert [stat.S_IMODE(p.stat().st_mode) for p in data_folder.iterdir()] == [0o600]


def test_all_who_ask_at_once_get_one_key(data_folder: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(lambda _: case_key(), range(64)))) == 1
    assert len(list(data_folder.iterdir())) == 1


def test_environment_comes_first(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIBROREVIEW_SITE_KEY", "ours")
    assert case_key() == b"ours"
    assert not data_folder.exists()


def test_other_site_other_id(monkeypatch: pytest.MonkeyPatch) -> None:
    here = case_id([b"1.2.3"])
    monkeypatch.setenv("FIBROREVIEW_SITE_KEY", "another")
    assert case_id([b"1.2.3"]) != here


def test_parts_do_not_run_together() -> None:
    assert case_id([b"1.2", b"3"]) != case_id([b"1.", b"23"])


def test_no_place_for_the_key(data_folder: Path) -> None:
    data_folder.write_text("a file where the folder should be")
    with pytest.raises(PipelineError, match="FIBROREVIEW_DATA") as refused:
        case_key()
    assert str(data_folder) not in str(refused.value)
