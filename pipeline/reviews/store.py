"""The review store: append-only CSV files in one folder, one file per process, one writer at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from pipeline.errors import ReviewError
from pipeline.reviews.cells import as_row, as_text
from pipeline.reviews.csv_rows import Layout, parse, utf8
from pipeline.reviews.folder import FolderRows, OwnFile
from pipeline.reviews.index import ReviewIndex
from pipeline.reviews.record import ANSWERS, COLUMNS, Review, check, reader_code
from pipeline.reviews.schema import texts_of

KIND = "reviews"
PATTERN = f"{KIND}-*.csv"
LAYOUT = Layout(COLUMNS)
LOCK_SECONDS = 10


class ReviewStore:
    """Reviews in ``folder``. Every process writes a file of its own and reads the files of all.

    >>> store = ReviewStore(Path("reviews"))
    >>> review_id = store.append(Review(reader="R1", case_id="...", advanced_fibrosis="no", confidence=4, ...))
    >>> store.rows()
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own = OwnFile(folder, KIND, COLUMNS)
        self.file = self._own.path
        self.writing: AbstractContextManager[object] = nullcontext()
        """Held while a row is written; whoever copies the file elsewhere puts a lock here."""
        self.when_saved: list[Callable[[], None]] = []
        self._index = ReviewIndex(FolderRows(folder, PATTERN, LAYOUT))
        self._lock = threading.RLock()

    def append(self, review: Review) -> str:
        """Store the review and return its id once it is flushed to disk. Sets ``saved_at``.

        Idempotent by ``review_id``, so that a double click is one row. A correction is a new review whose ``revises``
        names a stored row of the same reader and case.

        Raises:
            ReviewError: the review is incomplete, contradicts a stored row, or could not be written; it is not stored.
        """
        check(review)
        review = replace(review, reader=reader_code(review.reader), saved_at=datetime.now(UTC))
        row, texts = as_row(review), as_text(review)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock, FileLock(self.folder / "reviews.lock", timeout=LOCK_SECONDS):
                if not self._is_stored(texts):
                    with self.writing:
                        self._own.write(row)
        except (OSError, Timeout) as error:
            raise ReviewError(
                "The review could not be saved because the review folder cannot be written; keep the page open, free "
                "some disk space, and save again."
            ) from error
        for call in self.when_saved:
            call()
        return review.review_id

    def rows(self) -> pd.DataFrame:
        """All reviews of all processes, each id once, the oldest first; every cell is a string as the reader gave it.

        Reads every file: its time grows with the number of rows.
        """
        parts = (parse(utf8(file.read_bytes()), LAYOUT) for file in sorted(self.folder.glob(PATTERN)))
        texts: dict[str, dict[str, str]] = {}
        for row in (row for part in parts for row in part.rows):
            texts.setdefault(row.cells["review_id"], texts_of(row.cells))
        table = pd.DataFrame(texts.values(), columns=list(COLUMNS), dtype=str)
        return table.sort_values("saved_at", kind="stable", ignore_index=True)

    def find(self, ids: Iterable[str]) -> list[dict[str, str]]:
        """The stored rows of these ids in their order, as ``rows`` gives them; unknown ids are left out."""
        with self._lock:
            self._index.refresh()
            found = [self._index.texts(review_id) for review_id in ids]
        return [texts for texts in found if texts]

    def damaged(self) -> int:
        """Number of damaged rows in the folder, which are left out."""
        with self._lock:
            self._index.refresh()
            return self._index.damaged

    def has_seen_the_ai(self, reader: str, case_id: str, *, besides: Collection[str] = ()) -> bool:
        """Whether this reader has been shown the AI's result on this case, by the stored rows.

        On the ordinary page the result is shown as soon as the unaided verdict is stored; in a study it is not.

        Args:
            besides: ids of rows to ignore.
        """
        with self._lock:
            self._index.refresh()
            return bool(self._index.seen(reader_code(reader), case_id) - set(besides))

    def _is_stored(self, new: dict[str, str]) -> bool:
        """Whether the review is stored already.

        Raises:
            ReviewError: it corrects no stored row, or is stored with other answers under the same id.
        """
        self._index.refresh()
        if old := self._index.texts(new["review_id"]):
            if any(old[column] != new[column] for column in ANSWERS):
                raise ReviewError("This review is saved already; save your changes as a correction.")
            return True
        if new["revises"]:
            revised = self._index.texts(new["revises"])
            if revised is None:
                raise ReviewError("The review that you correct is not stored; save a new review instead.")
            if (revised["reader"], revised["case_id"]) != (new["reader"], new["case_id"]):
                raise ReviewError("A review can be corrected only by its own reader and for its own case.")
        return False
