"""Rows of a CSV file that crashes, editors and spreadsheets may have damaged: a damaged row hides no other.

Our own rows end with CR LF, and a line break inside a cell is LF alone; an editor may have changed all line ends, the
separator or the encoding.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

END = "\r\n"
LONGEST_RECORD = 2**24
"""Bytes of a row that is read at all."""
MOST_LINES = 5000
"""Lines in one row: the longest comment holds nothing but line breaks."""
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)")
_SCHEMA = re.compile("[0-9]{1,6}")
_OLD_MAC_LINE = re.compile(rb"[^\r]*\r")
# One cell above the default of 131,072 characters would end the reading of its file.
csv.field_size_limit(LONGEST_RECORD)


@dataclass(frozen=True)
class Layout:
    """The columns of a file and what parts them."""

    columns: tuple[str, ...]
    separator: str = ","
    key: str = "review_id"
    """The column that names a row; usually the second, behind ``schema``."""

    @property
    def start(self) -> re.Pattern[bytes] | None:
        """What a row begins with; None if the first columns are not the usual ones."""
        if self.columns[:2] != ("schema", self.key):
            return None
        part = re.escape(self.separator).encode()
        return re.compile(rb'"?\d{1,6}"?' + part + rb'"?[\w-]{1,64}"?' + part)


Cells = list[str] | Layout | None
"""The cells of a record; none: an empty line. A layout: a header. None: damaged."""


@dataclass(frozen=True)
class Row:
    """One row, ``cells`` by column as they stand in the file."""

    start: int
    """Offset of its first byte."""
    end: int
    """Offset behind its line end."""
    cells: dict[str, str]


@dataclass
class Rows:
    """The rows of a file, or of a part of it."""

    layout: Layout
    rows: list[Row] = field(default_factory=list)
    damaged: int = 0
    """Rows that could not be read, or parts of rows."""
    end: int = 0
    """Offset behind the last complete row; a row behind it was never acknowledged, or is being written."""
    torn: bool = False
    """Whether something follows at ``end``."""


def utf8(content: bytes) -> bytes:
    """UTF-16, as some spreadsheets save it, to UTF-8; other content as it is."""
    for mark, name in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if content.startswith(mark):
            return content[len(mark) :].decode(name, errors="replace").encode()
    return content


def parse(content: bytes, layout: Layout, offset: int = 0) -> Rows:
    """All rows that can be read.

    Args:
        content: UTF-8; ``utf8`` converts. Single rows in Windows' Western encoding are read as such.
        layout: the columns until a header says otherwise.
        offset: of ``content`` in its file.
    """
    lines = list(_lines(content))
    ends_with_crlf = END.encode() in content
    found = Rows(layout, end=offset)
    first, position = 0, offset
    while first < len(lines):
        count, cells = _record(lines, first, found.layout, ends_with_crlf)
        size = sum(map(len, lines[first : first + count]))
        if cells is None:
            found.damaged += 1
        elif isinstance(cells, Layout):
            found.layout = cells
        elif cells:
            named = dict(zip(found.layout.columns, cells, strict=True))
            found.rows.append(Row(position, position + size, named))
        first, position = first + count, position + size
    found.end, found.torn = position, position < offset + len(content)
    return found


def _lines(content: bytes) -> Iterator[bytes]:
    """Complete lines with their ends."""
    # A CR at the very end is half of a line end that was being written.
    pattern = _LINE if b"\n" in content or content.count(b"\r") < 2 else _OLD_MAC_LINE
    for found in pattern.finditer(content):
        line = found.group()
        if not (line.endswith(b"\r") and found.end() == len(content) and pattern is _LINE):
            yield line


def _record(lines: Sequence[bytes], first: int, layout: Layout, ends_with_crlf: bool) -> tuple[int, Cells]:
    """Number of lines of the record that begins at ``first``, and its cells."""
    if not lines[first].strip(b"\r\n\0\xef\xbb\xbf"):
        return 1, []
    quotes = 0
    for last in range(first, min(first + MOST_LINES, len(lines))):
        if last > first and ends_with_crlf and _begins(lines, last, layout, ends_with_crlf):
            break
        quotes += lines[last].count(b'"')
        if quotes % 2 == 0:
            cells = _cells(b"".join(lines[first : last + 1]), layout)
            if cells is not None:
                return last + 1 - first, cells
            break
    following = first + 1
    if layout.start is not None:  # its other lines are no rows of their own
        while following < len(lines) and not _begins(lines, following, layout, ends_with_crlf):
            following += 1
    return following - first, None


def _begins(lines: Sequence[bytes], number: int, layout: Layout, ends_with_crlf: bool) -> bool:
    """Whether a row seems to begin at that line. Where rows end with CR LF, none begins behind another line end."""
    if ends_with_crlf and not lines[number - 1].endswith(b"\r\n"):
        return False
    return layout.start is not None and layout.start.match(lines[number]) is not None


def _cells(record: bytes, layout: Layout) -> Cells:
    """The cells of one record, None if it has too few or too many, or is no CSV in any separator."""
    record = record.lstrip(b"\0").removeprefix(codecs.BOM_UTF8)
    if len(record) > LONGEST_RECORD or b"\0" in record:
        return None
    try:
        text = record.decode()
    except UnicodeDecodeError:
        text = record.decode("cp1252", errors="replace")
    for separator in (layout.separator, ",", ";", "\t"):
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
        except csv.Error:
            continue
        cells = [cell.replace("\r\n", "\n").replace("\r", "\n") for cell in rows[0]] if len(rows) == 1 else []
        if cells[:1] == ["schema"] and layout.key in cells:
            return replace(layout, columns=tuple(cells), separator=separator)
        if len(cells) == len(layout.columns) and _identified(cells, layout):
            return cells
    return None


def _identified(cells: Sequence[str], layout: Layout) -> bool:
    """Whether the row says its schema and its id."""
    if "schema" not in layout.columns or layout.key not in layout.columns:
        return False
    schema, key = cells[layout.columns.index("schema")], cells[layout.columns.index(layout.key)]
    return _SCHEMA.fullmatch(schema) is not None and bool(key)
