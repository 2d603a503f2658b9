"""A review as cells of a CSV row that any spreadsheet can open, and the reader's text back from a cell."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime

from pipeline.errors import ReviewError
from pipeline.reviews.record import COLUMNS, Review

LONGEST_CELL = 32_000
"""Characters in a cell: a spreadsheet holds 32,767, Python's reader 131,072."""
_SIGNS = "=＝﹦⁼₌+＋﹢⁺₊\\-－﹣⁻₋−@＠﹫"
"""Signs that begin a formula, with the forms that some programs take for them."""
_FORMULA = re.compile(rf"((?:^|[\t\n,;|])[\s\"']*)([{_SIGNS}])")
"""A sign at the start of a cell, or behind what separates cells at another site: there the text falls into two."""
_ESCAPED = re.compile(rf"((?:^|[\t\n,;|])[\s\"']*)'([{_SIGNS}])")


def as_row(review: Review) -> list[str]:
    """The review's cells in the order of ``COLUMNS``, without formulas that a spreadsheet would run.

    Raises:
        ReviewError: a cell is too long.
    """
    return [written(column, _cell(getattr(review, column))) for column in COLUMNS]


def as_text(review: Review) -> dict[str, str]:
    """What the review's row says once it is read back."""
    return {column: _cell(getattr(review, column)) for column in COLUMNS}


def written(column: str, text: str) -> str:
    """The cell of a column that says ``text``: an apostrophe goes before every sign that begins a formula.

    Raises:
        ReviewError: the cell is too long.
    """
    cell = _FORMULA.sub(r"\1'\2", text)
    if len(cell) > LONGEST_CELL:
        raise ReviewError(f"The {column.replace('_', ' ')} is too long to be stored; shorten it.")
    return cell


def said(cell: str) -> str:
    """The text of a cell that ``written`` made: without its apostrophes."""
    return _ESCAPED.sub(r"\1\2", cell)


def row_of(texts: Mapping[str, str]) -> list[str]:
    """The cells of a row in the order of ``COLUMNS`` from what its columns say. Raises as ``written``."""
    return [written(column, texts[column]) for column in COLUMNS]


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case tuple():
            return "|".join(_cell(item) for item in value)
        case str():
            return _plain(value)
    return str(value)


def _plain(text: str) -> str:
    """Text without control characters; line breaks inside stay, as plain newlines, and every other blank is a space."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    return "".join(c for c in text if c.isprintable() or c in "\n\t").strip()
