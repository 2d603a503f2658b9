"""DICOM headers as frames: one record per slice, whether it is a file of its own or a frame of an enhanced file."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from pipeline.intake import weighting as words
from pipeline.intake.faults import reading

DAMAGE = (
    InvalidDicomError,
    BytesLengthException,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    OSError,
    EOFError,
    struct.error,
)
"""Errors of pydicom, highdicom and the decoders on damaged or hostile bytes; caught only around calls of these."""

MAX_FRAMES = 20_000
"""Frames of one enhanced file."""

TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "ImageType",
    "SeriesDescription",
    "ProtocolName",
    "SequenceName",
    "ScanningSequence",
    "AcquisitionContrast",
    "BodyPartExamined",
    "EchoTime",
    "RepetitionTime",
    "InversionTime",
    "DiffusionBValue",
    "TemporalPositionIdentifier",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "NumberOfFrames",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]
"""The tags that are read before a series is chosen."""


@dataclass(frozen=True)
class Frame:
    """One slice. Texts of the header are reduced to ``weighting``, ``kind``, ``modality`` and ``other_body_part``."""

    file: Path
    index: int | None
    """Frame of an enhanced file, from 0; None for a file that is one slice."""
    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    reference_uid: str
    """Frame of reference; empty where the header lacks it."""
    modality: str
    rows: int
    columns: int
    samples: int
    kind: tuple[str, ...]
    """Image type: original or derived, magnitude or phase, ..."""
    spacing_mm_yx: tuple[float, ...] | None
    """Row spacing (y), then column spacing (x), as DICOM orders them."""
    orientation: tuple[float, ...] | None
    """Direction cosines of a row (x), then of a column (y), LPS."""
    position: tuple[float, ...] | None
    """Centre of the first pixel, LPS, mm."""
    echo_ms: float | None
    """Echo time."""
    repetition_ms: float | None
    """Repetition time."""
    temporal: float | None
    """Temporal position; frames of different ones form different stacks."""
    b_value: float | None
    """Diffusion b-value, s/mm²."""
    weighting: str
    """One of the allow-listed words of ``intake.weighting``, or ``unknown``."""
    other_body_part: bool
    """Whether the header names a part of the body other than the abdomen."""


def read_frames(file: Path) -> list[Frame]:
    """The frames of a DICOM file, without its pixels; empty for what holds no image (DICOMDIR, reports).

    Raises:
        any of ``DAMAGE``: the header cannot be read.
    """
    meta = pydicom.filereader.read_file_meta_info(file)
    with reading("TransferSyntaxUID"):
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            raise InvalidDicomError  # would be inflated whole, without a budget
    header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(TAGS))
    if _value(header.file_meta, "MediaStorageSOPClassUID") == MediaStorageDirectoryStorage or "Rows" not in header:
        return []
    if "PerFrameFunctionalGroupsSequence" in header:
        return list(_enhanced(file, header))
    return [_frame(file, None, header, _Groups(header))]


def _enhanced(file: Path, header: Dataset) -> Iterator[Frame]:
    with reading("PerFrameFunctionalGroupsSequence"):
        groups = header.PerFrameFunctionalGroupsSequence
        if len(groups) > MAX_FRAMES:
            raise InvalidDicomError
    shared = _value(header, "SharedFunctionalGroupsSequence") or [Dataset()]
    for index, group in enumerate(groups):
        yield _frame(file, index, header, _Groups(header, group, shared[0]))


@dataclass(frozen=True)
class _Groups:
    """Looks a value up in a frame's functional groups, then in the shared ones, then in the header itself."""

    header: Dataset
    frame: Dataset | None = None
    shared: Dataset | None = None

    def get(self, sequence: str, keyword: str, plain: str = "") -> Any:
        for groups in (self.frame, self.shared):
            items = _value(groups, sequence) if groups is not None else None
            if items and (value := _value(items[0], keyword)) is not None:
                return value
        return _value(self.header, plain or keyword)


