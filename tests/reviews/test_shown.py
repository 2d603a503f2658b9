"""The ledger of what readers were shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.reviews.shown import ShownLedger


def test_a_readers_sessions_are_known_in_every_process(tmp_path: Path) -> None:
    first, second = ShownLedger(tmp_path), ShownLedger(tmp_path)
    first.record_shown("s1", "c1")
    assert not second.has_seen("R1", "s2", "c1")
    second.record_reader("s1", "r1")
    for ledger in (first, second, ShownLedger(tmp_path)):
        assert ledger.has_seen("R1", "s2", "c1")
        assert ledger.has_seen("R9", "s1", "c1")
        assert not ledger.has_seen("R2", "s2", "c1")
        assert not ledger.has_seen("R1", "s2", "c2")


def test_an_entry_is_written_once_and_on_disk_before_it_is_sent(tmp_path: Path, monkeypatch) -> None:
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_size) or real(fd))
    ledger = ShownLedger(tmp_path)
    ledger.record_shown("s1", "c1")
    assert synced[0] == ledger.file.stat().st_size > 0
    for _ in range(3):
        ledger.record_shown("s1", "c1")
        ledger.record_reader("s1", "R1")
    assert len(ledger.file.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("code", ["", "-H1", "Meyer", "=R1"])
def test_what_is_no_code_is_not_stored(tmp_path: Path, code: str) -> None:
    ShownLedger(tmp_path).record_reader("s1", code)
    assert not list(tmp_path.iterdir())


def test_a_row_cut_short_hides_no_other(tmp_path: Path) -> None:
    ledger = ShownLedger(tmp_path)
    ledger.record_shown("s1", "c1")
    ledger.record_shown("s1", "c2")
    ledger.file.write_bytes(ledger.file.read_bytes()[:-20])
    assert ShownLedger(tmp_path).has_seen("", "s1", "c1")
    assert not ShownLedger(tmp_path).has_seen("", "s1", "c2")
    ledger.record_shown("s1", "c3")
    assert ShownLedger(tmp_path).has_seen("", "s1", "c3")
