"""Login: hashed passwords, slow guessing, nothing served without it."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import httpx
import pytest
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.errors import ConfigError
from pipeline.page.server import logins as module
from pipeline.page.server.logins import FREE_FAILURES, LONGEST_WAIT_S, Logins, read_logins, save_login
from tests.page.served import served

PASSWORD = "correct horse"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_login(tmp_path / "logins", "reader-1", PASSWORD)
    return tmp_path / "logins"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Times that were waited, s, in no time."""
    noted: list[float] = []

    async def sleep(seconds: float) -> None:
        noted.append(seconds)

    monkeypatch.setattr(module, "sleep", sleep)
    return noted


def checked(logins: Logins, *tries: tuple[str, str]) -> list[bool]:
    async def check() -> list[bool]:
        return [await logins.check(name, password) for name, password in tries]

    return anyio.run(check)


def test_a_password_is_kept_as_a_hash_and_compared(file: Path) -> None:
    assert PASSWORD not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    tries = [("reader-1", PASSWORD), ("reader-1", PASSWORD[:-1]), ("reader-2", PASSWORD), ("reader-1", ""), ("", "")]
    assert checked(Logins(file), *tries, ("nobody", "nobody")) == [True, *[False] * 5]


def test_a_second_password_replaces_the_first(file: Path) -> None:
    save_login(file, "reader-2", "another password")
    save_login(file, "reader-1", "changed password")
    assert checked(Logins(file), ("reader-1", PASSWORD), ("reader-1", "changed password")) == [False, True]
    assert list(read_logins(file)) == ["reader-1", "reader-2"]


def test_guessing_becomes_slow_for_this_name_alone(file: Path, waits: list[float]) -> None:
    logins = Logins(file)
    assert not any(checked(logins, *[("reader-1", "wrong")] * (FREE_FAILURES + 4)))
    assert waits == pytest.approx([1, 3, 7, 15], abs=2)  # each after the one before
    waits.clear()
    assert checked(logins, ("other", "wrong")) == [False]
    assert waits == []
    assert checked(logins, ("reader-1", PASSWORD), ("reader-1", PASSWORD)) == [True, True]
    assert len(waits) == 1


def test_many_guesses_at_once_are_no_faster(file: Path, waits: list[float]) -> None:
    logins = Logins(file)

    async def guess() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(60):
                group.start_soon(logins.check, "reader-1", "wrong")

    begin = time.monotonic()
    anyio.run(guess)
    assert len(waits) <= 9
    assert max(waits) <= LONGEST_WAIT_S
    assert time.monotonic() - begin < 20  # the others were refused without a comparison


def test_names_that_nobody_has_fill_no_memory(file: Path, waits: list[float]) -> None:
    logins = Logins(file)
    assert not any(checked(logins, *[("x" * 100_000 + str(number), "wrong") for number in range(8)]))
    assert list(logins._failures) == [""]


@pytest.mark.parametrize("content", ["", "reader-1", "reader-1:secret", "a b:$argon2id$x", "\xff"])
def test_a_file_that_holds_no_logins_stops_the_page(tmp_path: Path, content: str) -> None:
    file = tmp_path / "logins"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"logins|LOGINS"):
        Logins(file)


def test_the_command_refuses_a_short_password_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "logins"
    short = CliRunner().invoke(app, ["login", str(file), "r1", "--password", "short"])
    assert (short.exit_code, short.stderr.count("\n")) == (2, 1)
    assert not file.exists()
    assert CliRunner().invoke(app, ["login", str(file), "r1"], input=f"{PASSWORD}\n{PASSWORD}\n").exit_code == 0
    assert checked(Logins(file), ("r1", PASSWORD)) == [True]


def test_without_a_login_nothing_of_the_page_is_served(file: Path, tmp_path: Path) -> None:
    event = {"data": [None], "fn_index": 0, "session_hash": "s"}
    with served(tmp_path, "--logins", str(file)) as page, httpx.Client(base_url=page.address) as client:
        client.get("/")
        assert "components" not in client.get("/config").text
        assert client.post("/gradio_api/queue/join", json=event).status_code in (401, 422)
        assert client.post("/gradio_api/upload", files={"files": b"x"}).status_code == 401
        assert client.get("/gradio_api/info").status_code == 401
        assert client.post("/login", data={"username": "reader-1", "password": "wrong"}).status_code == 400
        assert client.post("/login", data={"username": "reader-1", "password": PASSWORD}).status_code == 200
        assert "components" in client.get("/config").json()
        assert client.post("/gradio_api/upload", files={"files": b"x"}).status_code == 200
        assert client.get("/healthz").status_code == 200
        assert "reader-1" not in page.log.read_text()
