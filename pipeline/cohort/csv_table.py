"""CSV files of a cohort, read as text, and the line of a row in error messages."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pipeline.errors import ManifestError


def read_table(file: Path, fault: str, *, separator: str = ",") -> pd.DataFrame:
    """Read all columns of a CSV file as strings, stripped of surrounding blanks; an empty cell is an empty string.

    Args:
        fault: message for a file that is not a readable CSV file.

    Raises:
        ManifestError: the file is missing or not readable.
    """
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig", sep=separator)
    except FileNotFoundError as error:
        raise ManifestError("There is no such manifest or table; check the path.") from error
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ManifestError(fault) from error
    return table.apply(lambda column: column.str.strip())


def line_of(index: int) -> str:
    """``Line 2`` for row 0: lines are counted as in a spreadsheet, where the header is line 1."""
    return f"Line {index + 2}"
