"""Reviews from files, folders and data sets as one table: each id once, in the order of time."""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from models.files import atomic_path
from pipeline.errors import ReviewError
from pipeline.reviews.cells import row_of
from pipeline.reviews.csv_rows import END, parse, utf8
from pipeline.reviews.record import ANSWERS, COLUMNS
from pipeline.reviews.schema import refuse_newer, texts_of
from pipeline.reviews.store import LAYOUT

_DATASET = re.compile(r"(?:hf://datasets/)?([\w-][\w.-]*/[\w-][\w.-]*)/?", re.ASCII)
MOST_NAMED = 10
"""Conflicting ids that a refusal names."""


@dataclass
class Merged:
    """Reviews by id, and what was met on the way."""

    texts: dict[str, dict[str, str]] = field(default_factory=dict)
    files: int = 0
    repeated: int = 0
    """Rows that were there already."""
    damaged: dict[str, int] = field(default_factory=dict)
    """Damaged or unfinished rows by the file's number and name as this software gives it."""

    def lines(self) -> list[str]:
        """What to tell the user."""
        said = [f"{len(self.texts)} reviews from {self.files} files; {self.repeated} repeated rows left out."]
        return said + [f"{name}: {count} damaged rows left out." for name, count in self.damaged.items()]


def merge(sources: Iterable[str]) -> Merged:
    """Read all sources: CSV files, folders of them, data sets of the Hub (``OWNER/NAME``, ``hf://datasets/...``).

    Raises:
        ReviewError: a source is missing or not of reviews, a row is of a newer version, or rows contradict each other.
    """
    merged, conflicts = Merged(), set[str]()
    for source in sources:
        with _files(source) as files:
            for file in files:
                conflicts |= _add(file, merged)
    if conflicts:
        named = ", ".join(sorted(conflicts)[:MOST_NAMED])
        more = f" and {len(conflicts) - MOST_NAMED} more" if len(conflicts) > MOST_NAMED else ""
        raise ReviewError(
            f"{len(conflicts)} reviews are stored with different answers under one id ({named}{more}); "
            "leave one row of each in the files and try again."
        )
    return merged


def write_csv(merged: Merged, file: Path) -> None:
    """Write the reviews, the oldest first, as one CSV file; an existing file is replaced as a whole.

    Raises:
        ReviewError: a cell is too long.
        OSError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=END)
    writer.writerow(COLUMNS)
    ordered = sorted(merged.texts.values(), key=lambda texts: (texts["saved_at"], texts["review_id"]))
    writer.writerows(map(row_of, ordered))
    with atomic_path(file) as draft:
        draft.write_bytes(text.getvalue().encode())


def _add(file: Path, merged: Merged) -> set[str]:
    """Add a file's rows; ids whose answers contradict those that are there."""
    rows = parse(utf8(file.read_bytes()), LAYOUT)
    merged.files += 1
    if not rows.rows and rows.damaged:
        raise ReviewError(f"Source {merged.files} holds no readable review: name files that FibroReview has saved.")
    if lost := rows.damaged + rows.torn:
        merged.damaged[f"File {merged.files}"] = lost
    conflicts = set()
    for row in rows.rows:
        refuse_newer(row.cells)
        texts = texts_of(row.cells)
        old = merged.texts.setdefault(texts["review_id"], texts)
        if old is texts:
            continue
        merged.repeated += 1
        if any(old[column] != texts[column] for column in ANSWERS):
            conflicts.add(texts["review_id"])
        # Of several rows that say the same the first that was saved stays, whatever the order of the sources.
        merged.texts[texts["review_id"]] = min(old, texts, key=lambda one: (one["saved_at"], sorted(one.items())))
    return conflicts


@contextmanager
def _files(source: str) -> Iterator[list[Path]]:
    """The CSV files of a source."""
    path = Path(source)
    if path.is_dir():
        yield sorted(path.glob("reviews*.csv"))
    elif path.is_file():
        yield [path]
    elif (found := _DATASET.fullmatch(source)) is None:
        raise ReviewError("A source is neither a file nor a folder nor a data set (OWNER/NAME); check its name.")
    else:
        with tempfile.TemporaryDirectory(prefix="fibroreview-export-") as folder:
            _download(found[1], Path(folder))
            yield sorted(Path(folder).glob("reviews*.csv"))


def _download(dataset: str, folder: Path) -> None:
    """Copy a data set's reviews. Imports the Hub's client only here."""
    from huggingface_hub import HfApi

    from pipeline.reviews.hub_client import START_S, HubTarget, download, set_patience, until_answered

    set_patience()
    target = HubTarget(dataset, os.environ.get("HF_TOKEN") or None, start_s=START_S / 2)
    api = HfApi(token=target.token)
    until_answered(lambda: download(api, dataset, folder), target)
