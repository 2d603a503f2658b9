"""Copy an upload (file, zip, folder) under generated names. Kinds of files are recognised by content, never by name."""

from __future__ import annotations

import logging
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pipeline.errors import InputError
from pipeline.intake.faults import log_fault
from pipeline.intake.limits import number_from

log = logging.getLogger(__name__)

CHUNK = 1 << 20
"""Bytes copied at a time."""
HEAD = 4096
"""Bytes from which the kind of a file is recognised."""
GZIP, ZIP, DICOM = b"\x1f\x8b", b"PK\x03\x04", b"DICM"

ADVICE = "upload the T2 series as NIfTI (.nii, .nii.gz) or as a .zip of its DICOM files"


@dataclass(frozen=True)
class Budget:
    """Limits on the contents of an upload; a whole abdominal MRI study is well below them."""

    max_bytes: int = 3 << 30
    """Unpacked size."""
    max_members: int = 10_000
    """Number of files."""
    max_ratio: int = 200
    """Unpacked size per byte of the zip, beyond ``FREE_BYTES``: images pack to a half or a third."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Budget:
        """The defaults, replaced by ``FIBROREVIEW_MAX_UNPACKED_GB``, ``_MAX_FILES`` and ``_MAX_RATIO``.

        Raises:
            ConfigError: a value is no positive number; names the variable.
        """
        return cls(
            max_bytes=int(number_from(environment, "MAX_UNPACKED_GB", cls.max_bytes / (1 << 30)) * (1 << 30)),
            max_members=int(number_from(environment, "MAX_FILES", cls.max_members)),
            max_ratio=int(number_from(environment, "MAX_RATIO", cls.max_ratio)),
        )


BUDGET = Budget()
FREE_BYTES = 256 << 20
"""Unpacked size that is taken whatever the ratio, bytes."""
BYTES_PER_ENTRY = 512
"""Size of a zip's directory per file that may be in it, bytes: 46 and the name, mostly."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compressions that are unpacked: the other ones take up to gigabytes of memory."""


@dataclass
class Gathered:
    """Copies in the case's folder, by kind."""

    dicom: list[Path] = field(default_factory=list)
    nifti: list[Path] = field(default_factory=list)
    archives: int = 0
    """Number of zips inside the zip; never opened."""
    headers_only: int = 0
    """Number of Analyze files and halves of NIfTI pairs (.hdr)."""


@dataclass(frozen=True)
class _Member:
    """One file of the upload, without its name."""

    open: Callable[[], IO[bytes]]


def sniff(head: bytes) -> str | None:
    """Kind of a file by its first bytes: dicom, nifti, nifti.gz, pair (Analyze or half a NIfTI pair), zip, or None."""
    if head[128:132] == DICOM:
        return "dicom"
    if head.startswith(ZIP):
        return "zip"
    if head.startswith(GZIP):
        try:
            inner = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, 1024)
        except zlib.error as error:
            log_fault(log, error, "gzip header")
            return None
        kind = sniff(inner)
        return {"nifti": "nifti.gz", "pair": "pair"}.get(kind or "")
    if 540 in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")):
        return {b"n+2": "nifti", b"ni2": "pair"}.get(head[4:7])
    if 348 in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")):
        return "nifti" if head[344:347] == b"n+1" else "pair"
    return None


def gather(path: Path, into: Path, *, budget: Budget = BUDGET) -> Gathered:
    """Copy every file of the upload that can be an image into ``into``, as 00000.dcm, 00001.nii.gz and so on.

    Raises:
        InputError: not readable, a damaged, encrypted or oversized zip, a zip with links.
    """
    try:
        into.mkdir(parents=True, exist_ok=True)
        with _members(path, budget) as members:
            return _copy(members, into, budget, _most_bytes(path, budget))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        log_fault(log, error, "zip archive")
        raise InputError("The zip is damaged or uses an unusual compression; zip the files again.") from error
    except OSError as error:
        log_fault(log, error, "upload")
        raise InputError("The upload cannot be read or stored; check that it is there and try again.") from error


