"""DICOM headers as frames: one record per slice, whether it is a file of its own or a frame of an enhanced file."""

from __future__ import annotations

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
from pipeline.intake.header_values import integer_of, number, numbers, text_of, texts, unit_axes, value_of

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
    if value_of(header.file_meta, "MediaStorageSOPClassUID") == MediaStorageDirectoryStorage or "Rows" not in header:
        return []
    if "PerFrameFunctionalGroupsSequence" in header:
        return list(_enhanced(file, header))
    return [_frame(file, None, header, _Groups(header))]


def _enhanced(file: Path, header: Dataset) -> Iterator[Frame]:
    with reading("PerFrameFunctionalGroupsSequence"):
        groups = header.PerFrameFunctionalGroupsSequence
        if len(groups) > MAX_FRAMES:
            raise InvalidDicomError
    shared = value_of(header, "SharedFunctionalGroupsSequence") or [Dataset()]
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
            items = value_of(groups, sequence) if groups is not None else None
            if items and (value := value_of(items[0], keyword)) is not None:
                return value
        return value_of(self.header, plain or keyword)


def _frame(file: Path, index: int | None, header: Dataset, groups: _Groups) -> Frame:
    kind = groups.get("MRImageFrameTypeSequence", "FrameType", "ImageType")
    modality = str(value_of(header, "Modality") or "").strip().upper()
    echo = number(groups.get("MREchoSequence", "EffectiveEchoTime", "EchoTime"))
    repetition = number(groups.get("MRTimingAndRelatedParametersSequence", "RepetitionTime"))
    return Frame(
        file=file,
        index=index,
        study_uid=text_of(header, "StudyInstanceUID"),
        series_uid=text_of(header, "SeriesInstanceUID"),
        sop_uid=text_of(header, "SOPInstanceUID"),
        sop_class=text_of(header, "SOPClassUID"),
        reference_uid=text_of(header, "FrameOfReferenceUID"),
        modality=modality,
        rows=integer_of(header, "Rows"),
        columns=integer_of(header, "Columns", absent=0),
        samples=integer_of(header, "SamplesPerPixel", absent=1),
        kind=tuple(word.strip().upper() for word in texts(kind)),
        spacing_mm_yx=numbers(groups.get("PixelMeasuresSequence", "PixelSpacing"), 2),
        orientation=unit_axes(numbers(groups.get("PlaneOrientationSequence", "ImageOrientationPatient"), 6)),
        position=numbers(groups.get("PlanePositionSequence", "ImagePositionPatient"), 3),
        echo_ms=echo,
        repetition_ms=repetition,
        temporal=number(groups.get("FrameContentSequence", "TemporalPositionIndex", "TemporalPositionIdentifier")),
        b_value=number(groups.get("MRDiffusionSequence", "DiffusionBValue")),
        weighting=_weighting(header, texts(kind), echo, repetition),
        other_body_part=text_of(header, "BodyPartExamined").upper() in words.OTHER_BODY_PARTS,
    )


def _weighting(header: Dataset, kind: Sequence[str], echo: float | None, repetition: float | None) -> str:
    contrast = {"DIFFUSION": "DWI", "PROTON_DENSITY": "PD", "T1": "T1", "T2": "T2", "T2_STAR": "T2*"}
    named = words.weighting_from_text(
        [
            " ".join(kind),
            contrast.get(text_of(header, "AcquisitionContrast").upper(), ""),
            text_of(header, "SeriesDescription"),
            text_of(header, "ProtocolName"),
            text_of(header, "SequenceName"),
        ]
    )
    return named or words.weighting_from_times(echo, repetition, text_of(header, "ScanningSequence")) or "unknown"
