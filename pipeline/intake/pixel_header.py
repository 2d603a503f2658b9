"""Whether a DICOM file's pixel header agrees with its pixels, before they are decoded.

The decoders believe one or the other: a declared size that is not that of the frame shears the image, or reserves
memory for one that is not there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import RLELossless

from pipeline.intake.faults import reading
from pipeline.intake.header_values import integer_of, number

START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Second byte of the JPEG and JPEG-LS markers that hold the frame's size."""
JPEG, JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
PADDING = 8
"""Bytes that some exports leave behind the pixels; one row or column too many is at least 16."""


def check_pixel_header(dataset: Dataset) -> None:
    """Refuse a header that contradicts its pixels or makes no numbers of them.

    Raises:
        ValueError: names the tag, without its value.
        any of ``headers.DAMAGE``: the pixels cannot be taken apart.
    """
    allocated, stored = integer_of(dataset, "BitsAllocated"), integer_of(dataset, "BitsStored", absent=0)
    with reading("BitsStored"):
        if allocated not in (8, 16, 32) or not 0 <= stored <= allocated:
            raise ValueError("bits")
    check_rescale(dataset)
    frames = integer_of(dataset, "NumberOfFrames", absent=1)
    rows, columns = integer_of(dataset, "Rows"), integer_of(dataset, "Columns")
    with reading("PixelData"):
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            _check_frames(dataset, frames, (rows, columns))
        else:
            declared = rows * columns * frames * integer_of(dataset, "SamplesPerPixel", absent=1) * allocated // 8
            if not declared <= len(dataset.PixelData) <= declared + PADDING:
                raise ValueError("length")


def check_rescale(dataset: Dataset) -> None:
    """Refuse a rescale slope or intercept that is no finite number, or a slope of zero.

    Raises:
        ValueError: names the tag, without its value.
    """
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        with reading(keyword):
            value = dataset.get(keyword)
            if value is None or value == "":
                continue
            if number(value) is None or (keyword == "RescaleSlope" and number(value) == 0):
                raise ValueError("not a usable number")


def _check_frames(dataset: Dataset, frames: int, size: tuple[int, int]) -> None:
    found = generate_frames(dataset.PixelData, number_of_frames=frames)
    if dataset.file_meta.TransferSyntaxUID == RLELossless:
        for frame in found:
            if any(length < size[0] * size[1] for length in _rle_lengths(frame, size[0] * size[1])):
                raise ValueError("length")
    elif any(coded_size(frame) not in (size, None) for frame in found):
        raise ValueError("size")


def coded_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 codestream declares; None where it is none of them."""
    if frame.startswith(JPEG_2000):
        right, lower, left, top = struct.unpack_from(">4I", frame, 8)
        return lower - top, right - left
    if not frame.startswith(JPEG):
        return None
    place = 2
    while place + 9 <= len(frame) and frame[place] == 0xFF:
        marker = frame[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker in START_OF_FRAME:
            rows, columns = struct.unpack_from(">2H", frame, place + 5)
            return rows, columns
        place += 2 + struct.unpack_from(">H", frame, place + 2)[0]
    return None


def _rle_lengths(frame: bytes, most: int) -> Iterator[int]:
    """Number of bytes that each segment of an RLE frame unpacks to.

    Raises:
        ValueError: more than ``most``, beyond one byte of padding.
    """
    segments, *offsets = struct.unpack_from("<16I", frame)
    if not 1 <= segments <= 15:
        raise ValueError("segments")
    ends = [*offsets[1:segments], len(frame)]
    for start, end in zip(offsets[:segments], ends, strict=True):
        length, place = 0, start
        while place < end - 1:
            head = frame[place]
            length += head + 1 if head < 128 else 257 - head if head > 128 else 0
            place += head + 2 if head < 128 else 2 if head > 128 else 1
        if length > most + most % 2:
            raise ValueError("length")
        yield length
