"""The readings of a reader study from a CSV file with the columns reader, modality (or treatment), case, truth, rating.

Messages name lines and readers, never cases: a case's name may be a patient's.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.cohort.crossing import Crossing, check_crossed
from pipeline.cohort.csv_table import line_of, read_table
from pipeline.errors import ReadingsError
from pipeline.statistics.reader_figures import Readings

UNREADABLE = "The table of readings cannot be read: give a CSV file with a header line, in UTF-8."
COLUMNS = ("reader", "modality", "case", "truth", "rating")
MODALITY_NAMES = ("modality", "treatment")
SEPARATORS = (",", ";", "\t")
MISSING = ("", "na", "n/a", "nan", "null", "none", ".", "missing")
"""Cells, in lower case, that hold no value."""
YES = ("1", "yes", "y", "true", "t", "positive", "pos", "+", "present", "diseased", "abnormal", "advanced")
NO = (
    "0",
    "no",
    "n",
    "false",
    "f",
    "negative",
    "neg",
    "-",
    "absent",
    "non-diseased",
    "nondiseased",
    "healthy",
    "normal",
)
NO_ADVANCED = ("not advanced", "non-advanced")
WORDS = dict.fromkeys(YES, 1.0) | dict.fromkeys((*NO, *NO_ADVANCED), 0.0)
"""Spellings of a yes or no, in lower case."""
SHOWN_LINES = 5


class ReadingTable(NamedTuple):
    """A study that can be analysed, and what was left out for it."""

    readings: Readings
    cases_left_out: int
    """Cases that some reader did not read with some modality; 0 unless complete cases were asked for."""


def read_readings(file: Path, *, positive: str | None = None, complete_cases: bool = False) -> ReadingTable:
    """Read and check a table of readings.

    Args:
        positive: value of ``truth`` that has the condition, for a table that spells it otherwise than yes and no.
        complete_cases: leave out the cases that some reader did not read with some modality, in place of a refusal.

    Raises:
        ManifestError: the file is missing or no CSV file.
        ReadingsError: a column is missing, a cell cannot be understood, a reading stands twice, a case has two truths,
            readings are missing, or the design is a split plot.
    """
    separator = _separator(file)
    table = _named_columns(read_table(file, UNREADABLE, separator=separator))
    table["truth"] = _truth(table.truth, positive)
    table["rating"] = _ratings(table.rating, decimal_comma=separator != ",")
    _refuse_contradictions(table)
    read = table[table.rating.notna()]
    crossing = Crossing.of(table[["reader", "modality", "case"]], read.index)
    kept = check_crossed(crossing, complete_cases=complete_cases)
    ratings = np.full(crossing.read.shape, np.nan)
    ratings[crossing.modality_of, crossing.reader_of, crossing.case_of] = read.rating
    truth = np.zeros(len(crossing.cases), bool)
    truth[crossing.case_of] = read.truth == 1
    readings = Readings(crossing.modalities, crossing.readers, truth[kept], ratings[:, :, kept])
    return ReadingTable(readings, int((~kept).sum()))


def _separator(file: Path) -> str:
    """The one that the header line holds most often; spreadsheets of many countries write semicolons."""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            header = lines.readline()
    except (OSError, UnicodeDecodeError):
        return ","  # the reader of the table says what is wrong
    return max(SEPARATORS, key=header.count)


def _named_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The five columns under their names, whatever case the header has."""
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes the cell too many for the name of the line
        raise ReadingsError("Lines have more cells than the header; with decimal commas, separate cells by semicolons.")
    names = [str(name).strip().lower() for name in table.columns]
    given = [name for name in MODALITY_NAMES if name in names]
    if len(given) > 1:
        raise ReadingsError("There are columns 'modality' and 'treatment', which mean the same here; remove one.")
    names = ["modality" if name in MODALITY_NAMES else name for name in names]
    lacking = [name for name in COLUMNS if name not in names]
    if lacking:
        raise ReadingsError(
            f"The table needs the columns {', '.join(COLUMNS)}; there is no {' and no '.join(lacking)}."
        )
    if twice := next((name for name in COLUMNS if names.count(name) > 1), None):
        raise ReadingsError(f"There are two columns '{twice}'; remove one.")
    table = table.set_axis(names, axis=1)[list(COLUMNS)]
    if table.empty:
        raise ReadingsError("The table has no readings.")
    for name in ("reader", "modality", "case"):
        _refuse_lines(table[name].str.lower().isin(MISSING), f"no {name}")
    return table


def _truth(cells: pd.Series, positive: str | None) -> pd.Series:
    """1.0 for cases with the condition, 0.0 for those without."""
    _refuse_lines(cells.str.lower().isin(MISSING), "no truth")
    if positive is None:
        found = _yes_or_no(cells)
        if found.isna().any():
            raise ReadingsError(
                "The truth must be 1 or 0, or yes or no; for another spelling name with --positive the value that has "
                f"the condition. {_first_lines(found.isna())} is spelt otherwise."
            )
        return found
    values = set(cells)
    if positive not in values:
        raise ReadingsError("No case has the truth that --positive names.")
    if len(values) > 2:
        raise ReadingsError(f"The truth has {len(values)} different values; with --positive it must have two.")
    return (cells == positive).astype(float)


def _ratings(cells: pd.Series, *, decimal_comma: bool) -> pd.Series:
    """Numbers, NaN where there is none; where all are words for yes and no, 1 and 0."""
    text = cells.str.replace(",", ".", regex=False) if decimal_comma else cells
    missing = cells.str.lower().isin(MISSING)
    numbers = pd.to_numeric(text.mask(missing), errors="coerce")
    if (wrong := numbers.isna() & ~missing).any():
        words = _yes_or_no(cells.mask(missing, ""))
        if not (words.isna() & ~missing).any():
            return words
        _refuse_lines(wrong, "a rating that is no number")
    _refuse_lines(np.isinf(numbers), "an infinite rating")
    return numbers


def _yes_or_no(cells: pd.Series) -> pd.Series:
    """1.0, 0.0, or NaN for what is neither; 1.0 and 1 are the same."""
    plain = cells.str.lower().str.replace(r"^([01])\.0+$", r"\1", regex=True)
    return plain.map(WORDS)


def _refuse_contradictions(table: pd.DataFrame) -> None:
    twice = table.duplicated(["reader", "modality", "case"])
    _refuse_lines(twice, "a reading that an earlier line has already: the same reader, modality and case")
    first = table.groupby("case").truth.transform("first")
    _refuse_lines(table.truth != first, "another truth than an earlier line has for the same case")


def _refuse_lines(wrong: pd.Series, what: str) -> None:
    if wrong.any():
        raise ReadingsError(f"{_first_lines(wrong)}: {what}.")


def _first_lines(wrong: pd.Series) -> str:
    """``Line 4, 7, 9 (and 12 more)``."""
    places = [index for index, bad in enumerate(wrong) if bad]
    shown = ", ".join(str(line_of(index)).removeprefix("Line ") for index in places[:SHOWN_LINES])
    more = f" (and {len(places) - SHOWN_LINES} more)" if len(places) > SHOWN_LINES else ""
    return f"Line {shown}{more}"