def _frame(file: Path, index: int | None, header: Dataset, groups: _Groups) -> Frame:
    kind = groups.get("MRImageFrameTypeSequence", "FrameType", "ImageType")
    modality = str(_value(header, "Modality") or "").strip().upper()
    echo = _number(groups.get("MREchoSequence", "EffectiveEchoTime", "EchoTime"))
    repetition = _number(groups.get("MRTimingAndRelatedParametersSequence", "RepetitionTime"))
    return Frame(
        file=file,
        index=index,
        study_uid=_text(header, "StudyInstanceUID"),
        series_uid=_text(header, "SeriesInstanceUID"),
        sop_uid=_text(header, "SOPInstanceUID"),
        sop_class=_text(header, "SOPClassUID"),
        reference_uid=_text(header, "FrameOfReferenceUID"),
        modality=modality,
        rows=_integer(header, "Rows"),
        columns=_integer(header, "Columns", absent=0),
        samples=_integer(header, "SamplesPerPixel", absent=1),
        kind=tuple(word.strip().upper() for word in _texts(kind)),
        spacing_mm_yx=_numbers(groups.get("PixelMeasuresSequence", "PixelSpacing"), 2),
        orientation=_unit(_numbers(groups.get("PlaneOrientationSequence", "ImageOrientationPatient"), 6)),
        position=_numbers(groups.get("PlanePositionSequence", "ImagePositionPatient"), 3),
        echo_ms=echo,
        repetition_ms=repetition,
        temporal=_number(groups.get("FrameContentSequence", "TemporalPositionIndex", "TemporalPositionIdentifier")),
        b_value=_number(groups.get("MRDiffusionSequence", "DiffusionBValue")),
        weighting=_weighting(header, _texts(kind), echo, repetition),
        other_body_part=_text(header, "BodyPartExamined").upper() in words.OTHER_BODY_PARTS,
    )


def _weighting(header: Dataset, kind: Sequence[str], echo: float | None, repetition: float | None) -> str:
    contrast = {"DIFFUSION": "DWI", "PROTON_DENSITY": "PD", "T1": "T1", "T2": "T2", "T2_STAR": "T2*"}
    named = words.weighting_from_text(
        [
            " ".join(kind),
            contrast.get(_text(header, "AcquisitionContrast").upper(), ""),
            _text(header, "SeriesDescription"),
            _text(header, "ProtocolName"),
            _text(header, "SequenceName"),
        ]
    )
    return named or words.weighting_from_times(echo, repetition, _text(header, "ScanningSequence")) or "unknown"


def _text(header: Dataset, keyword: str) -> str:
    with reading(keyword):
        return " ".join(_texts(header.get(keyword))).strip()


def _value(dataset: Dataset, keyword: str) -> Any:
    """An element's value, decoded by pydicom on first access; None where it is absent."""
    with reading(keyword):
        return dataset.get(keyword)


def _integer(dataset: Dataset, keyword: str, *, absent: int | None = None) -> int:
    """An element as a whole number; ``absent`` where it is missing or empty, without which that is an error."""
    with reading(keyword):
        value = dataset.get(keyword)
        return int(value if absent is None else value or absent)


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    return [str(value)] if isinstance(value, str) else [str(v) for v in value] if hasattr(value, "__iter__") else []


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    if value is None or isinstance(value, str) or not hasattr(value, "__len__") or len(value) != count:
        return None
    numbers = [_number(v) for v in value]
    return None if None in numbers else tuple(n for n in numbers if n is not None)


def _unit(orientation: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """None unless row and column are unit vectors at a right angle, as DICOM demands."""
    if orientation is None:
        return None
    row, column = orientation[:3], orientation[3:]
    crooked = max(
        abs(math.hypot(*row) - 1),
        abs(math.hypot(*column) - 1),
        abs(sum(r * c for r, c in zip(row, column, strict=True))),
    )
    return orientation if crooked < 1e-2 else None
