"""A case's folders: apart, unguessable, and gone when they should be."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.owned_folder import LOCK, PREFIX, sweep_ownerless
from pipeline.page.state.open_cases import KEEP_UPLOAD_S, DiskBudget, OpenCase, OpenCases


class Clock:
    """A clock that moves only when it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cases(clock: Clock) -> Iterator[OpenCases]:
    made = OpenCases(keep_s=100, clock=clock)
    yield made
    made.close()


def fill(case: OpenCase) -> OpenCase:
    (case.private / "volume").write_text("voxels")
    (case.served / "volume").write_text("voxels")
    return case


def test_private_and_served_have_names_that_do_not_tell_each_other(cases: OpenCases) -> None:
    one, two = cases.open("a"), cases.open("a")
    assert len({one.private.name, one.served.name, two.private.name, two.served.name}) == 4
    assert cases.served_root in one.served.parents
    assert cases.served_root not in one.private.parents


def test_a_discarded_case_is_stopped_and_deleted(cases: OpenCases) -> None:
    case = fill(cases.open("a"))
    cases.discard(case.key)
    assert case.stop.is_set()
    assert not case.private.exists()
    assert not case.served.exists()
    assert cases.find(case.key) is None
    assert cases.find_served(case.served.name) is None


def test_leaving_deletes_only_the_leavers_cases(cases: OpenCases) -> None:
    mine, other = fill(cases.open("a")), fill(cases.open("b"))
    cases.discard_session("a")
    assert not mine.served.exists()
    assert other.served.exists()


def test_time_deletes_what_nobody_touched(cases: OpenCases, clock: Clock) -> None:
    idle, used = fill(cases.open("a")), fill(cases.open("a"))
    clock.now = 90
    assert cases.find(used.key)
    clock.now = 150
    cases.sweep()
    assert not idle.private.exists()
    assert used.private.exists()


def test_another_series_gets_another_served_name(cases: OpenCases) -> None:
    case = fill(cases.open("a"))
    fresh = cases.serve_anew(case)
    assert fresh.private == case.private
    assert not case.served.exists()
    assert list(fresh.served.iterdir()) == []
    assert cases.find(case.key) == fresh
    assert case.stop.is_set()
    assert not fresh.stop.is_set()


def test_what_a_dead_process_left_is_deleted_and_a_living_ones_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living = OpenCases(keep_s=100)
    code = (
        "import sys, os, tempfile; tempfile.tempdir = sys.argv[1]; from pipeline.page.state.open_cases import OpenCases"
    )
    code += "; print(OpenCases(keep_s=9).root, flush=True); os._exit(9)"
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    dead = Path(ended.stdout.strip())
    assert dead.parent == tmp_path.resolve()
    assert (dead / "uploads").is_dir()
    for one in (living.root, dead, living.root / LOCK, dead / LOCK):
        os.utime(one, (0, 0))
    living.sweep()
    assert living.root.exists()
    assert not dead.exists()
    OpenCases(keep_s=100).close()
    assert living.root.exists()
    living.close()
    assert not list(tmp_path.iterdir())
    living.sweep()


def test_a_folder_that_is_being_made_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    new, old, foreign = (tmp_path / f"{name}" for name in (f"{PREFIX}new", f"{PREFIX}old", "fibroreview-benchmark-1"))
    for folder in (new, old, foreign):
        folder.mkdir()
    os.utime(old, (0, 0))
    sweep_ownerless()
    assert [folder.exists() for folder in (new, old, foreign)] == [True, False, True]


def test_a_folder_that_is_about_to_be_locked_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    new, old = (tmp_path / f"{PREFIX}{name}" for name in ("new", "old"))
    for folder in (new, old):
        folder.mkdir()
        (folder / LOCK).touch()
    os.utime(old / LOCK, (0, 0))
    sweep_ownerless()
    assert (new.exists(), old.exists()) == (True, False)


def test_an_upload_that_nobody_opens_is_deleted_by_time(cases: OpenCases, clock: Clock) -> None:
    put(cases.uploads / "old" / "Doe_Jane.nii")
    cases.sweep()
    clock.now += KEEP_UPLOAD_S - 1
    put(cases.uploads / "new" / "Doe_Jane.nii")
    cases.sweep()
    assert {path.name for path in cases.uploads.iterdir()} == {"old", "new"}
    clock.now += 1
    cases.sweep()
    assert [path.name for path in cases.uploads.iterdir()] == ["new"]


