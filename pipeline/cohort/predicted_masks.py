"""Write a cohort again with predicted masks, each by members that have seen neither the case nor its anatomy."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from models import registry
from models.files import write_text
from pipeline.cohort.cohort_segmenter import CohortSegmenter, MaskOptions
from pipeline.cohort.csv_table import line_of, read_table
from pipeline.cohort.manifest import Cohort, read_manifest
from pipeline.cohort.out_of_fold import out_of_fold_members
from pipeline.cohort.side_tables import read_truth
from pipeline.errors import ManifestError
from pipeline.statistics.overlap import MEASURES

OF_THE_OLD_MASK = ("liver_dice", "liver_hd95_mm", "mask_fault", "segmentation_score")
"""Columns of a simulation's ``truth.csv`` that describe the mask which is replaced."""


@dataclass(frozen=True)
class PredictedMasks:
    """Result of ``predict_masks``."""

    manifest: Path
    """The new manifest."""
    cases: int
    """Rows of the new manifest."""
    segmented: int
    """Cases segmented in this run; the others were done in earlier runs."""
    left_out: pd.DataFrame
    """``patient_id`` and ``reason`` of the rows that are not in the new manifest."""
    dice: pd.Series
    """Liver Dice by ``patient_id``, of the cases that have a true mask."""
    cases_known: bool
    """Whether the segmenter lists the cases of its training; else leakage cannot be checked."""


def predict_masks(
    manifest: Path,
    out: Path,
    options: MaskOptions,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PredictedMasks:
    """Segment every case of a cohort and write the cohort with these masks into ``out``.

    ``out`` then holds masks/ (labels of ``pipeline.case`` on each image's own grid), manifest.csv (the same columns and
    rows, images where they were), truth.csv (true mask, ``MEASURES`` against it and the members that segmented, beside
    the other columns of the given truth.csv), left_out.csv (rows without a mask, and why) and cohort.json, where there
    is one. The true mask is the one in truth.csv beside the manifest, else the manifest's.

    ``segmentation_score`` is the score of the overlap with the true mask; without a true mask the segmenter's own, if
    any. An interrupted run can be resumed: a case is segmented again only if its image, the segmenter or the options
    have changed.

    Args:
        progress: called with the number of finished cases and of all cases.

    Raises:
        ManifestError: the cohort or ``out`` cannot be used, one line per wrong row; or no case got a mask.
        ModelError: the segmenter is missing or damaged.
    """
    check_folder(out, manifest)
    cohort = read_manifest(manifest, need=("patient_id", "image"))
    check_names(cohort)
    truth = read_truth(manifest)
    trained = out_of_fold_members(registry.find(options.segmenter, "segmenter"), cohort.anatomy_of)
    for folder in (out / "masks", out / "done"):
        folder.mkdir(parents=True, exist_ok=True)
    # While masks change there must be no manifest or table that describes the earlier ones.
    for name in ("manifest.csv", "truth.csv", "left_out.csv", "cohort.json"):
        (out / name).unlink(missing_ok=True)
    segmenter = CohortSegmenter(trained, options, out)
    table = mask_cases(segmenter, cohort, truth, progress)
    left_out = write_tables(manifest, out, cohort, table, truth)
    return PredictedMasks(
        manifest=out / "manifest.csv",
        cases=len(table) - len(left_out),
        segmented=segmenter.segmented,
        left_out=left_out,
        dice=table["dice"].dropna(),
        cases_known=trained.cases_known,
    )


def check_folder(out: Path, manifest: Path) -> None:
    """Refuse the manifest's own folder, whose masks would be overwritten, and one that no earlier run has written."""
    if out.resolve() == manifest.parent.resolve():
        raise ManifestError("The output is the manifest's own folder, whose masks would be lost; choose another.")
    if out.is_dir() and any(out.iterdir()) and not (out / "done").is_dir():
        raise ManifestError("The output folder holds other files; choose an empty one, or that of an earlier run.")


def check_names(cohort: Cohort) -> None:
    """Refuse a ``patient_id`` that is not a safe file name; one line per row."""
    names = cohort.rows["patient_id"]
    wrong = names[[re.fullmatch(r"[^/\\\0.][^/\\\0]*", name) is None for name in names]]
    if len(wrong):
        words = "patient_id names a mask file here: it must hold no / or \\ and not begin with a dot."
        raise ManifestError("\n".join(f"{line_of(index)}: {words}" for index in wrong.index))


def mask_cases(
    segmenter: CohortSegmenter, cohort: Cohort, truth: pd.DataFrame, progress: Callable[[int, int], None]
) -> pd.DataFrame:
    """Predict the mask of every row; ``CaseMask.as_row`` by ``patient_id``, in the manifest's order.

    Raises:
        ManifestError: one line for each row whose image or true mask cannot be used.
    """
    truth_of = truth.to_dict("index")
    masks, faults = [], []
    rows = zip(cohort.rows.index, cohort.rows.to_dict("records"), strict=True)
    for number, (index, row) in enumerate(rows, start=1):
        case = row["patient_id"]
        try:
            true = true_mask(row, truth_of.get(case, {}))
            masks.append(segmenter.mask_case(case, row["anatomy"], Path(row["image"]), true))
        except ManifestError as error:
            faults.append(f"{line_of(index)}: {error}")
        progress(number, len(cohort.rows))
    if faults:
        raise ManifestError("\n".join(faults))
    return pd.DataFrame([mask.as_row() for mask in masks]).set_index("patient_id")


def true_mask(row: Mapping[Any, str], truth_row: Mapping[Any, str]) -> Path | None:
    """The mask that the case's row of ``truth.csv`` names; else the manifest's, unless a segmenter predicted that."""
    file = truth_row.get("true_mask") or ("" if truth_row.get("member") else row["mask"])
    return Path(file) if file else None


def write_tables(manifest: Path, out: Path, cohort: Cohort, table: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Write everything but the masks, the manifest last; returns the rows of ``left_out.csv``.

    Args:
        table: as ``mask_cases`` returns it.
        truth: as ``read_truth`` returns it.

    Raises:
        ManifestError: no case got a mask.
    """
    masked = table["reason"] == ""
    left_out = table.loc[~masked, "reason"].reset_index()
    write_text(out / "left_out.csv", left_out.to_csv(index=False))
    if not masked.any():
        raise ManifestError("No case of the cohort got a mask; left_out.csv says why.")
    new = table[masked]
    true = [relative(file, out) if file else "" for file in new["true_mask"]]
    measured = new.assign(true_mask=true)[["true_mask", *MEASURES, "member"]]
    carried = truth.drop(columns=[*measured, *OF_THE_OLD_MASK], errors="ignore")
    write_text(out / "truth.csv", measured.join(carried).to_csv(float_format="%.6g"))
    if (about := manifest.with_name("cohort.json")).is_file():
        shutil.copyfile(about, out / "cohort.json")
    rows = read_table(manifest, "The manifest cannot be read.")[masked.to_numpy()]
    rows = rows.assign(
        image=[relative(Path(image), out) for image in cohort.rows.loc[rows.index, "image"]],
        mask=[f"masks/{case}.nii.gz" for case in rows["patient_id"]],
        segmentation_score=new["score"].to_numpy(),
    )
    write_text(out / "manifest.csv", rows.to_csv(index=False))
    return left_out


def relative(file: Path, folder: Path) -> str:
    """A path relative to ``folder``. A symbolic link is not followed, since its name gives the image format."""
    return Path(os.path.relpath(file.parent.resolve() / file.name, folder.resolve())).as_posix()
