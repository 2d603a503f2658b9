"""DICOM: list the stacks of an upload, then read one of them into a volume. highdicom stacks and checks."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import iter_pixels
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from pipeline.case import CaseWarning, LeftOut
from pipeline.errors import SeriesError
from pipeline.intake.faults import describe, log_fault, log_faults, reading
from pipeline.intake.headers import DAMAGE, Frame, read_frames
from pipeline.intake.pixel_header import check_pixel_header, check_rescale
from pipeline.intake.series import JITTER, ORIENTATION_TOLERANCE, PERPENDICULAR, Stack, group
from pipeline.intake.voxel_values import finite

log = logging.getLogger(__name__)

PIXEL_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PresentationLUTShape",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "ModalityLUTSequence",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "NumberOfFrames",
    "PixelData",
]
"""The tags of a slice that stacking needs."""


def list_stacks(files: Iterable[Path]) -> tuple[list[Stack], list[LeftOut]]:
    """From headers alone: the stacks that can be analysed, and what is left out with its reason."""
    frames: list[Frame] = []
    faults: Counter[str] = Counter()
    empty = 0
    for file in files:
        try:
            found = read_frames(file)
        except DAMAGE as error:
            faults[describe(error)] += 1
            continue
        frames += found
        empty += not found
    log_faults(log, faults, "DICOM header")
    stacks, left_out = group(frames)
    if damaged := faults.total():
        left_out.append(LeftOut(_count(damaged, "DICOM file"), "the headers are damaged and cannot be read"))
    if empty and not frames:
        left_out.append(LeftOut(_count(empty, "DICOM file"), "there is no image in them"))
    return stacks, left_out


def read_stack(frames: Sequence[Frame]) -> tuple[sitk.Image, tuple[CaseWarning, ...]]:
    """Stack slices, given in any order, into one float32 image on their own grid: x along rows, y along columns.

    Rescale slope and intercept are applied; the warnings are on voxels without a value.

    Raises:
        SeriesError: pixels that cannot be decoded, or slices that highdicom does not take for one regular stack.
        InputError: most voxels have no value, or values are out of any range.
    """
    import highdicom as hd  # here: it takes a quarter of a second to load, which the start of the page does without

    try:
        datasets = list(_datasets(frames))
    except DAMAGE as error:
        log_fault(log, error, "DICOM pixels")
        raise SeriesError(
            "The pixels of the series are damaged, missing or compressed in a way that cannot be read; export it again."
        ) from error
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            stack = hd.get_volume_from_series(
                datasets,
                dtype=np.float64,
                apply_real_world_transform=False,
                rtol=JITTER,
                perpendicular_tol=PERPENDICULAR,
                orientation_tol=ORIENTATION_TOLERANCE,
            )
    except DAMAGE as error:
        log_fault(log, error, "DICOM geometry")
        raise SeriesError("The slices do not form one regular volume; export the series again.") from error
    if stack.array.ndim != 3:
        raise SeriesError("The series holds colour images; choose an MR series.")
    # highdicom indexes (slice, row, column); ITK wants x = column first.
    voxels, warnings = finite(stack.array)
    return stack.with_array(voxels).permute_spatial_axes([2, 1, 0]).to_simpleitk(), warnings


def _datasets(frames: Sequence[Frame]) -> Iterable[Dataset]:
    """Each frame as a classic single-frame data set with only the tags that stacking needs.

    Frame of reference and spacing were compared before; one value for all fills in those that are missing.
    """
    reference = generate_uid()
    for dataset, frame in _slices(frames):
        check_rescale(dataset)
        with reading("PixelData"):
            if dataset.pixel_array.shape != (frame.rows, frame.columns):  # decoded here and kept
                raise ValueError("size of the decoded image")
        assert frames[0].spacing_mm_yx is not None  # a usable stack has one
        dataset.FrameOfReferenceUID = reference
        dataset.SeriesInstanceUID = frames[0].series_uid or reference
        dataset.PixelSpacing = [float(mm) for mm in frames[0].spacing_mm_yx]
        dataset.ImagePositionPatient = list(frame.position or ())
        dataset.ImageOrientationPatient = list(frame.orientation or ())
        yield dataset


def _slices(frames: Sequence[Frame]) -> Iterable[tuple[Dataset, Frame]]:
    enhanced: dict[Path, list[Frame]] = {}
    for frame in frames:
        if frame.index is None:
            dataset = pydicom.dcmread(frame.file, specific_tags=list(PIXEL_TAGS))
            check_pixel_header(dataset)
            yield dataset, frame
        else:
            enhanced.setdefault(frame.file, []).append(frame)
    for file, members in enhanced.items():
        check_pixel_header(pydicom.dcmread(file, specific_tags=list(PIXEL_TAGS)))
        header = pydicom.dcmread(file, stop_before_pixels=True)
        indices = [frame.index for frame in members if frame.index is not None]
        for frame, pixels in zip(members, iter_pixels(file, indices=indices, raw=True), strict=True):
            yield _classic(header, frame, np.asarray(pixels)), frame


def _classic(header: Dataset, frame: Frame, pixels: np.ndarray) -> Dataset:
    """A decoded frame of an enhanced file, (y, x), as a classic MR slice with the frame's own rescale."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword in ("PhotometricInterpretation", "PresentationLUTShape"):
        if header.get(keyword):
            setattr(dataset, keyword, header.get(keyword))
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = MRImageStorage, generate_uid(), "MR"
    bits = 8 * pixels.dtype.itemsize
    dataset.SamplesPerPixel, dataset.Rows, dataset.Columns = 1, *pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    own, shared = header.PerFrameFunctionalGroupsSequence, header.get("SharedFunctionalGroupsSequence") or []
    for item in (own[frame.index or 0], *shared):
        if item.get("PixelValueTransformationSequence"):
            dataset.RescaleSlope = item.PixelValueTransformationSequence[0].RescaleSlope
            dataset.RescaleIntercept = item.PixelValueTransformationSequence[0].RescaleIntercept
            dataset.RescaleType = "US"
            break
    dataset.PixelData = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<")).tobytes()
    return dataset


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
