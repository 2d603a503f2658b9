"""Readers and coordinators of a small study over HTTP, with a clock that the test sets."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from httpx import Response
from starlette.testclient import TestClient

from pipeline.page.server.settings import PageSettings
from pipeline.reader_study.prepare import Prepared
from pipeline.reader_study.study_folder import StudyFolder
from pipeline.reader_study.work_list import Read, reads_of
from pipeline.reading_room.application import build_room
from pipeline.reading_room.room import Room
from tests.reader_study.prepared import make_study

HERE = "http://127.0.0.1:7860"
PASSWORD = "correct horse"
ANSWERS: dict[str, Any] = {"suspicion": 62, "advanced_fibrosis": "yes", "confidence": 4}
AIDED_ANSWERS: dict[str, Any] = {**ANSWERS, "agreement": "agree", "segmentation_quality": 2}


@dataclass
class Clock:
    """Time of the room: the real one, and what the test adds."""

    added: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.added


@dataclass
class Trial:
    """A study that is open."""

    folder: StudyFolder
    prepared: Prepared
    room: Room
    clock: Clock
    application: Any

    @classmethod
    def make(cls, root: Path, **study: Any) -> Trial:
        folder, prepared = make_study(root, **study)
        return cls.reopen(folder, prepared)

    @classmethod
    def reopen(cls, folder: StudyFolder, prepared: Prepared) -> Trial:
        """Another process on the same folder."""
        clock = Clock()
        room = Room.open(folder.root, now=clock)
        return cls(folder, prepared, room, clock, build_room(room, PageSettings(), None))

    def client(self) -> TestClient:
        """A browser that nobody is logged in with."""
        headers = {"origin": HERE, "accept": "text/html"}
        return TestClient(self.application, HERE, headers=headers, follow_redirects=False)

    def log_in(self, code: str) -> Person:
        """Accept the invitation, or log in with the password where it was accepted before."""
        client = self.client()
        account = self.room.accounts.find(code)
        assert account is not None
        if account.password_hash:
            answer = client.post("/login", data={"code": code, "password": PASSWORD})
        else:
            token = self.prepared.invitations[code]
            answer = client.post("/invite", data={"token": token, "password": PASSWORD, "again": PASSWORD})
        assert answer.status_code == 303, answer.text
        return Person(self, code, client)

    def reads(self, code: str) -> tuple[Read, ...]:
        return reads_of(self.prepared.protocol, code)


@dataclass
class Person:
    """Somebody who is logged in."""

    trial: Trial
    code: str
    client: TestClient

    @property
    def next(self) -> Read | None:
        return self.trial.room.work(self.code).next

    def save(self, number: int, **answers: Any) -> Response:
        return self.client.post("/save", json={"number": number, **answers}, headers={"accept": "application/json"})

    def read(self, **answers: Any) -> Read:
        """Open the next read, answer it and save it."""
        read = self.next
        assert read is not None
        page = self.client.get("/read")
        assert page.status_code == 200, page.text
        given = (AIDED_ANSWERS if read.arm == "aided" else ANSWERS) | answers
        done = self.save(read.number, **given, opened=self.data(page)["opened"])
        assert done.json()["status"] == "saved", done.text
        return read

    def read_until(self, number: int) -> None:
        """Do all reads before this one."""
        while (read := self.next) is not None and read.number < number:
            self.read()

    @staticmethod
    def data(page: Response) -> dict[str, Any]:
        """What the page's script is given."""
        found = re.search(r'<script type="application/json" id="rr-data">(.*?)</script>', page.text, re.DOTALL)
        assert found, page.text
        return json.loads(found[1])

    def rows(self) -> list[dict[str, str]]:
        return [dict(row) for row in self.trial.room.rows.all() if row["reader"] == self.code]
