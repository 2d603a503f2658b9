"""Whether the example cases may be published: their DICOM headers must say that the patient's identity was removed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pydicom

from pipeline.deploy.secret_patterns import is_dicom

MOST_BYTES = 50_000_000
"""Bytes that are unpacked of one member; an example has far less."""
REMOVED = "PatientIdentityRemoved"


def example_faults(root: Path, path: str) -> Iterator[str]:
    """At most one fault of a zip among the examples, or none for another file.

    Args:
        path: relative to ``root``.
    """
    if not path.lower().endswith(".zip"):
        return
    try:
        with zipfile.ZipFile(root / path) as archive:
            for member in archive.infolist():
                if not member.is_dir() and not _anonymous(archive, member):
                    yield (
                        f"{path} may hold a patient's images: not every DICOM file in it says "
                        f"{REMOVED} = YES; de-identify it or take it out."
                    )
                    return
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile):
        yield f"{path} is damaged or encrypted: take it out."


def _anonymous(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Whether a member is DICOM without a patient; other files do not belong into an example."""
    with archive.open(member) as file:
        content = file.read(MOST_BYTES)
    if not is_dicom(content):
        return False
    try:
        header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True, specific_tags=[REMOVED])
    except (pydicom.errors.InvalidDicomError, OSError, ValueError, AttributeError, KeyError, EOFError):
        return False
    return str(header.get(REMOVED, "")).strip().upper() == "YES"
