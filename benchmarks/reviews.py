"""Time of saving one review at 10, 1,000 and 100,000 stored ones."""

from __future__ import annotations

import csv
import tempfile
import time
from pathlib import Path

from benchmarks.table import Table, spread
from pipeline.reviews import COLUMNS, Review, ReviewStore
from pipeline.reviews.cells import as_row

STORED = (10, 1_000, 100_000)
SAVES = 25


def measure() -> Table:
    """Saves to folders of growing size."""
    return Table(
        "Saving a review",
        ("reviews stored", "a save", "the first save after a start"),
        [_row(count) for count in STORED],
        f"Medians of {SAVES} saves, each flushed to disk; every fifth is a correction. The first one reads the folder.",
    )


def _row(count: int) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory(prefix="fibroreview-reviews-") as folder:
        _fill(Path(folder), count)
        store = ReviewStore(Path(folder))
        first, revised = _save(store)
        times = [_save(store, revised if number % 5 == 0 else "")[0] for number in range(SAVES)]
    return (f"{count:,}", spread([1000 * seconds for seconds in times], "ms"), spread([first], "s"))


def _fill(folder: Path, count: int) -> None:
    """The file of an earlier process with so many reviews."""
    with open(folder / "reviews-earlier.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for _ in range(count):
            writer.writerow(as_row(_review()))


def _save(store: ReviewStore, revises: str = "") -> tuple[float, str]:
    """Seconds of one save, and the review's id."""
    review = _review(revises)
    start = time.perf_counter()
    review_id = store.append(review)
    return time.perf_counter() - start, review_id


def _review(revises: str = "") -> Review:
    return Review(
        reader="R1",
        case_id="0f3a9c270f3a9c27",
        advanced_fibrosis="no",
        confidence=4,
        agreement="agree",
        segmentation_quality=1,
        comment="Nodular surface, caudate enlarged.",
        slices_viewed=tuple(range(1, 31)),
        revises=revises,
    )
