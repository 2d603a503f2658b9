"""The copy of the reviews at a Hub that fails, stalls, refuses, and stores half."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import _http

from pipeline.errors import ReviewError
from pipeline.reviews import ReviewStore, hub_client
from pipeline.reviews import hub as hub_module
from pipeline.reviews.hub import HubCopy, HubTarget
from pipeline.reviews.shown import ShownLedger
from tests.fake_hub import TOKEN, FakeHub, fake_hub
from tests.reviews.test_store import make_review

NAME = "me/reviews"
KEY = f"datasets/{NAME}"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setattr(hub_client, "ANSWER_S", 0.3)
    monkeypatch.setattr(hub_module, "FIRST_RETRY_S", 0.1)
    # The client's own pauses between its attempts.
    quick = SimpleNamespace(**{**vars(time), "sleep": lambda s: None})
    monkeypatch.setattr(_http, "time", quick)
    with fake_hub() as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", served.address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield served


class Server:
    """The reviews of one process of the page."""

    def __init__(self, folder: Path, *, every_s: float = 3600, start_s: float = 5, **target: object) -> None:
        self.store, self.ledger = ReviewStore(folder), ShownLedger(folder)
        where = HubTarget(NAME, TOKEN, every_s=every_s, start_s=start_s, **target)  # type: ignore[arg-type]
        self.copy = HubCopy(self.store, self.ledger, where)
        self.copy.push()  # behind the first push of its own thread

    def save(self, count: int = 1, **changes: object) -> list[str]:
        return [self.store.append(make_review(**changes)) for _ in range(count)]


def ids_in(folder: Path) -> set[str]:
    return set(ReviewStore(folder).rows()["review_id"])


def wait_for(true, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_data_set_is_made_private_and_a_new_disk_has_what_the_old_one_had(hub: FakeHub, tmp_path: Path) -> None:
    first = Server(tmp_path / "a")
    ids = first.save(3)
    first.ledger.record_shown("s1", "c1")
    first.ledger.record_reader("s1", "R1")
    assert first.copy.words() == "3 reviews not yet stored outside this server."
    assert first.copy.push()
    assert first.copy.words() == ""
    assert hub.repo(KEY).private

    second = Server(tmp_path / "b")
    assert second.copy.words() == ""
    assert ids_in(tmp_path / "b") == set(ids)
    assert second.ledger.has_seen("R1", "s2", "c1")
    second.save(agreement="unsure", revises=ids[0])
    assert second.store.append(make_review(review_id=ids[1])) == ids[1]
    second.copy.push()
    assert len(ids_in(tmp_path / "b")) == 4
    assert len([file for file in hub.repo(KEY).files if file.startswith("reviews-")]) == 2
    for server in (first, second):
        server.copy.close()


def test_a_public_data_set_is_refused_unless_it_is_wanted(hub: FakeHub, tmp_path: Path) -> None:
    HfApi(endpoint=hub.address, token=TOKEN).create_repo(NAME, repo_type="dataset", private=False)
    with pytest.raises(ReviewError, match=r"is public.*FIBROREVIEW_REVIEWS_PUBLIC"):
        Server(tmp_path)
    Server(tmp_path, allow_public=True).copy.close()


@pytest.mark.parametrize("status", [401, 403])
def test_a_start_without_rights_is_refused_at_once(hub: FakeHub, tmp_path: Path, status: int) -> None:
    hub.faults["/api/datasets/"] = status
    with pytest.raises(ReviewError, match="HF_TOKEN"):
        Server(tmp_path)
    assert len(hub.asked) == 1


@pytest.mark.parametrize("fault", [500, "stall"])
def test_a_start_waits_for_a_hub_that_is_down_and_then_gives_up(
    hub: FakeHub, tmp_path: Path, fault, monkeypatch
) -> None:
    monkeypatch.setattr(hub_client.time, "sleep", lambda s: None)
    hub.faults["/api/datasets/"] = fault
    with pytest.raises(ReviewError, match="start again later"):
        Server(tmp_path, start_s=3.5)
    assert len(hub.asked) > 1


FAULTS = [
    ("POST .*/commit/", 500),
    ("POST .*/commit/", 401),
    ("POST .*/commit/", 403),
    ("POST .*/commit/", 409),
    ("POST .*/commit/", 412),
    ("POST .*/commit/", 413),
    ("POST .*/commit/", 429),
    ("POST .*/commit/", "stall"),
    ("POST .*/commit/", "half"),
    ("POST .*/preupload/", 503),
    ("POST .*/preupload/", "drop"),
    ("POST .*/paths-info/", 500),
    ("POST .*/paths-info/", "drop"),
]


@pytest.mark.parametrize(("where", "fault"), FAULTS)
def test_a_failed_push_is_counted_said_and_repeated(hub: FakeHub, tmp_path: Path, where: str, fault, caplog) -> None:
    server = Server(tmp_path / "a")
    ids = server.save(2, comment="SECRET")
    hub.faults[where] = fault
    assert not server.copy.push()
    assert server.copy.words() == (
        "2 reviews not yet stored outside this server: the last attempt failed and will be repeated."
    )
    assert "SECRET" not in caplog.text
    assert "failure 1 in a row" in caplog.text
    ids += server.save()
    assert not server.copy.push()
    hub.faults.clear()
    assert server.copy.push()
    assert server.copy.words() == ""
    server.copy.close()
    Server(tmp_path / "b").copy.close()
    assert ids_in(tmp_path / "b") == set(ids)


def test_a_push_whose_answer_was_lost_is_found_stored(hub: FakeHub, tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.save(2)
    hub.faults["POST .*/commit/"] = "drop"
    assert not server.copy.push()
    assert server.copy.unpushed() == 2
    del hub.faults["POST .*/commit/"]
    assert server.copy.push()
    assert server.copy.unpushed() == 0
    server.copy.close()


def test_pushes_are_repeated_without_being_asked(hub: FakeHub, tmp_path: Path) -> None:
    server = Server(tmp_path, every_s=0.1)
    hub.faults["POST .*/commit/"] = 500
    server.save(2)
    wait_for(lambda: "failed" in server.copy.words())
    hub.faults.clear()
    wait_for(lambda: server.copy.words() == "")
    assert server.copy.unpushed() == 0
    server.copy.close()


def test_nothing_is_sent_while_nothing_is_new(hub: FakeHub, tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.save()
    server.copy.push()
    hub.asked.clear()
    server.copy.push()
    assert hub.asked == []
    server.copy.close()


def test_closing_pushes_for_the_last_time_and_does_not_wait_for_a_dead_hub(
    hub: FakeHub, tmp_path: Path, caplog
) -> None:
    server = Server(tmp_path / "a")
    server.save(2)
    server.copy.close()
    assert server.copy.unpushed() == 0
    other = Server(tmp_path / "b")
    other.save(1)
    hub.faults["POST"] = "stall"
    start = time.monotonic()
    other.copy.close(within_s=0.2)
    assert time.monotonic() - start < 2
    assert "1 reviews were not stored" in caplog.text


def test_rows_of_a_process_that_was_killed_are_pushed_by_the_next_on_that_disk(hub: FakeHub, tmp_path: Path) -> None:
    dead = ReviewStore(tmp_path)
    ids = [dead.append(make_review()) for _ in range(2)]
    with open(dead.file, "ab") as file:
        file.write(b"2,torn")
    server = Server(tmp_path)
    assert server.copy.words() == ""
    server.copy.close()
    Server(tmp_path / "new").copy.close()
    assert ids_in(tmp_path / "new") == set(ids)


def test_files_of_a_living_process_are_left_to_it(hub: FakeHub, tmp_path: Path) -> None:
    first = Server(tmp_path)
    first.save(2)
    second = Server(tmp_path)
    assert second.copy.words() == ""
    assert not [file for file in hub.repo(KEY).files if file.startswith("reviews-")]
    for server in (second, first):
        server.copy.close()
    assert len([file for file in hub.repo(KEY).files if file.startswith("reviews-")]) == 1


@pytest.mark.parametrize("change", ["longer here", "longer there", "different"])
def test_reading_back_loses_no_side(hub: FakeHub, tmp_path: Path, change: str) -> None:
    old = Server(tmp_path / "a")
    ids = old.save(2)
    old.copy.close()
    (name,) = [file for file in hub.repo(KEY).files if file.startswith("reviews-")]
    here, whole = tmp_path / "a" / name, hub.repo(KEY).files[name]
    rows = whole.split(b"\r\n")
    if change == "longer here":
        hub.repo(KEY).files[name] = b"\r\n".join([*rows[:2], b""])
    elif change == "longer there":
        here.write_bytes(b"\r\n".join([*rows[:2], b""]))
    else:
        here.write_bytes(b"\r\n".join([rows[0], rows[2], b""]))
        hub.repo(KEY).files[name] = b"\r\n".join([rows[0], rows[1], b""])
    server = Server(tmp_path / "a")
    assert ids_in(tmp_path / "a") == set(ids)
    server.copy.close()
    Server(tmp_path / "b").copy.close()
    assert ids_in(tmp_path / "b") == set(ids)


CHILD = """
import sys
from pathlib import Path
from tests.reviews.test_hub import Server
from pipeline.reviews import hub
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = Server(Path(sys.argv[1]), every_s=0.05)
for number in range(100_000):
    print(*server.save(), server.copy.unpushed(), flush=True)
