"""Where each stored review is, so that saving one does not read the others."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from pipeline.reviews.csv_rows import Row
from pipeline.reviews.folder import FolderRows
from pipeline.reviews.record import reader_code
from pipeline.reviews.schema import texts_of

Place = tuple[Path, Row]
"""File and place of a row; the row's cells are empty."""


class ReviewIndex:
    """Reviews by id, and which of them say that a reader was shown the AI's result of a case."""

    def __init__(self, files: FolderRows) -> None:
        self._files = files
        self._places: dict[str, list[Place]] = {}
        self._seen: dict[tuple[str, str], set[str]] = defaultdict(set)

    @property
    def damaged(self) -> int:
        """Damaged rows in all files, as of the last look."""
        return self._files.damaged

    def refresh(self) -> None:
        """Take up what this and other processes have written since the last look."""
        forgotten, fresh = self._files.look()
        if forgotten:
            self._forget(forgotten)
        for path, row in fresh:
            cells = row.cells
            review_id = cells["review_id"]
            self._places.setdefault(review_id, []).append((path, Row(row.start, row.end, {})))
            if cells.get("arm") != "unaided" or cells.get("after_reveal") == "yes":
                self._seen[reader_code(cells.get("reader", "")), cells.get("case_id", "")].add(review_id)

    def texts(self, review_id: str) -> dict[str, str] | None:
        """What the row of that id says, the first one if there are several; None if there is none."""
        for path, row in self._places.get(review_id, ()):
            cells = self._files.cells(path, row)
            if cells and cells["review_id"] == review_id:
                return texts_of(cells)
        return None

    def seen(self, reader: str, case_id: str) -> set[str]:
        """Ids of the reviews by which this reader was shown the result of this case."""
        return self._seen.get((reader, case_id), set())

    def _forget(self, files: set[Path]) -> None:
        """Drop the rows of these files: they are read anew, or gone."""
        for review_id, places in list(self._places.items()):
            kept = [place for place in places if place[0] not in files]
            if kept:
                self._places[review_id] = kept
            else:
                del self._places[review_id]
        for ids in self._seen.values():
            ids.intersection_update(self._places)
