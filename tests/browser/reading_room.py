"""A reading room in a process of its own, and people in front of it, for browser tests and screenshots."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page

from pipeline.reader_study.prepare import Prepared
from pipeline.reader_study.study_folder import StudyFolder
from tests.browser.conftest import PATIENCE_MS
from tests.servers import running

PASSWORD = "correct horse"


@dataclass
class RunningRoom:
    """A study that is open on a port."""

    address: str
    folder: StudyFolder
    prepared: Prepared

    def wait(self, days: float) -> None:
        """Set the room's clock ahead."""
        (self.folder.root.parent / "later").write_text(str(days))

    def rows(self) -> list[dict[str, str]]:
        """All stored rows, the oldest first."""
        found: list[dict[str, str]] = []
        for file in sorted(self.folder.reviews.glob("reviews-*.csv")):
            with open(file, encoding="utf-8", newline="") as lines:
                found.extend(csv.DictReader(lines))
        return sorted(found, key=lambda row: row["saved_at"])


@contextmanager
def running_room(folder: StudyFolder, prepared: Prepared) -> Iterator[RunningRoom]:
    """Run ``tests.browser.serve_study`` until the block ends."""
    environment = {**os.environ, "FIBROREVIEW_SITE_KEY": "key of the tests"}
    with running(["tests.browser.serve_study", str(folder.root)], environment) as address:
        yield RunningRoom(address, folder, prepared)


@dataclass
class Person:
    """Somebody in a browser of their own."""

    room: RunningRoom
    code: str
    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @classmethod
    def arrive(cls, browser: Browser, room: RunningRoom, code: str, **context: object) -> Person:
        """Open a browser and log in: by the invitation, or by the password where that was used."""
        opened = browser.new_context(
            **({"viewport": {"width": 1366, "height": 768}, "accept_downloads": True} | context)
        )
        opened.set_default_timeout(PATIENCE_MS)
        person = cls(room, code, opened.new_page())
        page = person.page
        page.on("console", lambda said: said.type == "error" and person.errors.append(said.text))
        page.on("pageerror", lambda error: person.errors.append(str(error)))
        page.on("request", lambda request: person.requests.append(request.url))
        if '"password_hash": ""' in _account(room, code):
            page.goto(f"{room.address}/invite#{room.prepared.invitations[code]}")
            for name in ("password", "again"):
                page.fill(f"input[name={name}]", PASSWORD)
        else:
            page.goto(f"{room.address}/login")
            page.fill("input[name=code]", code)
            page.fill("input[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-page=work], body[data-page=coordinator]")
        return person

    def leave(self) -> None:
        """Close the browser; no page may have had an error."""
        self.page.context.close()
        assert [error for error in self.errors if "status of 422" not in error] == []  # answers that are missing

    def ready(self) -> None:
        """Wait until the images of a read are shown."""
        self.page.wait_for_selector('.fr-viewer[data-state="ready"]')

    @property
    def heading(self) -> str:
        return self.page.inner_text("h1").removeprefix("FibroReview ").strip()

    @property
    def aided(self) -> bool:
        return self.page.locator(".rr-aided").count() == 1

    def press(self, keys: str) -> None:
        """Press keys one after the other: names of keys, separated by blanks."""
        for key in keys.split():
            self.page.keyboard.press(key)

    def answer(self, suspicion: int = 62, verdict: str = "y", confidence: int = 4) -> None:
        """The whole form by keys, without the mouse."""
        self.press("s " + " ".join(str(suspicion)) + f" Escape {verdict} {confidence}")
        if self.aided:
            self.press("a Shift+Digit2")

    def save(self) -> str:
        """Save by the keys, and return what the page says."""
        self.press("Control+Enter")
        self.page.wait_for_selector("#rr-after:not([hidden])")
        return self.page.inner_text("#rr-saved")

    def go_on(self) -> None:
        """Enter on the button that has the focus."""
        with self.page.expect_navigation():
            self.press("Enter")

    def finish(self, suspicion: int = 62) -> None:
        """All reads from the work list to the end, or to the washout, by keys alone."""
        self.page.goto(self.room.address)
        while self.page.locator("#rr-next").count():
            self.go_on()
            while self.page.locator("body[data-page=read]").count():
                self.ready()
                self.answer(suspicion)
                self.save()
                self.go_on()


def _account(room: RunningRoom, code: str) -> str:
    text = room.folder.accounts_file.read_text()
    return text[text.index(f'"{code}"') :].split("}")[0]
