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
from pipeline.reviews.record import ANSWERS, COLUMNS, Review, as_row, check

PATTERN = "reviews-*.csv"
LOCK_SECONDS = 10
END = "\r\n"
log = logging.getLogger(__name__)


class ReviewStore:
    """Reviews in ``folder``. Every process writes a file of its own, and reads those of all.

    >>> store = ReviewStore(Path("reviews"))
    >>> review_id = store.append(Review(reader="R1", case_id="...", advanced_fibrosis="no", confidence=4, ...))
    >>> store.rows()
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / f"reviews-{uuid.uuid4().hex}.csv"

    def append(self, review: Review) -> str:
        """Store the review and return its id once it is on the disk. The store sets ``saved_at``.

        The same review twice, as by a double click, is one row. A correction is a new review whose ``revises`` names a
        stored row of the same reader and case.

        Raises:
            ReviewError: incomplete, contradicts a stored row, or could not be written; nothing is stored then.
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
        """Whether some stored row, except those whose ids are in ``besides``, says so of this reader and case.

        On the ordinary page the result is shown as soon as the unaided verdict is stored; in a study it is not.
        """
        table = self.rows()
        mine = table[(table["reader"] == reader) & (table["case_id"] == case_id) & ~table["review_id"].isin(besides)]
        return bool(((mine["arm"] != "unaided") | (mine["after_reveal"] == "yes")).any())

    def _is_stored(self, row: list[str]) -> bool:
        """Whether the review stands already. Refuses a correction of nothing and a changed review under an old id."""
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
        """Append one row, and the header before the first, and wait until the disk has it."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator=END)
        # Without a buffer: what could not be written must not follow later, when the file is cut or closed.
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
    """The rows of one file. A last row that a crash cut short was never acknowledged, and is left out.

    Only the end of a row is CR LF; a line break inside a cell is LF alone, unless an editor made all of them alike. A
    row that an editor has damaged is left out as well, with a warning: it must not keep others from being saved.
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
    """Make a new file's name durable, where the system can open folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
