"""Images with labels for training, from nnU-Net's raw layout or a cohort manifest, and the split of these data."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from pipeline.cohort.manifest import SPLIT_NAMES, read_manifest
from pipeline.errors import ManifestError

SUFFIX = "_0000.nii.gz"
"""End of an image's file name in nnU-Net's raw layout: channel 0."""
SPLITS = "splits_final.json"
"""nnU-Net's file of folds."""


def find_cases(data: Path, *, without: Collection[str] = ()) -> dict[str, tuple[Path, Path]]:
    """Image and label file by case, sorted by case.

    Args:
        data: a folder with ``imagesTr`` and ``labelsTr`` (nnU-Net's raw layout) or ``images`` and ``labels``; or a
            cohort manifest (CSV).
        without: splits of the manifest to leave out; their files need not exist.

    Raises:
        ManifestError: ``data`` is neither; an image or label file is missing; a row of the manifest is wrong, as
            ``read_manifest`` says; or no row is left.
    """
    cases = _from_manifest(data, without) if data.is_file() else _from_folder(data)
    missing = [case for case, files in cases.items() if not all(file.is_file() for file in files)]
    if missing:
        raise ManifestError(f"These cases have no image or no label file: {', '.join(missing)}.")
    return dict(sorted(cases.items()))


def anatomies_of(data: Path) -> dict[str, str]:
    """Anatomy by case: ``source_anatomy`` in a manifest, if given; else the name of the case."""
    if not data.is_file():
        return {case: case for case in find_cases(data)}
    rows = _rows(data, absent=SPLIT_NAMES)
    return {case: anatomy or case for case, anatomy in zip(rows["patient_id"], rows["source_anatomy"], strict=True)}


def own_folds(data: Path, cases: Collection[str]) -> list[list[str]]:
    """Cases that each fold of the data's own split holds out, sorted; an empty list if the data have no split.

    A folder's split is ``splits_final.json`` beside its images, as nnU-Net and ``import-cirrmri600`` write it; a
    manifest's is one fold, the rows whose ``split`` is ``valid``.

    Args:
        cases: all cases to train on; each fold trains on those that it does not hold out.

    Raises:
        ManifestError: ``splits_final.json`` is damaged or lists other cases.
    """
    if data.is_file():
        rows = _rows(data, absent=SPLIT_NAMES)
        valid = sorted(case for case in rows["patient_id"][rows["split"] == "valid"] if case in cases)
        return [valid] if 0 < len(valid) < len(cases) else []
    if not (data / SPLITS).is_file():
        return []
    try:
        folds = [(list(fold["train"]), list(fold["val"])) for fold in json.loads((data / SPLITS).read_text())]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{SPLITS} is damaged; it must be a list of folds with train and val.") from error
    if not folds:
        raise ManifestError(f"{SPLITS} holds no fold.")
    for number, (train, held_out) in enumerate(folds):
        if fault := _fold_fault([*map(str, train)], [*map(str, held_out)], cases):
            raise ManifestError(f"{SPLITS} does not fit the data: its fold {number} {fault}.")
    return [sorted(map(str, held_out)) for _, held_out in folds]


def _fold_fault(train: list[str], held_out: list[str], cases: Collection[str]) -> str:
    """Why a fold does not contain each case exactly once; empty where it does."""
    named = [*train, *held_out]
    if unknown := sorted(set(named) - set(cases)):
        return f"names cases that are not there ({', '.join(unknown[:5])})"
    if missing := sorted(set(cases) - set(named)):
        return f"leaves cases out ({', '.join(missing[:5])})"
    if len(named) > len(set(named)):
        return "names a case twice"
    return "" if train and held_out else "has nothing to train on or to hold out"


def _from_folder(data: Path) -> dict[str, tuple[Path, Path]]:
    for images, labels in ((data / "imagesTr", data / "labelsTr"), (data / "images", data / "labels")):
        cases = {file.name.removesuffix(SUFFIX): file for file in images.glob(f"*{SUFFIX}")}
        if cases:
            return {case: (image, labels / f"{case}.nii.gz") for case, image in cases.items()}
    if not data.is_dir():
        raise ManifestError("There is no such data folder or manifest; check the path.")
    raise ManifestError(
        f"The data folder needs imagesTr (or images) with files that end in {SUFFIX}, and labelsTr (or labels)."
    )


def _from_manifest(file: Path, without: Collection[str]) -> dict[str, tuple[Path, Path]]:
    rows = _rows(file, absent=without)
    rows = rows[~rows["split"].isin(list(without))]
    if rows.empty:
        raise ManifestError(f"Every row of the manifest is of a split that is left out here ({', '.join(without)}).")
    columns = (rows[name] for name in ("patient_id", "image", "mask"))
    return {case: (Path(image), Path(mask)) for case, image, mask in zip(*columns, strict=True)}


def _rows(file: Path, absent: Collection[str]) -> pd.DataFrame:
    return read_manifest(file, need=("patient_id", "image", "mask"), absent=absent).rows