"""


def killed_after(hub: FakeHub, folder: Path, rows: int, by: signal.Signals) -> list[tuple[str, int]]:
    """What a process acknowledged until it was killed: ids, and how many were not pushed then."""
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-c", CHILD, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        lines = [child.stdout.readline() for _ in range(rows)]
        child.send_signal(by)
        lines += child.stdout.read().splitlines(keepends=True)
    return [(line.split()[0], int(line.split()[1])) for line in lines if line.endswith("\n")]


@pytest.mark.parametrize("rows", [30, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 7, 60, 111, 180))])
def test_a_killed_server_loses_at_most_what_it_said_was_not_pushed(hub: FakeHub, tmp_path: Path, rows: int) -> None:
    told = killed_after(hub, tmp_path / "a", rows, signal.SIGKILL)
    assert len(told) >= rows
    acknowledged = [review_id for review_id, _ in told]
    assert set(acknowledged) <= ids_in(tmp_path / "a")
    Server(tmp_path / "b").copy.close()
    assert set(acknowledged[: len(told) - told[-1][1]]) <= ids_in(tmp_path / "b")
    Server(tmp_path / "a").copy.close()  # the disk was not lost after all
    Server(tmp_path / "c").copy.close()
    assert set(acknowledged) <= ids_in(tmp_path / "c")


def test_a_server_that_is_asked_to_stop_loses_nothing(hub: FakeHub, tmp_path: Path) -> None:
    told = killed_after(hub, tmp_path / "a", 20, signal.SIGTERM)
    Server(tmp_path / "b").copy.close()
    assert {review_id for review_id, _ in told} <= ids_in(tmp_path / "b")


def test_the_page_says_how_many_are_not_copied(hub: FakeHub, tmp_path: Path) -> None:
    from pipeline.page.server.review_files import open_review_files
    from pipeline.page.server.settings import PageSettings

    files = open_review_files(PageSettings(reviews=tmp_path, reviews_dataset=NAME, hub_token=TOKEN))
    files.store.append(make_review())
    assert files.unpushed_words() == "1 review not yet stored outside this server."
    assert files.copy
    files.copy.close()
    assert open_review_files(PageSettings(reviews=tmp_path)).unpushed_words() == ""


@pytest.fixture(autouse=True)
def _quiet_client() -> None:
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
