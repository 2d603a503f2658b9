"""Images and their labels, from nnU-Net's raw layout or a cohort manifest."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pipeline.errors import ManifestError

SUFFIX = "_0000.nii.gz"


def find_cases(data: Path) -> dict[str, tuple[Path, Path]]:
    """Image and label file by case, sorted by case.

    ``data`` is a folder with ``imagesTr`` and ``labelsTr`` (nnU-Net's raw layout; ``images`` and ``labels`` will do),
    or a cohort manifest (CSV) with ``patient_id``, ``image`` and ``mask``, one row a patient.

    Raises:
        ManifestError: neither; or a case without its label, named.
    """
    cases = _from_manifest(data) if data.is_file() else _from_folder(data)
    missing = [case for case, files in cases.items() if not all(file.is_file() for file in files)]
    if missing:
        raise ManifestError(f"These cases have no image or no label file: {', '.join(missing)}.")
    return dict(sorted(cases.items()))


def anatomies_of(data: Path) -> dict[str, str]:
    """Source anatomy by case: ``source_anatomy`` of a manifest where it is given, else each case is its own."""
    own = {case: case for case in find_cases(data)}
    if not data.is_file():
        return own
    rows = pd.read_csv(data, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    named = zip(rows["patient_id"], rows.get("source_anatomy", rows["patient_id"]), strict=True)
    return {case: anatomy or case for case, anatomy in named}


def _from_folder(data: Path) -> dict[str, tuple[Path, Path]]:
    for images, labels in ((data / "imagesTr", data / "labelsTr"), (data / "images", data / "labels")):
        cases = {file.name.removesuffix(SUFFIX): file for file in images.glob(f"*{SUFFIX}")}
        if cases:
            return {case: (image, labels / f"{case}.nii.gz") for case, image in cases.items()}
    raise ManifestError(f"The data folder needs imagesTr with files that end in {SUFFIX}, and labelsTr beside it.")


def _from_manifest(file: Path) -> dict[str, tuple[Path, Path]]:
    try:
        rows = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        columns = rows["patient_id"], rows["image"], rows["mask"]
    except (ValueError, KeyError) as error:
        raise ManifestError("The manifest must be a CSV with the columns patient_id, image and mask.") from error
    if rows.empty or rows["patient_id"].duplicated().any():
        raise ManifestError("The manifest must hold one row a patient, and at least one.")
    return {case: (file.parent / image, file.parent / mask) for case, image, mask in zip(*columns, strict=True)}
