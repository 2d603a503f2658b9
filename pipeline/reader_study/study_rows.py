"""The stored rows of a study, read again only when a file has changed."""

from __future__ import annotations

import threading
from pathlib import Path

from pipeline.errors import StudyError
from pipeline.reader_study.protocol import Protocol
from pipeline.reader_study.work_list import Row
from pipeline.reviews.store import PATTERN, ReviewStore


class StudyRows:
    """Rows of ``folder``, which several processes may write."""

    def __init__(self, folder: Path) -> None:
        self.store = ReviewStore(folder)
        self._folder = folder
        self._lock = threading.Lock()
        self._state: object = None
        self._rows: tuple[Row, ...] = ()

    def all(self) -> tuple[Row, ...]:
        """All rows, the oldest first."""
        with self._lock:
            state = self._files()
            if state != self._state:
                records = self.store.rows().to_dict("records")
                self._rows = tuple({str(column): str(text) for column, text in row.items()} for row in records)
                self._state = state
            return self._rows

    def refuse_changed(self, protocol: Protocol) -> None:
        """Refuse a protocol under which a stored row was not made.

        Raises:
            StudyError: says how many rows.
        """
        others = sum(row["protocol_sha256"] != protocol.sha256 for row in self.all())
        if others:
            raise StudyError(
                f"study.yaml was changed after reads were stored ({others} of {len(self.all())} rows have another "
                "protocol): put the old file back."
            )

    def _files(self) -> tuple[tuple[str, int, int], ...]:
        files = sorted(self._folder.glob(PATTERN))
        return tuple((file.name, (status := file.stat()).st_size, status.st_mtime_ns) for file in files)
