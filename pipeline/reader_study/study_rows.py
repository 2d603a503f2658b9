"""The stored rows of a study, kept in memory: what was read once is not read again."""

from __future__ import annotations

import threading
from pathlib import Path

from pipeline.errors import StudyError
from pipeline.reader_study.protocol import Protocol
from pipeline.reader_study.work_list import Row
from pipeline.reviews.folder import FolderRows
from pipeline.reviews.schema import texts_of
from pipeline.reviews.store import LAYOUT, PATTERN, ReviewStore


class StudyRows:
    """Rows of ``folder``, which several processes may write."""

    def __init__(self, folder: Path) -> None:
        self.store = ReviewStore(folder)
        self._files = FolderRows(folder, PATTERN, LAYOUT)
        self._lock = threading.Lock()
        self._by_file: dict[Path, list[Row]] = {}
        self._rows: tuple[Row, ...] = ()

    def all(self) -> tuple[Row, ...]:
        """All rows, each id once, the oldest first; as ``ReviewStore.rows``."""
        with self._lock:
            forgotten, fresh = self._files.look()
            for file in forgotten:
                self._by_file.pop(file, None)
            for file, row in fresh:
                self._by_file.setdefault(file, []).append(texts_of(row.cells))
            if forgotten or fresh:
                self._rows = self._in_order()
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

    def _in_order(self) -> tuple[Row, ...]:
        unique: dict[str, Row] = {}
        for file in sorted(self._by_file):
            for row in self._by_file[file]:
                unique.setdefault(row["review_id"], row)
        return tuple(sorted(unique.values(), key=lambda row: row["saved_at"]))