def test_the_first_files_of_an_upload_that_still_arrives_stay(cases: OpenCases, clock: Clock) -> None:
    put(cases.uploads / "before")
    cases.sweep()
    clock.now += 1
    began = clock.now
    cases.arriving_since = lambda: began
    put(cases.uploads / "first")
    cases.sweep()
    clock.now += KEEP_UPLOAD_S + 1
    cases.sweep()
    assert [path.name for path in cases.uploads.iterdir()] == ["first"]
    cases.arriving_since = lambda: None
    cases.sweep()
    assert not [*cases.uploads.iterdir()]


def put(file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"x")


def test_a_served_file_belongs_to_its_cases_session(cases: OpenCases) -> None:
    one, other = cases.open("one"), cases.open("other")
    assert cases.session_of_file(one.served / "a.nii") == "one"
    assert cases.session_of_file(other.served / "a.nii") == "other"
    for path in (one.private / "a.nii", one.served, cases.root / "served" / "x" / "a", one.served / ".." / "a"):
        assert cases.session_of_file(path) is None
    cases.discard(one.key)
    assert cases.session_of_file(one.served / "a.nii") is None


def test_what_is_kept_of_a_case_is_forgotten_with_its_files(cases: OpenCases) -> None:
    forgotten: list[str] = []
    cases.when_deleted.append(lambda: forgotten.append("all"))
    case = fill(cases.open("a"))
    cases.serve_anew(case)
    assert forgotten == ["all"]
    cases.discard(case.key)
    assert forgotten == ["all", "all"]


def test_a_discarded_case_is_not_opened_again_by_a_late_series(cases: OpenCases) -> None:
    case = cases.open("a")
    cases.discard(case.key)
    with pytest.raises(InputError, match="closed"):
        cases.serve_anew(case)
    assert cases.find(case.key) is None
    assert not case.private.exists()
    assert not [*cases.served_root.iterdir()]


def test_of_a_sessions_cases_only_named_ones_are_kept(cases: OpenCases) -> None:
    first, second, other = cases.open("a"), cases.open("a"), cases.open("b")
    cases.keep_only("a", {second.key})
    assert [cases.find(case.key) for case in (first, second, other)] == [None, second, other]


def test_who_leaves_the_browser_leaves_no_case(cases: OpenCases) -> None:
    mine, other, nobody = cases.open("a", "me"), cases.open("b", "you"), cases.open("c", "")
    cases.discard_visitor("me")
    cases.discard_visitor("")
    assert [cases.find(case.key) for case in (mine, other, nobody)] == [None, other, nobody]


def test_a_visitor_opens_so_many_cases_and_another_one_is_not_affected(clock: Clock) -> None:
    cases = OpenCases(keep_s=100, budget=DiskBudget(cases_per_visitor=2), clock=clock)
    first = cases.open("1", "a")
    cases.open("2", "a")
    with pytest.raises(InputError, match="2 cases are open"):
        cases.open("3", "a")
    cases.open("4", "b")
    cases.discard(first.key)
    cases.open("3", "a")
    cases.close()


def test_no_case_is_opened_where_the_disk_is_full(clock: Clock) -> None:
    for budget in (DiskBudget(total_bytes=100), DiskBudget(free_bytes=1 << 60)):
        cases = OpenCases(keep_s=100, budget=budget, clock=clock)
        (cases.uploads / "a").write_bytes(b"x" * 101)
        with pytest.raises(InputError, match="no room"):
            cases.open("1", "a")
        assert not (cases.root / "private").exists()
        cases.close()


def test_counting_bears_cases_that_are_deleted_meanwhile(cases: OpenCases) -> None:
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            case = cases.open("a")
            for number in range(5):
                (case.private / "results" / str(number)).mkdir(parents=True)
            cases.discard(case.key)

    visitors = [threading.Thread(target=come_and_go) for _ in range(3)]
    for visitor in visitors:
        visitor.start()
    try:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            assert cases.bytes_used() >= 0
            cases.sweep()
    finally:
        done.set()
        for visitor in visitors:
            visitor.join()
