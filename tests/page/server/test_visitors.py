"""Cookies cannot be made up, and the owner of a session in use is never forgotten."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.page.server import visitors as module
from pipeline.page.server.visitors import BURST, COOKIE, Use, Visitors
from pipeline.page.state.open_cases import OpenCases
from tests.page.server.client import client_for, visit


@dataclass
class Asking:
    cookies: dict[str, str] = field(default_factory=dict)


def test_a_cookie_names_its_visitor_to_this_server_only() -> None:
    visitors = Visitors()
    cookie = visitors.new_cookie()
    visitor = visitors.visitor_of(Asking({COOKIE: cookie}))
    assert len(visitor) == 32
    assert Visitors().visitor_of(Asking({COOKIE: cookie})) == ""


@pytest.mark.parametrize("forge", ["other", "unsigned", "cut", "empty", "signature only", "none", "upper case"])
def test_a_made_up_cookie_is_none(forge: str) -> None:
    visitors = Visitors()
    cookie = visitors.new_cookie()
    visitor, _, signature = cookie.partition(".")
    text = {
        "other": f"{'0' * 32}.{signature}",
        "unsigned": visitor,
        "cut": cookie[:-1],
        "empty": "",
        "signature only": f".{signature}",
        "none": "a" * 32,
        "upper case": cookie.upper(),
    }[forge]
    assert visitors.visitor_of(Asking({COOKIE: text})) == ""


def test_many_sessions_do_not_take_away_one_that_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SESSIONS", 50)
    visitors = Visitors(clock=itertools.count().__next__)
    visitors.in_use = {"open"}.__contains__
    assert visitors.use("open", "mine") is Use.OWN
    assert visitors.use("idle", "mine") is Use.OWN
    for number in range(200):
        visitors.use(f"flood {number}", "attacker")
    assert visitors.use("open", "attacker") is Use.FOREIGN
    assert visitors.use("open", "mine") is Use.OWN
    assert visitors.use("idle", "attacker") is Use.OWN  # nothing of it was kept anywhere
    assert len(visitors._session_owner) <= 51


def test_a_session_that_is_used_now_and_then_outlives_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SESSIONS", 50)
    visitors = Visitors(clock=itertools.count().__next__)
    for number in range(200):
        visitors.use(f"flood {number}", "attacker")
        if number % 40 == 0:
            assert visitors.use("mine", "me") is Use.OWN
    assert visitors.use("mine", "attacker") is Use.FOREIGN


def test_the_progress_of_an_upload_is_for_its_visitor(cases: OpenCases) -> None:
    client = client_for(cases)
    mine = visit(client)
    address = "/gradio_api/upload_progress?upload_id=u1"
    assert client.post("/gradio_api/upload?upload_id=u1", files={"files": b"x"}).status_code == 200
    visit(client)
    assert client.get(address).status_code == 403
    client.cookies.clear()
    assert client.get(address).status_code == 403
    client.cookies.set(COOKIE, mine)
    assert client.get(address).status_code == 200


def test_browsers_without_the_cookie_share_one_visitors_limits(cases: OpenCases) -> None:
    visitors = Visitors()
    client = client_for(cases, visitors)
    for number in range(4):
        file = cases.uploads / str(number)
        file.write_bytes(b"x")
        visitors.uploaded([file], "")
    client.cookies.set(COOKIE, "a" * 32)  # made up
    assert client.post("/gradio_api/upload", files={"files": b"x"}).status_code == 429
    visit(client)
    assert client.post("/gradio_api/upload", files={"files": b"x"}).status_code == 200


def test_files_of_one_upload_count_once_until_all_are_opened(tmp_path: Path) -> None:
    visitors = Visitors()
    files = [tmp_path / str(number) for number in range(300)]
    for file in files:
        file.touch()
    visitors.uploaded(files, "me")
    assert visitors.unopened("me") == 1
    for file in files[:-1]:
        assert visitors.claim(file, "me") is True
    assert visitors.unopened("me") == 1
    visitors.claim(files[-1], "me")
    assert visitors.unopened("me") == 0
    assert not visitors._batches


def test_files_that_time_has_deleted_are_forgotten(tmp_path: Path) -> None:
    visitors = Visitors()
    file = tmp_path / "a"
    file.touch()
    visitors.uploaded([file], "me")
    file.unlink()
    assert visitors.unopened("other") == 0
    assert not visitors._file_owners


def test_a_flood_of_new_sessions_is_stopped_and_old_ones_go_on() -> None:
    now = [0.0]
    visitors = Visitors(clock=lambda: now[0])
    assert visitors.use("mine", "me") is Use.OWN
    answers = [visitors.use(str(number), "attacker") for number in range(2 * BURST)]
    assert answers.count(Use.OWN) == BURST - 1
    assert visitors.use("mine", "me") is Use.OWN
    assert visitors.use("another", "you") is Use.FLOOD
    now[0] += 2
    assert visitors.use("another", "you") is Use.OWN


def test_uploads_that_arrive_count_too(tmp_path: Path) -> None:
    visitors = Visitors()
    with visitors.uploading("me"), visitors.uploading("me"):
        assert visitors.unopened("me") == 2
        assert visitors.unopened("you") == 0
        assert visitors.arriving_since() is not None
    assert visitors.unopened("me") == 0
    assert visitors.arriving_since() is None


def test_the_parts_of_a_large_folder_are_one_upload(tmp_path: Path) -> None:
    visitors = Visitors()
    for part in range(6):
        files = [tmp_path / f"{part} {number}" for number in range(3)]
        for file in files:
            file.touch()
        assert visitors.unopened("me", "u1") == 0
        visitors.uploaded(files, "me", "u1")
    assert visitors.unopened("me") == 1


def test_servers_on_other_ports_have_cookies_of_their_own() -> None:
    one, other = Visitors(7860), Visitors(7861)
    assert one.cookie != other.cookie
