"""Append-only CSV files in one folder: every process writes a file of its own and reads the files of all."""

from __future__ import annotations

import csv
import io
import logging
import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.reviews.csv_rows import END, Layout, Row, Rows, parse, utf8

PROBE = 64
"""Bytes before the end of what was read that must not have changed."""
log = logging.getLogger(__name__)


class OwnFile:
    """The file of this process. One writer at a time; the caller sees to it."""

    def __init__(self, folder: Path, kind: str, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self.path = folder / f"{kind}-{uuid.uuid4().hex}.csv"

    def write(self, cells: Sequence[str]) -> None:
        """Append one row, after the header in a new file, and flush it to disk.

        Raises:
            OSError: the row is not stored.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator=END)
        # Unbuffered: bytes that could not be written must not follow later, when the file is truncated or closed.
        with open(self.path, "ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                writer.writerow(self.columns)
            elif not _ends_a_row(self.path, size):
                text.write(END)  # half a row that could not be taken back spoils itself only
            writer.writerow(cells)
            left = text.getvalue().encode("utf-8")
            try:
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    file.truncate(size)
                raise
        if size == 0:
            _sync_folder(self.path.parent)


@dataclass
class _Read:
    """How far a file was read."""

    inode: int
    size: int
    modified_ns: int
    rows: Rows
    probe: bytes
    converted: bool
    """Whether offsets are of the file's content in UTF-8 and not of the file."""


class FolderRows:
    """The rows of all files of one kind; what was read once is not read again while it does not change."""

    def __init__(self, folder: Path, pattern: str, layout: Layout) -> None:
        self.folder, self.pattern, self.layout = folder, pattern, layout
        self._read: dict[Path, _Read] = {}

    @property
    def damaged(self) -> int:
        """Damaged rows in all files, as of the last look; they are left out."""
        return sum(read.rows.damaged for read in self._read.values())

    def look(self) -> tuple[set[Path], list[tuple[Path, Row]]]:
        """Read what is new: files whose earlier rows no longer count, and the new rows, by file."""
        files = sorted(self.folder.glob(self.pattern))
        gone = self._read.keys() - set(files)
        for path in gone:
            del self._read[path]
        forgotten, fresh = set(gone), []
        for path in files:
            known = self._read.get(path)
            try:
                status = path.stat()
                state = (status.st_ino, status.st_size, status.st_mtime_ns)
                if known and (known.inode, known.size, known.modified_ns) == state:
                    continue
                if known and not known.converted and known.inode == status.st_ino and _goes_on(path, known):
                    rows = self._add(path, known, status)
                else:
                    rows = self._begin(path, status)
                    forgotten |= {path} if known else set()
            except FileNotFoundError:  # deleted meanwhile
                continue
            fresh += [(path, row) for row in rows]
        return forgotten, fresh

    def cells(self, path: Path, row: Row) -> dict[str, str] | None:
        """A row's cells, read anew from its place; None if the file has changed there."""
        read = self._read.get(path)
        if read is None:
            return None
        with open(path, "rb") as file:
            content = utf8(file.read()) if read.converted else _part(file.fileno(), row.start, row.end)
        part = content[row.start : row.end] if read.converted else content
        rows = parse(part, read.rows.layout).rows
        return rows[0].cells if rows else None

    def _begin(self, path: Path, status: os.stat_result) -> list[Row]:
        raw = path.read_bytes()
        content = utf8(raw)
        rows = parse(content, self.layout)
        self._keep(path, status, rows, content[: rows.end][-PROBE:], converted=content is not raw)
        return _taken(rows)

    def _add(self, path: Path, known: _Read, status: os.stat_result) -> list[Row]:
        with open(path, "rb") as file:
            content = _part(file.fileno(), known.rows.end, status.st_size)
        rows = parse(content, known.rows.layout, known.rows.end)
        new, rows.damaged = rows.damaged, rows.damaged + known.rows.damaged
        probe = (known.probe + content[: rows.end - known.rows.end])[-PROBE:]
        self._keep(path, status, rows, probe, converted=False, reported=rows.damaged - new)
        return _taken(rows)

    def _keep(
        self, path: Path, status: os.stat_result, rows: Rows, probe: bytes, *, converted: bool, reported: int = 0
    ) -> None:
        if rows.damaged > reported:
            log.warning("%s holds %d damaged rows, which are left out.", path.name, rows.damaged)
        self._read[path] = _Read(status.st_ino, status.st_size, status.st_mtime_ns, rows, probe, converted)


def _taken(rows: Rows) -> list[Row]:
    """The rows, which are not kept twice: their index has what it needs of them."""
    taken, rows.rows = rows.rows, []
    return taken


def _goes_on(path: Path, known: _Read) -> bool:
    """Whether the file begins as it was read, as far as its end then tells."""
    if path.stat().st_size < known.rows.end:
        return False
    with open(path, "rb") as file:
        return _part(file.fileno(), known.rows.end - len(known.probe), known.rows.end) == known.probe


def _part(descriptor: int, start: int, end: int) -> bytes:
    os.lseek(descriptor, start, os.SEEK_SET)
    parts, left = [], end - start
    while left > 0 and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _ends_a_row(path: Path, size: int) -> bool:
    with open(path, "rb") as file:
        return _part(file.fileno(), size - len(END), size) == END.encode()


def _sync_folder(folder: Path) -> None:
    """Flush a new file's directory entry to disk, on systems that can open folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
