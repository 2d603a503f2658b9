"""READERS.csv: who reads. Only codes, roles and experience are taken from it, never names or addresses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pipeline.cohort.csv_table import line_of, read_table
from pipeline.errors import ManifestError, StudyError
from pipeline.reader_study.accounts import Role
from pipeline.reader_study.protocol import StudyReader
from pipeline.reviews.record import is_reader_code, reader_code

DEFAULT_COORDINATOR = "COORD1"
USED = ("reader", "role", "experience")


@dataclass(frozen=True)
class People:
    """Content of READERS.csv."""

    readers: tuple[StudyReader, ...]
    coordinators: tuple[str, ...]
    ignored: int
    """Number of columns that were not read."""

    @property
    def accounts(self) -> list[tuple[str, Role]]:
        return [(one.reader, Role.READER) for one in self.readers] + [
            (code, Role.COORDINATOR) for code in self.coordinators
        ]


def read_readers(file: Path) -> People:
    """Read the columns ``reader``, and where they exist ``role`` (reader or coordinator) and ``experience``.

    Without a coordinator there is one, ``COORD1``.

    Raises:
        StudyError: one line for each fault of a row, or one sentence about the file. No cell is quoted.
    """
    try:
        table = read_table(file, "The readers' file cannot be read: give a CSV file with a header line.")
    except ManifestError as error:
        raise StudyError(str(error)) from error
    table.columns = table.columns.str.strip().str.lower()
    if "reader" not in table:
        raise StudyError("The readers' file lacks the column reader, which holds codes such as R1.")
    ignored = len(set(table.columns) - set(USED))
    rows = table.reindex(columns=list(USED), fill_value="")
    faults: list[str] = []
    readers: list[StudyReader] = []
    coordinators: list[str] = []
    for index, cells in enumerate(rows.to_dict("records")):
        try:
            code = _code(cells["reader"], [*coordinators, *(one.reader for one in readers)])
            if _role(cells["role"]) is Role.COORDINATOR:
                coordinators.append(code)
            else:
                readers.append(StudyReader(reader=code, experience=cells["experience"]))
        except StudyError as error:
            faults.append(f"{line_of(index)}: {error}")
        except ValidationError:
            faults.append(f"{line_of(index)}: experience is too long (at most 200 characters).")
    if faults:
        raise StudyError("\n".join(faults))
    if any(one.reader == DEFAULT_COORDINATOR for one in readers):
        raise StudyError(f"{DEFAULT_COORDINATOR} is a coordinator's code; give this reader another one.")
    if not readers:
        raise StudyError("The readers' file names no reader.")
    return People(tuple(readers), tuple(coordinators or [DEFAULT_COORDINATOR]), ignored)


def _code(cell: str, known: list[str]) -> str:
    code = reader_code(cell)
    if not is_reader_code(code):
        raise StudyError(
            "reader must be a code such as R1: 2 to 12 letters, digits, hyphens or underscores with at least one "
            "digit, never a name."
        )
    if code in known:
        raise StudyError(f"reader {code} occurs twice.")
    return code


def _role(cell: str) -> Role:
    try:
        return Role(cell.lower() or Role.READER)
    except ValueError as error:
        raise StudyError("role must be reader or coordinator, or empty.") from error
