"""A reader study in Chromium, by keys alone: blind first, left and come back to, exported by the coordinator."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from pipeline.reader_study.work_list import AIDED, UNAIDED, arms_of
from tests.browser.axe import serious_faults
from tests.browser.reading_room import Person, RunningRoom, running_room
from tests.reader_study.prepared import make_study

pytestmark = pytest.mark.browser
Arrive = Callable[..., Person]


@pytest.fixture
def open_room(tmp_path: Path) -> Iterator[Callable[..., RunningRoom]]:
    """Prepares a study and opens it."""
    with ExitStack() as rooms:
        yield lambda **study: rooms.enter_context(running_room(*make_study(tmp_path, **study)))


@pytest.fixture
def arrive(chromium: Browser) -> Iterator[Arrive]:
    """Opens a browser for somebody. At the end no console may hold an error."""
    people: list[Person] = []

    def come(room: RunningRoom, code: str, **context: object) -> Person:
        people.append(Person.arrive(chromium, room, code, **context))
        return people[-1]

    yield come
    for person in people:
        person.leave()


def stage(person: Person) -> np.ndarray:
    """(rows, columns, 3) of the slice on the screen."""
    from tests.browser.conftest import Visitor

    person.page.wait_for_function("() => !window.fibroViewer.drawing.busy")
    person.page.wait_for_timeout(200)
    return Visitor(person.page).picture()[8:-8, 8:-8]  # without the frame that shows the focus


def is_grey(picture: np.ndarray) -> bool:
    return float(np.ptp(picture, axis=2).max()) < 12


@pytest.mark.parametrize("drawing", ["", "?viewer=server"], ids=["niivue", "server"])
def test_blind_first_then_the_mask_and_the_heat_when_asked_for(
    open_room: Callable[..., RunningRoom], arrive: Arrive, drawing: str
) -> None:
    room = open_room(cases=2, practice=0)
    reader = arrive(room, "R1")
    page = reader.page
    page.goto(f"{room.address}/read{drawing}")
    reader.ready()
    assert (reader.heading, reader.aided) == ("Case 1 of 2", False)
    assert page.inner_text(".frv-counter") == "slice 7 / 12"
    assert not page.locator(".frv-overlays").is_visible()
    assert is_grey(stage(reader))
    reader.press("h m")  # there is nothing to switch on
    assert is_grey(stage(reader))
    reader.press("ArrowUp s Escape ArrowUp")
    assert page.inner_text(".frv-counter") == "slice 9 / 12"
    reader.answer()
    assert reader.save() == "Saved and locked."
    files = [address for address in reader.requests if "/files/" in address]
    assert not [address for address in files if not address.endswith("/files/1/volume.nii.gz")]
    page.goto(f"{room.address}/read{drawing}")
    reader.ready()
    assert reader.aided
    with_mask = stage(reader)
    assert not is_grey(with_mask)
    assert not page.is_checked(".frv-heat-on")
    reader.answer(20, "n", 2)
    assert reader.save() == "Saved and locked."
    reader.go_on()
    reader.ready()
    reader.answer()
    reader.save()
    page.goto(f"{room.address}/read{drawing}")
    reader.ready()
    before = stage(reader)
    reader.press("h")
    assert np.abs(stage(reader) - before).max() > 30
    reader.answer()
    reader.save()
    rows = room.rows()
    assert [row["overlays_opened"] for row in rows] == ["", "mask", "", "mask|heat"]
    assert rows[0]["slices_viewed"] == "7|8|9"
    assert [row["suspicion"] for row in rows] == ["62", "20", "62", "62"]
    assert all(float(row["active_seconds"]) < 60 for row in rows)


def test_a_draft_survives_a_reload_and_two_tabs_make_one_row(
    open_room: Callable[..., RunningRoom], arrive: Arrive
) -> None:
    room = open_room(cases=2, practice=0)
    reader = arrive(room, "R1")
    page = reader.page
    reader.go_on()
    reader.ready()
    assert page.input_value("#rr-suspicion") == ""
    assert "rr-unset" in str(page.get_attribute("#rr-slider", "class"))
    reader.press("Control+Enter")
    page.wait_for_selector(".fr-error")
    assert page.inner_text("#rr-message") == (
        "Answer before you save: your suspicion, advanced fibrosis, your confidence."
    )
    reader.press("ArrowUp ArrowUp")
    reader.answer(35, "n", 2)
    reader.press("r")
    page.keyboard.type("smooth edge")
    page.reload()
    reader.ready()
    assert page.input_value("#rr-suspicion") == "35"
    assert page.input_value("#rr-reason") == "smooth edge"
    assert page.is_checked("input[name=advanced_fibrosis][value=no]")
    tab = page.context.new_page()
    tab.goto(f"{room.address}/read")
    tab.wait_for_selector('.fr-viewer[data-state="ready"]')
    assert reader.save() == "Saved and locked."
    tab.keyboard.press("Control+Enter")
    tab.wait_for_selector("#rr-after[data-status=already]")
    assert "another tab" in tab.inner_text("#rr-saved")
    rows = room.rows()
    assert [(row["suspicion"], row["reason"]) for row in rows] == [("35", "smooth edge")]
    assert set(rows[0]["slices_viewed"].split("|")) == {"7", "8", "9"}
    page.click("#rr-correct")
    reader.ready()
    assert page.input_value("#rr-suspicion") == "35"
    reader.press("s 4 0 Escape Control+Enter")
    page.wait_for_selector(".fr-error")
    page.fill("#rr-correction", "wrong key")
    assert reader.save() == "Saved and locked."
    assert [row["revises"] for row in room.rows()] == ["", rows[0]["review_id"]]


def test_idle_and_hidden_time_does_not_count(open_room: Callable[..., RunningRoom], arrive: Arrive) -> None:
    room = open_room(cases=2, practice=0)
    reader = arrive(room, "R1")
    page = reader.page
    page.clock.install()
    page.goto(f"{room.address}/read")
    reader.ready()

    def counted() -> tuple[float, int]:
        page.clock.run_for(2500)  # until the draft is kept
        found = page.evaluate("() => JSON.parse(Object.values(localStorage)[0])")
        return found["seconds"], found["pauses"]

    page.mouse.move(300, 300)
    before, _ = counted()
    page.clock.fast_forward(300_000)
    idle, pauses = counted()
    assert 50 < idle - before < 65
    assert pauses == 1
    page.mouse.move(310, 310)
    hide = "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
    page.evaluate(f"{hide} document.dispatchEvent(new Event('visibilitychange')); }}", True)
    before, pauses = counted()
    page.clock.fast_forward(40_000)
    assert counted() == (before, 2)
    page.evaluate(f"{hide} document.dispatchEvent(new Event('visibilitychange')); }}", False)
    page.clock.fast_forward(20_000)
    seen, pauses = counted()
    assert 15 < seen - before < 40
    assert pauses == 2


def test_a_small_study_is_left_and_come_back_to(open_room: Callable[..., RunningRoom], arrive: Arrive) -> None:
    room = open_room(cases=2, practice=1, readers=("R1",))
    reader = arrive(room, "R1")
    reader.go_on()
    reader.ready()
    reader.answer()
    reader.save()
    reader.go_on()
    reader.ready()
    reader.answer()
    reader.save()
    reader.go_on()
    assert "Reference standard: positive" in reader.page.inner_text(".rr-truth")
    reader.page.click("text=Log out")
    reader.page.wait_for_selector("body[data-page=login]")
    elsewhere = arrive(room, "R1")
    assert elsewhere.page.inner_text("#rr-next").startswith("Case 1 of 2, unaided")
    elsewhere.finish()
    assert "All reads are done" in elsewhere.page.inner_text("main")
    coordinator = arrive(room, "K1")
    assert "6 of 6" in coordinator.page.inner_text("#rr-progress")
    with coordinator.page.expect_download() as download:
        coordinator.page.click("#rr-export")
    assert len(list(csv.DictReader(download.value.path().open(newline="")))) == 6


@pytest.mark.slow
@pytest.mark.parametrize("design", ["sequential", "crossover"])
def test_a_whole_study_of_two_readers(open_room: Callable[..., RunningRoom], arrive: Arrive, design: str) -> None:
    room = open_room(cases=4, practice=1, design=design)
    protocol = room.prepared.protocol
    for code in ("R1", "R2"):
        reader = arrive(room, code)
        reader.finish(suspicion=70 if code == "R1" else 30)
        if design == "crossover":
            assert "second one opens on" in reader.page.inner_text("main")
    if design == "crossover":
        assert {(row["reader"], row["arm"]) for row in room.rows()} == {
            (code, arms_of(protocol, code)[0]) for code in ("R1", "R2")
        }
        room.wait(29)
        for code in ("R1", "R2"):
            arrive(room, code).finish()
    coordinator = arrive(room, "K1").page
    coordinator.fill("input[name=name]", "trial")
    coordinator.click("text=Close the study >> nth=-1")
    coordinator.wait_for_selector("#rr-results")
    with coordinator.expect_download() as download:
        coordinator.click("#rr-export")
    table = list(csv.DictReader(download.value.path().open(newline="")))
    assert len(table) == 20
    counted = {(row["reader"], row["case_id"], row["arm"]) for row in table if row["practice"] == "no"}
    cases = [case.case_id for case in protocol.cases if not case.practice]
    assert counted == {(code, case, arm) for code in ("R1", "R2") for case in cases for arm in (UNAIDED, AIDED)}
    assert {row["truth"] for row in table} == {"0", "1"}
    assert {row["protocol_sha256"] for row in table} == {protocol.sha256}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_of_a_study_has_a_serious_fault(
    open_room: Callable[..., RunningRoom], arrive: Arrive, scheme: str
) -> None:
    room = open_room(cases=2, practice=1)
    reader = arrive(room, "R1", color_scheme=scheme)
    page = reader.page

    def checked(address: str) -> None:
        page.goto(f"{room.address}/{address}")
        assert serious_faults(page) == []

    checked("")
    checked("read")
    page.keyboard.press("?")
    assert serious_faults(page) == []
    page.keyboard.press("Escape")
    reader.answer()
    reader.save()
    assert serious_faults(page) == []
    checked("read")  # aided
    reader.ready()
    reader.answer()
    reader.save()
    checked("feedback?number=2")
    coordinator = arrive(room, "K1", color_scheme=scheme)
    coordinator.page.goto(f"{room.address}/coordinator")
    assert serious_faults(coordinator.page) == []
    page.context.clear_cookies()
    checked("login")
    checked("invite#token")
