"""Open an upload, choose a series, read it."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pipeline.case import LeftOut, Series, Source, Study, Volume, view
from pipeline.errors import InputError, SeriesError
from pipeline.intake import checks, decoded, dicom, nifti, ranking
from pipeline.intake.archive import ADVICE, BUDGET, Budget, Gathered, gather
from pipeline.intake.faults import log_fault
from pipeline.intake.headers import Frame, read_frames
from pipeline.intake.identity import case_id
from pipeline.intake.series import Stack

log = logging.getLogger(__name__)

INDEX = "index.json"
"""File in the study's folder that lists the copied files and the frames of each DICOM series."""


def open_upload(path: Path, into: Path, *, budget: Budget = BUDGET) -> Study:
    """List the series of an upload: NIfTI, a zip of DICOM (or of one NIfTI), a DICOM file or folder.

    Args:
        path: the upload. It is only read; the caller deletes it.
        into: an empty folder of this case alone; copies under generated names stay there until the case ends.
        budget: limits on the unpacked size.

    Raises:
        InputError: nothing here is an image that can be read.
        SeriesError: there are images, but no series that can be analysed; says why.
    """
    found = gather(path, into, budget=budget)
    if found.dicom:
        return _open_dicom(found, into)
    if len(found.nifti) == 1:
        return Study("nifti", into, (nifti.list_series(found.nifti[0]),))
    if found.nifti:
        raise InputError(f"The upload holds {len(found.nifti)} NIfTI files; upload the T2 series alone.")
    if found.archives:
        raise InputError("The zip holds another zip; unpack it and upload the inner one.")
    if found.headers_only:
        raise InputError("This is an Analyze or two-file NIfTI image (.hdr, .img); convert it to .nii.gz.")
    if path.is_dir():
        raise InputError(f"The folder holds no NIfTI or DICOM image; {ADVICE}.")
    if zipfile.is_zipfile(path):
        raise InputError(f"The zip holds no NIfTI or DICOM image; {ADVICE}.")
    raise InputError(f"This file is no NIfTI, DICOM or zip file, whatever its name says; {ADVICE}.")


def preselected(study: Study) -> Series:
    """The series to offer first: the likeliest axial T2."""
    return study.series[0]


def read_series(study: Study, key: str) -> Volume:
    """Read a series of the study into LPS, voxel by voxel as stored, with the checks' warnings.

    Decoded once; further reads of the same study take milliseconds (see ``decoded``).

    Raises:
        SeriesError: no such series, or its slices form no regular volume.
        InputError: its file is damaged.
    """
    series = next((s for s in study.series if s.key == key), None)
    if series is None:
        raise SeriesError("This series is not in the study; choose one from the list.")
    volume = decoded.load(study.folder, key)
    if volume is None:
        volume = _decode(study, series)
        decoded.store(volume, study.folder, key)
    return volume


def _decode(study: Study, series: Series) -> Volume:
    if study.kind == "nifti":
        native, warnings = nifti.read_image(_nifti_file(study))
        case, other_body_part = None, False
    else:
        stack = _stack(study, series.key)
        native, warnings = dicom.read_stack(stack)
        case, other_body_part = _dicom_case(stack), stack[0].other_body_part
    image = sitk.DICOMOrient(native, "LPS")
    source = Source(
        kind=study.kind,
        case_id=case or _nifti_case(image),
        native_orientation=sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(native.GetDirection()),
        plane=series.plane,
        weighting=series.weighting,
        echo_time_ms=series.echo_time_ms,
    )
    warnings += checks.check_header(series, other_body_part=other_body_part) + checks.check_image(image)
    return Volume(image, source, warnings)


def _open_dicom(found: Gathered, into: Path) -> Study:
    stacks, left_out = dicom.list_stacks(found.dicom)
    if found.archives:
        left_out.append(LeftOut("a zip inside the zip", "it was not opened; unpack it and upload it on its own"))
    if found.nifti:
        left_out.append(LeftOut("a NIfTI file", "it lies beside DICOM files; upload it on its own"))
    if not stacks:
        raise SeriesError(_refusal(left_out))
    keyed = {f"s{number:02d}": stack for number, stack in enumerate(stacks, start=1)}
    index = {key: [[frame.file.name, frame.index] for frame in stack] for key, stack in keyed.items()}
    (into / INDEX).write_text(json.dumps(index))
    # Series were listed from headers alone; files that no series needs are deleted.
    needed = {frame.file for stack in stacks for frame in stack}
    for file in found.dicom:
        if file not in needed:
            file.unlink()
    series = ranking.order([ranking.row(key, stack) for key, stack in keyed.items()])
    sentences = [LeftOut(item.description, item.reason[0].upper() + item.reason[1:] + ".") for item in left_out]
    return Study("dicom", into, series, tuple(sentences))


def _refusal(left_out: Sequence[LeftOut]) -> str:
    """One sentence: why nothing of the upload can be analysed, and what to do."""
    if not left_out:
        return "The DICOM files hold no images; export the T2 series itself."
    first = left_out[0].reason
    if len(left_out) == 1:
        return f"The series cannot be analysed, since {first}; upload the whole axial T2 series of an MRI."
    return (
        f"None of the {len(left_out)} series can be analysed (the first, since {first}); "
        "upload the whole axial T2 series of an MRI."
    )


def _stack(study: Study, key: str) -> Stack:
    """The frames of a series, their headers read again from the copies."""
    try:
        index = json.loads((study.folder / INDEX).read_text())[key]
        frames: dict[tuple[str, int | None], Frame] = {}
        for name in {name for name, _ in index}:
            for frame in read_frames(study.folder / name):
                frames[name, frame.index] = frame
        return [frames[name, number] for name, number in index]
    except (OSError, ValueError, KeyError) as error:
        log_fault(log, error, "files of the case")
        raise InputError("The files of this case are no longer there; upload the study again.") from error


def _nifti_file(study: Study) -> Path:
    file = next((f for f in sorted(study.folder.glob("*.nii*"))), None)
    if file is None:
        raise InputError("The file of this case is no longer there; upload it again.")
    return file


def _dicom_case(stack: Stack) -> str | None:
    """Case id from the UIDs, sorted, so that it does not depend on the order of the files.

    None where a UID is missing: series stripped of their UIDs would share an id, so theirs comes from the voxels.
    """
    if not all((stack[0].study_uid, stack[0].series_uid, *(frame.sop_uid for frame in stack))):
        return None
    images = sorted(f"{frame.sop_uid}#{'' if frame.index is None else frame.index}" for frame in stack)
    return case_id(text.encode() for text in (stack[0].study_uid, stack[0].series_uid, *images))


def _nifti_case(image: sitk.Image) -> str:
    """Case id from voxels and geometry in LPS: independent of the order in which the file stores its axes."""
    geometry = np.array([*image.GetSpacing(), *image.GetOrigin(), *image.GetDirection()]).round(4) + 0.0
    voxels = np.ascontiguousarray(view(image), dtype="<f4")
    return case_id((np.array(image.GetSize(), "<i8").tobytes(), geometry.astype("<f8").tobytes(), voxels.tobytes()))
