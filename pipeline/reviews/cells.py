"""A review as cells of a CSV row that a spreadsheet can open."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.reviews.record import COLUMNS, Review


def as_row(review: Review) -> list[str]:
    """The review's cells in the order of ``COLUMNS``, without formulas that a spreadsheet would run."""
    return [_cell(getattr(review, column)) for column in COLUMNS]


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
            return _harmless(value)
    return str(value)


def _harmless(text: str) -> str:
    """Text without control characters that no spreadsheet takes for a formula: an apostrophe goes before the sign.

    Line breaks inside stay, as plain newlines.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(c for c in text if c.isprintable() or c in "\n\t").strip()
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")) else text
