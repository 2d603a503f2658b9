"""One row of a cohort manifest: columns, values allowed in each, and rules between them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from pipeline.errors import ManifestError

LabelSource = Literal["", "histology", "lsm", "healthy"]
Split = Literal["", "train", "valid", "test"]
Metavir = Literal["", "F0", "F1", "F2", "F3", "F4"]

SPLIT_NAMES: tuple[str, ...] = get_args(Split)

METAVIR: tuple[str, ...] = get_args(Metavir)[1:]
"""Stages of fibrosis in order, without the empty cell."""

TRANSIENT_ELASTOGRAPHY = ("TE", "VCTE")
"""Values of ``lsm_method`` (in capitals) whose kPa are on the scale of the LSM cut-off."""

PLAUSIBLE = {
    "lsm_kpa": (1.5, 75.0),
    "lsm_iqr_median": (0.0, 2.0),
    "age": (0.0, 120.0),
    "days_to_reference": (-3650.0, 3650.0),
    "segmentation_score": (1.0, 3.0),
}
"""Smallest and largest number accepted in a column. Transient elastography measures from 1.5 to 75 kPa."""


def _bounds(column: str) -> FieldInfo:
    low, high = PLAUSIBLE[column]
    return Field(ge=low, le=high)


Number = Annotated[float | None, BeforeValidator(float)]


class ManifestRow(BaseModel):
    """A case of a cohort; each field is a column of the manifest, None or an empty string where nothing is given.

    The types hold for each cell alone. ``parse_row`` checks the rules between cells as well.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    patient_id: str = ""
    """Pseudonym, unique in the manifest."""
    image: str = ""
    """Path of the T2 image."""
    mask: str = ""
    """Path of the organ labels."""
    site: str = ""
    sex: str = ""
    age: Annotated[Number, _bounds("age")] = None
    """Years."""
    aetiology: str = ""
    lsm_kpa: Annotated[Number, _bounds("lsm_kpa")] = None
    """Liver stiffness, kPa."""
    lsm_method: str = ""
    """Elastography of ``lsm_kpa``; one of ``TRANSIENT_ELASTOGRAPHY``, in any case of letters."""
    lsm_iqr_median: Annotated[Number, _bounds("lsm_iqr_median")] = None
    """Interquartile range of the stiffness measurements over their median, a ratio."""
    metavir: Metavir = ""
    """Stage by histology."""
    days_to_reference: Annotated[Number, _bounds("days_to_reference")] = None
    """Days from the MRI to the biopsy or elastography."""
    label_source: LabelSource = ""
    """Reference standard of the label; ``healthy`` is a negative without measurement."""
    split: Split = ""
    segmentation_score: Annotated[Number, _bounds("segmentation_score")] = None
    """Quality of the mask: 1 is best, 3 worst."""
    source_anatomy: str = ""
    """Anatomy that a simulated case is made from; related cases have the same."""


COLUMNS = tuple(ManifestRow.model_fields)
"""Columns of a manifest in their order; others are ignored."""

_METAVIR_WRONG = "metavir must be one of F0 to F4, and given where label_source is histology."
_WRONG_CELL = {
    "label_source": "label_source must be histology, lsm or healthy.",
    "metavir": _METAVIR_WRONG,
    "split": "split must be train, valid or test, or empty.",
} | {column: f"{column} must be a number from {low:g} to {high:g}." for column, (low, high) in PLAUSIBLE.items()}
"""Message by column for a cell that its type in ``ManifestRow`` does not allow."""


def parse_row(cells: Mapping[Any, str], need: Collection[str]) -> ManifestRow:
    """Check the cells of one row and give them their types.

    Args:
        cells: text by column, for all ``COLUMNS`` and those in ``need``.
        need: columns that must not be empty.

    Raises:
        ManifestError: one line for every fault: empty cells first, then wrong cells, then contradictions.
    """
    faults = list(_empty_cells(cells, need))
    row = None
    try:
        row = ManifestRow.model_validate({column: cell for column, cell in cells.items() if cell})
    except ValidationError as error:
        faults += [_WRONG_CELL[str(detail["loc"][0])] for detail in error.errors()]
    faults += _contradictions(cells)
    if row is None or faults:
        raise ManifestError("\n".join(faults))
    return row


def is_within(cell: str, low: float, high: float) -> bool:
    """Whether a cell is a number from ``low`` to ``high``, both included."""
    try:
        return low <= float(cell) <= high
    except ValueError:
        return False


def _empty_cells(cells: Mapping[Any, str], need: Collection[str]) -> Iterator[str]:
    for column in need:
        if not cells[column]:
            more = "; a row without a label is for the segmenter's commands only" if column == "label_source" else ""
            yield f"{column} is empty{more}."


def _contradictions(cells: Mapping[Any, str]) -> Iterator[str]:
    """Rules between cells; checked on text, so that a wrong cell elsewhere in the row does not hide them."""
    source, metavir = cells["label_source"], cells["metavir"]
    if source == "histology" and not metavir:
        yield _METAVIR_WRONG
    if source in ("lsm", "healthy") and metavir in METAVIR:
        yield "metavir is given, so label_source must be histology; or leave metavir empty."
    if cells["split"] == "test" and source not in ("histology", ""):
        yield "a test split takes histology only."
    if source == "lsm" and not cells["lsm_kpa"]:
        yield "lsm_kpa is empty, but label_source is lsm."
    elif cells["lsm_kpa"] and cells["lsm_method"].upper() not in TRANSIENT_ELASTOGRAPHY:
        yield (
            "lsm_method must be TE or VCTE; kPa by MR elastography (MRE), shear wave elastography (SWE, ARFI) "
            "or an unnamed method are on other scales."
        )
