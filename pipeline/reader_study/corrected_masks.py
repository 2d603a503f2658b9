"""Masks that readers corrected, as training data: nnU-Net's raw layout with a manifest beside it."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from models.files import file_sha256, write_json, write_text
from pipeline.case import LIVER, ORGANS, view
from pipeline.cohort.images import read_labelled
from pipeline.cohort.labelled_cases import SUFFIX
from pipeline.cohort.manifest_row import COLUMNS
from pipeline.errors import ManifestError, StudyError
from pipeline.exports.viewer_files import VOLUME_FILE
from pipeline.reader_study.study_folder import StudyFolder
from pipeline.reviews.store import ReviewStore

MASK_FILE, ORGANS_FILE = "liver_mask.nii.gz", "organs.nii.gz"
_REVIEW_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class ExportedMasks:
    """What was written, and what was not."""

    cases: tuple[str, ...]
    earlier: int
    """Corrections of these cases that a later one replaces."""
    left_out: Mapping[str, int]
    """Corrections that could not be used, by reason."""
    other_organs: bool
    """Whether the labels hold more than the liver."""


def export_masks(folder: StudyFolder, out: Path) -> ExportedMasks:
    """Write the latest corrected mask of each case of the study, practice cases too, with its image.

    ``out`` then holds imagesTr, labelsTr, dataset.json and manifest.csv; labels are those of ``pipeline.case``. Organs
    beside the liver come from the model where its result has them, but not where the reader drew liver.

    Raises:
        StudyError: ``out`` holds files, or no mask was corrected.
        ManifestError: an image or mask cannot be read, or they lie on different grids.
    """
    if out.is_dir() and any(out.iterdir()):
        raise StudyError("The output folder holds files; name an empty one.")
    left_out: Counter[str] = Counter()
    chosen = _latest(folder, left_out)
    if not chosen:
        raise StudyError("No corrected mask of this study is stored: there is nothing to export.")
    several = False
    for case_id, review_id in sorted(chosen.items()):
        several |= _write_case(folder, case_id, review_id, out)
    _write_tables(sorted(chosen), out)
    earlier = left_out.pop("", 0)
    return ExportedMasks(tuple(sorted(chosen)), earlier, dict(left_out), several)


def _latest(folder: StudyFolder, left_out: Counter[str]) -> dict[str, str]:
    """Row of the latest usable correction by case; earlier ones are counted under an empty reason."""
    protocol = folder.read_protocol()
    cases = {case.case_id for case in protocol.cases}
    chosen: dict[str, str] = {}
    for row in ReviewStore(folder.reviews).rows().to_dict("records"):
        if row["protocol_sha256"] != protocol.sha256 or row["case_id"] not in cases or row["mask_edited"] != "yes":
            continue
        if reason := _fault(folder, row["review_id"], row["mask_sha256"]):
            left_out[reason] += 1
            continue
        left_out[""] += row["case_id"] in chosen
        chosen[row["case_id"]] = row["review_id"]
    return chosen


def _fault(folder: StudyFolder, review_id: str, sha256: str) -> str:
    """Why a stored mask cannot be used; empty where it can."""
    if not _REVIEW_ID.fullmatch(review_id):
        return "rows whose id names no folder"
    file = folder.corrected(review_id) / MASK_FILE
    if not file.is_file():
        return "masks that are missing"
    return "" if file_sha256(file) == sha256 else "masks that were changed after they had been saved"


def _write_case(folder: StudyFolder, case_id: str, review_id: str, out: Path) -> bool:
    """Copy the image and write the labels; returns whether they hold more than the liver."""
    image = folder.case(case_id) / VOLUME_FILE
    _, mask = read_labelled(case_id, image, folder.corrected(review_id) / MASK_FILE)
    liver = view(mask) == LIVER
    if not liver.any():
        raise ManifestError(f"{case_id}: the corrected mask is empty.")
    labels = np.where(liver, LIVER, _other_organs(folder, case_id, image))
    written = sitk.GetImageFromArray(labels.astype(np.uint8))
    written.CopyInformation(mask)
    native = sitk.DICOMOrient(written, _orientation(image))
    for name in ("imagesTr", "labelsTr"):
        (out / name).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(image, out / "imagesTr" / f"{case_id}{SUFFIX}")
    sitk.WriteImage(native, str(out / "labelsTr" / f"{case_id}.nii.gz"), useCompression=True)
    return bool((labels > LIVER).any())


def _other_organs(folder: StudyFolder, case_id: str, image: Path) -> np.ndarray:
    """(z, y, x) the model's labels without its liver; a single 0 where it has none."""
    file = folder.case(case_id) / ORGANS_FILE
    if not file.is_file():
        return np.zeros((), np.uint8)
    organs = view(read_labelled(case_id, image, file)[1])
    return np.where(organs == LIVER, 0, organs)


def _orientation(image: Path) -> str:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(image))
    reader.ReadImageInformation()
    return sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(reader.GetDirection())


def _write_tables(cases: list[str], out: Path) -> None:
    """dataset.json and manifest.csv, once every case is written."""
    dataset = {
        "channel_names": {"0": "T2"},
        "labels": {"background": 0} | ORGANS,
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    write_json(out / "dataset.json", dataset)
    rows = [
        {"patient_id": case, "image": f"imagesTr/{case}{SUFFIX}", "mask": f"labelsTr/{case}.nii.gz"} for case in cases
    ]
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS), fill_value="")
    write_text(out / "manifest.csv", table.to_csv(index=False))
