"""The review store: append-only CSV files in one folder, one file per process, one writer at a time."""

from __future__ import annotations

import csv
import io
import logging
import os
import uuid
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from pipeline.errors import ReviewError
from pipeline.reviews.cells import as_row
from pipeline.reviews.record import ANSWERS, COLUMNS, Review, check

PATTERN = "reviews-*.csv"
LOCK_SECONDS = 10
END = "\r\n"
log = logging.getLogger(__name__)


class ReviewStore:
    """Reviews in ``folder``. Every process writes a file of its own and reads the files of all.

    >>> store = ReviewStore(Path("reviews"))
    >>> review_id = store.append(Review(reader="R1", case_id="...", advanced_fibrosis="no", confidence=4, ...))
    >>> store.rows()
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / f"reviews-{uuid.uuid4().hex}.csv"

    def append(self, review: Review) -> str:
        """Store the review and return its id once it is flushed to disk. Sets ``saved_at``.

        Idempotent by ``review_id``, so that a double click is one row. A correction is a new review whose ``revises``
        names a stored row of the same reader and case.

        Raises:
            ReviewError: the review is incomplete, contradicts a stored row, or could not be written; it is not stored.
        """
        check(review)
        row = as_row(replace(review, saved_at=datetime.now(UTC)))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / "reviews.lock", timeout=LOCK_SECONDS):
                if not self._is_stored(row):
                    self._write(row)
        except (OSError, Timeout) as error:
            raise ReviewError(
                "The review could not be saved because the review folder cannot be written; keep the page open, free "
                "some disk space, and save again."
            ) from error
        return review.review_id

    def rows(self) -> pd.DataFrame:
        """All reviews of all processes, the oldest first; every cell is a string."""
        rows = [row for file in sorted(self.folder.glob(PATTERN)) for row in _read(file)]
        table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=str)
        return table.sort_values("saved_at", kind="stable", ignore_index=True)

    def has_seen_the_ai(self, reader: str, case_id: str, *, besides: Collection[str] = ()) -> bool:
        """Whether this reader has been shown the AI's result on this case, by the stored rows.

        On the ordinary page the result is shown as soon as the unaided verdict is stored; in a study it is not.

        Args:
            besides: ids of rows to ignore.
        """
        table = self.rows()
        mine = table[(table["reader"] == reader) & (table["case_id"] == case_id) & ~table["review_id"].isin(besides)]
        return bool(((mine["arm"] != "unaided") | (mine["after_reveal"] == "yes")).any())

    def _is_stored(self, row: list[str]) -> bool:
        """Whether the review is stored already.

        Raises:
            ReviewError: it corrects no stored row, or is stored with other answers under the same id.
        """
        new = dict(zip(COLUMNS, row, strict=True))
        stored = {old["review_id"]: old for old in self.rows().to_dict("records")}
        if old := stored.get(new["review_id"]):
            if any(old[column] != new[column] for column in ANSWERS):
                raise ReviewError("This review is saved already; save your changes as a correction.")
            return True
        if new["revises"]:
            revised = stored.get(new["revises"])
            if revised is None:
                raise ReviewError("The review that you correct is not stored; save a new review instead.")
            if (revised["reader"], revised["case_id"]) != (new["reader"], new["case_id"]):
                raise ReviewError("A review can be corrected only by its own reader and for its own case.")
        return False

    def _write(self, row: list[str]) -> None:
        """Append one row, after the header in a new file, and flush it to disk."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator=END)
        # Unbuffered: bytes that could not be written must not follow later, when the file is truncated or closed.
        with open(self.file, "ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            is_new = size == 0
            if is_new:
                writer.writerow(COLUMNS)
            writer.writerow(row)
            left = text.getvalue().encode("utf-8")
            try:
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)  # half a row would spoil the next one
                raise
        if is_new:
            _sync_folder(self.folder)


def _read(file: Path) -> list[list[str]]:
    """The complete rows of one file. A last row cut short by a crash was never acknowledged, and is left out.

    Rows end with CR LF; a line break inside a cell is LF alone, unless an editor changed all line ends. A row that an
    editor has damaged is left out as well, with a warning, so that it does not block further reviews.
    """
    text = file.read_bytes().decode("utf-8-sig", errors="replace")
    complete = text.rpartition(END if END in text else "\n")[0]
    rows: list[list[str]] = []
    damaged = 0
    try:
        for row in csv.reader(io.StringIO(complete, newline="")):
            if len(row) != len(COLUMNS):
                damaged += 1
            elif row[0] != COLUMNS[0]:
                rows.append(row)
    except csv.Error:  # a quotation mark that nothing closes: the rest of the file is one cell
        damaged += 1
    if damaged:
        log.warning("%s was edited by hand and holds %d damaged rows, which are left out.", file.name, damaged)
    return rows


def _sync_folder(folder: Path) -> None:
    """Flush a new file's directory entry to disk, on systems that can open folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
