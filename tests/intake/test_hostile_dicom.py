"""DICOM files made to exhaust memory, the stack or time: one sentence, and nothing left."""

from __future__ import annotations

import struct
import time
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.intake import LIMITS, isolated, open_upload

pytestmark = pytest.mark.skipif(not isolated.CAN_FORK, reason="this system cannot fork")

EXPLICIT, IMPLICIT, DEFLATED = b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1.99"
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
"""Beginning of an item of undefined length."""


def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", group, number, kind, len(value)) + value


def file_of(syntax: bytes, dataset: bytes) -> bytes:
    """A file with an MR image's meta header."""
    image = b"1.2.840.10008.5.1.4.1.1.4"
    meta = element(2, 2, b"UI", image) + element(2, 3, b"UI", b"1.2.3") + element(2, 0x10, b"UI", syntax)
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta))
    return b"\0" * 128 + b"DICM" + length + meta + dataset


def deflated(size: int) -> bytes:
    packer, chunk = zlib.compressobj(1, zlib.DEFLATED, -15), bytes(1 << 20)
    return b"".join(packer.compress(chunk) for _ in range(size >> 20)) + packer.flush()


NESTED = [
    file_of(EXPLICIT, (struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF) + ITEM) * 20_000),
    file_of(IMPLICIT, (struct.pack("<HHI", 8, 0x1140, 0xFFFFFFFF) + ITEM) * 20_000),
]


@pytest.mark.parametrize("content", NESTED, ids=["explicit", "implicit"])
def test_sequences_nested_20000_deep(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        open_upload(tmp_path / "upload", tmp_path / "case")
    assert not list((tmp_path / "case").glob("*"))


def test_a_data_set_that_inflates_beyond_the_memory(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(file_of(DEFLATED, deflated(400 << 20)))
    with pytest.raises(InputError):
        open_upload(tmp_path / "upload", tmp_path / "case", limits=replace(LIMITS, memory_bytes=200 << 20))
    assert not list((tmp_path / "case").glob("*"))


def test_as_many_tiny_files_as_are_taken(tmp_path: Path) -> None:
    tiny = file_of(EXPLICIT, element(8, 0x60, b"CS", b"MR"))
    with zipfile.ZipFile(tmp_path / "upload", "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(9_999):
            packed.writestr(str(number), tiny)
    began = time.monotonic()
    with pytest.raises(InputError, match="no image"):
        open_upload(tmp_path / "upload", tmp_path / "case")
    assert time.monotonic() - began < 20
    assert not list((tmp_path / "case").glob("*"))
