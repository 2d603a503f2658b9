"""What readers have been shown: recorded when it is sent, whether or not a review is saved.

A session has no reader until a code is entered; then all that it was shown, before and after, counts for that code.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import defaultdict
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from pipeline.intake.faults import describe
from pipeline.reviews.csv_rows import Layout
from pipeline.reviews.folder import FolderRows, OwnFile
from pipeline.reviews.record import is_reader_code, reader_code

KIND = "shown"
PATTERN = f"{KIND}-*.csv"
COLUMNS = ("schema", "entry_id", "recorded_at", "session", "reader", "case_id")
"""A row says that a session was shown a case's result (``case_id``), or that a reader used it (``reader``)."""
SCHEMA = 1
log = logging.getLogger(__name__)


class ShownLedger:
    """Append-only files beside the reviews, one per process, flushed to disk row by row."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own = OwnFile(folder, KIND, COLUMNS)
        self.file = self._own.path
        self.writing: AbstractContextManager[object] = nullcontext()
        """Held while a row is written; as that of ``ReviewStore``."""
        self._files = FolderRows(folder, PATTERN, Layout(COLUMNS, key="entry_id"))
        self._lock = threading.RLock()
        self._cases: dict[str, set[str]] = defaultdict(set)
        self._sessions: dict[str, set[str]] = defaultdict(set)
        self._unwritten: list[list[str]] = []

    def record_shown(self, session: str, case_id: str) -> None:
        """The AI's result on this case is about to be sent to this session."""
        with self._lock:
            self._refresh()
            if case_id not in self._cases[session]:
                self._add(session, case_id=case_id)

    def record_reader(self, session: str, reader: str) -> None:
        """This code was entered in this session; what is no valid code is ignored."""
        reader = reader_code(reader)
        if not session or not is_reader_code(reader):
            return
        with self._lock:
            self._refresh()
            if session not in self._sessions[reader]:
                self._add(session, reader=reader)

    def has_seen(self, reader: str, session: str, case_id: str) -> bool:
        """Whether this session, or another one in which this code was entered, was shown the result on this case."""
        with self._lock:
            self._refresh()
            sessions = {session, *self._sessions.get(reader_code(reader), ())}
            return any(case_id in self._cases.get(one, ()) for one in sessions)

    def _add(self, session: str, *, reader: str = "", case_id: str = "") -> None:
        """Count it from now on, and write it. Where the folder cannot be written, that is tried again next time.

        A reader who only looks is not kept from the result by a full disk; while this process lives it counts anyway.
        """
        self._count(session, reader, case_id)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._unwritten.append([str(SCHEMA), uuid.uuid4().hex, now, session, reader, case_id])
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            while self._unwritten:
                with self.writing:
                    self._own.write(self._unwritten[0])
                del self._unwritten[0]
        except OSError as error:
            log.warning("what was shown: %s, %d entries not written", describe(error), len(self._unwritten))

    def _refresh(self) -> None:
        """Take up what other processes have written. Nothing that was shown is ever forgotten."""
        for _, row in self._files.look()[1]:
            self._count(*(row.cells.get(column, "") for column in ("session", "reader", "case_id")))

    def _count(self, session: str, reader: str, case_id: str) -> None:
        if reader:
            self._sessions[reader_code(reader)].add(session)
        if case_id:
            self._cases[session].add(case_id)