@contextmanager
def _members(path: Path, budget: Budget) -> Iterator[Iterator[_Member]]:
    if path.is_dir():
        yield _folder_members(path)
        return
    with path.open("rb") as file:
        kind = sniff(file.read(HEAD))
        plain = kind not in (None, "zip") or (kind is None and not zipfile.is_zipfile(file))
    if plain:
        yield iter([_Member(lambda: path.open("rb"))])
        return
    _check_directory(path, budget)
    with zipfile.ZipFile(path) as archive:
        yield iter(_zip_members(archive, budget))


def _check_directory(path: Path, budget: Budget) -> None:
    """Refuse a zip with too large a directory before it is parsed, which takes time and memory for each entry.

    Whatever number of entries the end of the directory declares, ``zipfile`` parses all bytes that it gives the
    directory. It is found by ``zipfile``'s own function, since a forger can place ends that other readers find.
    """
    with path.open("rb") as file:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    if end is None:
        return  # zipfile says what is wrong with it
    entries, length = end[zipfile._ECD_ENTRIES_TOTAL], end[zipfile._ECD_SIZE]  # type: ignore[attr-defined]
    if entries > budget.max_members or length > budget.max_members * BYTES_PER_ENTRY:
        raise InputError(_too_many(budget))


def _too_many(budget: Budget) -> str:
    return f"The zip holds more than {budget.max_members:,} files; export a single study."


def _folder_members(folder: Path) -> Iterator[_Member]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for file in (Path(parent, name) for name in sorted(names)):
            if file.is_file():
                yield _Member(lambda file=file: file.open("rb"))  # type: ignore[misc]


def _zip_members(archive: zipfile.ZipFile, budget: Budget) -> list[_Member]:
    """The members to examine. The declared contents are checked here, the actual size while it is copied."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > budget.max_members:
        raise InputError(_too_many(budget))
    if any(info.compress_type not in METHODS for info in infos):
        raise InputError("The zip uses an unusual compression; zip the files again with the usual one (deflate).")
    if any(info.flag_bits & 1 for info in infos):
        raise InputError("The zip is protected by a password; export it again without one.")
    if any(stat.S_ISLNK(info.external_attr >> 16) for info in infos):
        raise InputError("The zip holds links instead of files; zip the files themselves.")
    return [_Member(lambda info=info: archive.open(info)) for info in infos]  # type: ignore[misc]


def _most_bytes(path: Path, budget: Budget) -> int:
    """Unpacked size that an upload may have: all of the budget, or less for a small zip."""
    if path.is_dir():
        return budget.max_bytes
    return min(budget.max_bytes, max(FREE_BYTES, budget.max_ratio * path.stat().st_size))


def _copy(members: Iterator[_Member], into: Path, budget: Budget, left: int) -> Gathered:
    gathered = Gathered()
    for number, member in enumerate(members):
        if number >= budget.max_members:
            raise InputError(f"The folder holds more than {budget.max_members:,} files; choose a single study.")
        with member.open() as source:
            head = source.read(HEAD)
            kind = sniff(head)
            if kind == "zip":
                gathered.archives += 1
            elif kind == "pair":
                gathered.headers_only += 1
            elif kind is not None:
                suffix = {"dicom": ".dcm", "nifti": ".nii", "nifti.gz": ".nii.gz"}[kind]
                copy = into / f"{number:05d}{suffix}"
                left -= _write(head, source, copy, left)
                (gathered.dicom if kind == "dicom" else gathered.nifti).append(copy)
    return gathered


def _write(head: bytes, source: IO[bytes], copy: Path, left: int) -> int:
    """Copy at most ``left`` bytes in chunks: a zip bomb takes one chunk of memory and no more disk than allowed.

    Returns:
        Bytes written.
    """
    written = 0
    with copy.open("xb") as target:
        chunk = head
        while chunk:
            written += len(chunk)
            if written > left:
                raise InputError("The upload unfolds to more than can be taken; export only the T2 series.")
            target.write(chunk)
            chunk = source.read(CHUNK)
    return written
