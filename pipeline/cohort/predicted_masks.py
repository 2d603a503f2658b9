"""A cohort with a segmenter's masks in place of its own, each by members that have seen neither case nor anatomy."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import SimpleITK as sitk
import torch

from models import registry
from models.device import choose_device
from models.files import atomic_path, file_sha256, write_text
from models.registry import ModelFolder
from pipeline.case import LIVER, OrganMask, view
from pipeline.cohort.images import read_labels, read_volume
from pipeline.cohort.manifest import Cohort, line_of, read_manifest, read_table, read_truth
from pipeline.cohort.out_of_fold import OutOfFoldMembers, out_of_fold_members
from pipeline.cohort.result_cache import ResultCache, digest, fingerprint
from pipeline.errors import ManifestError, SegmentationError
from pipeline.segmentation import Segmenter, segment
from pipeline.statistics.overlap import MEASURES, compare
from pipeline.thresholds import segmentation_score

Members = Literal["one", "all"]
SEEN = "every member of the segmenter has seen the case or its anatomy"
OF_THE_OLD_MASK = ("liver_dice", "liver_hd95_mm", "mask_fault", "segmentation_score")
"""Columns of a simulation's ``truth.csv`` that are about the mask which is replaced."""


@dataclass(frozen=True)
class Masked:
    """What ``predict_masks`` wrote."""

    manifest: Path
    cases: int
    """Rows of the new manifest."""
    segmented: int
    """Cases that went through the segmenter in this run; the others had been done before."""
    left_out: pd.DataFrame
    """``patient_id`` and ``reason`` of the rows that are not in the new manifest."""
    dice: pd.Series
    """Liver Dice by ``patient_id``, of the cases whose true mask is known."""
    cases_known: bool
    """Whether the segmenter says which cases it has seen; else that it has seen none of these is not checked."""


def predict_masks(
    manifest: Path,
    out: Path,
    *,
    segmenter: str = "liver_t2",
    members: Members = "one",
    one_pass: bool = False,
    device: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Masked:
    """Segment every case of a cohort and write the cohort with these masks into ``out``.

    ``out`` then holds masks/ (labels of ``pipeline.case`` on each image's own grid), manifest.csv (the same columns and
    rows, images where they were), truth.csv (true mask, ``MEASURES`` against it and the members that segmented, beside
    what the given truth.csv told), left_out.csv (rows without a mask, and why) and cohort.json, where there is one. The
    true mask is the one that truth.csv beside the manifest names, else the manifest's.

    ``segmentation_score`` is that of the overlap with the true mask, where there is none the segmenter's own, if any.
    An interrupted run goes on: a case is segmented again only where its image, the segmenter or the
    options have changed.

    Args:
        segmenter: name or path; ``NAME/fold1`` for one member.
        members: ``one`` of those that have seen neither the case nor its anatomy, shared out by the name of the case;
            or ``all`` of them together.
        one_pass: see ``Segmenter``.
        progress: called with cases done and cases in all.

    Raises:
        ManifestError: the cohort or ``out`` cannot be used, one line per wrong row; or no case got a mask.
        ModelError: the segmenter is missing or damaged.
    """
    check_folder(out, manifest)
    cohort = read_manifest(manifest, need=("patient_id", "image"))
    check_names(cohort)
    truth = read_truth(manifest)
    anatomy_of = cohort.anatomy_of
    readers = out_of_fold_members(registry.find(segmenter, "segmenter"), anatomy_of)
    for folder in (out / "masks", out / "done"):
        folder.mkdir(parents=True, exist_ok=True)
    # A manifest stands only beside masks and tables that are its own.
    for name in ("manifest.csv", "truth.csv", "left_out.csv", "cohort.json"):
        (out / name).unlink(missing_ok=True)
    work = Work(readers, members, one_pass, out, choose_device(device))
    table = work.cases(cohort, truth, progress)
    left_out = write_tables(manifest, out, cohort, table, truth)
    return Masked(
        manifest=out / "manifest.csv",
        cases=len(table) - len(left_out),
        segmented=work.segmented,
        left_out=left_out,
        dice=table["dice"].dropna(),
        cases_known=readers.cases_known,
    )


def check_folder(out: Path, manifest: Path) -> None:
    """Refuse a folder whose files are not from an earlier run, above all the manifest's own: masks are overwritten."""
    if out.resolve() == manifest.parent.resolve():
        raise ManifestError("The output is the manifest's own folder, whose masks would be lost; choose another.")
    if out.is_dir() and any(out.iterdir()) and not (out / "done").is_dir():
        raise ManifestError("The output folder holds other files; choose an empty one, or that of an earlier run.")


def check_names(cohort: Cohort) -> None:
    names = cohort.rows["patient_id"]
    wrong = names[[re.fullmatch(r"[^/\\\0.][^/\\\0]*", name) is None for name in names]]
    if len(wrong):
        words = "patient_id names a mask file here: it must hold no / or \\ and not begin with a dot."
        raise ManifestError("\n".join(f"{line_of(index)}: {words}" for index in wrong.index))


def true_mask(row: Mapping[Any, str], told: Mapping[Any, str]) -> Path | None:
    """The one that the case's row of ``truth.csv`` names; else the manifest's, unless that is a segmenter's."""
    file = told.get("true_mask") or ("" if told.get("member") else row["mask"])
    return Path(file) if file else None


@dataclass
class Work:
    """Segments cases, with members that are loaded when first needed, and remembers what was done."""

    readers: OutOfFoldMembers
    members: Members
    one_pass: bool
    out: Path
    device: torch.device
    segmented: int = 0
    loaded: dict[tuple[str, ...], Segmenter] = field(default_factory=dict)

    def cases(self, cohort: Cohort, truth: pd.DataFrame, progress: Callable[[int, int], None]) -> pd.DataFrame:
        """By ``patient_id``: ``true_mask``, ``MEASURES`` (NaN where nothing is true), ``member``, ``score`` and
        ``reason`` (why there is no mask).

        Raises:
            ManifestError: with one line for each row whose image or true mask cannot be used.
        """
        told, found, faults = truth.to_dict("index"), [], []
        for number, (index, row) in enumerate(
            zip(cohort.rows.index, cohort.rows.to_dict("records"), strict=True), start=1
        ):
            try:
                found.append(self.case(row, true_mask(row, told.get(row["patient_id"], {}))))
            except ManifestError as error:
                faults.append(f"{line_of(index)}: {error}")
            progress(number, len(cohort.rows))
        if faults:
            raise ManifestError("\n".join(faults))
        return pd.DataFrame(found).set_index("patient_id")

    def case(self, row: Mapping[Any, str], truth: Path | None) -> dict[str, Any]:
        """One row of ``cases``."""
        case, image = row["patient_id"], Path(row["image"])
        found: dict[str, Any] = {"patient_id": case, "true_mask": truth, "member": "", "score": "", "reason": ""}
        found |= dict.fromkeys(MEASURES, math.nan)
        model = self.choose(case, row["anatomy"])
        if model is None:
            return found | {"reason": SEEN}
        image_sha = file_sha256(image)
        key = digest([image_sha, fingerprint(model), settings(model, self.one_pass), self.one_pass])
        done = self.done(case, image, key, model)
        if problem := done["problem"]:
            return found | {"reason": problem}
        found |= {"member": self.readers.in_words(model), "score": done["score"] or ""}
        if truth is None:
            return found
        mask = self.out / "masks" / f"{case}.nii.gz"
        compared = ["overlap", image_sha, file_sha256(mask), file_sha256(truth)]
        overlap = ResultCache(self.out / "done").of(compared, lambda: compare_files(mask, truth, image))
        return found | overlap | {"score": segmentation_score(overlap["dice"], overlap["hd95_mm"])}

    def choose(self, case: str, anatomy: str) -> ModelFolder | None:
        """The members for a case; None where all of them have seen it."""
        unseen = self.readers.of((case, anatomy))
        if unseen is None or self.members == "all":
            return unseen
        number = int.from_bytes(hashlib.sha256(case.encode()).digest()[:8])
        return replace(unseen, members=(unseen.members[number % len(unseen.members)],))

    def done(self, case: str, image: Path, key: str, model: ModelFolder) -> dict[str, Any]:
        """``score`` by the segmenter (or None) and ``problem`` (why there is no mask), of this run or an earlier."""
        record, mask = self.out / "done" / f"{case}.json", self.out / "masks" / f"{case}.nii.gz"
        if record.is_file():
            done = json.loads(record.read_text(encoding="utf-8"))
            if done["key"] == key and (mask.is_file() or done["problem"]):
                return done
        # No record may outlive the mask that it is about.
        record.unlink(missing_ok=True)
        mask.unlink(missing_ok=True)
        done = {"key": key, "score": None, "problem": ""}
        try:
            organs = segment(read_volume(image), self.segmenter(model))
        except SegmentationError as error:
            done["problem"] = str(error)
        else:
            write_mask(organs, image, mask)
            done["score"] = organs.score
        self.segmented += 1
        write_text(record, json.dumps(done))
        return done

    def segmenter(self, model: ModelFolder) -> Segmenter:
        if model.members not in self.loaded:
            self.loaded[model.members] = Segmenter(model, self.device, self.one_pass)
        return self.loaded[model.members]


def settings(model: ModelFolder, one_pass: bool) -> dict[str, str]:
    """SHA-256 of the files beside ``model.json`` that a segmenter's answer hangs on."""
    judged = () if one_pass else ("quality.json",)  # as ``Segmenter`` says
    files = (model.folder / name for name in ("plans.json", "dataset.json", *judged))
    return {file.name: file_sha256(file) for file in files if file.is_file()}


def write_mask(organs: OrganMask, image: Path, file: Path) -> None:
    """Write the labels on the image's own grid, in one move."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(image))
    reader.ReadImageInformation()
    native = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(reader.GetDirection())
    labels = sitk.DICOMOrient(organs.labels, native)
    labels.SetSpacing(reader.GetSpacing())  # equal but for rounding in the two turns
    labels.SetOrigin(reader.GetOrigin())
    labels.SetDirection(reader.GetDirection())
    with atomic_path(file) as partial:
        sitk.WriteImage(labels, str(partial), useCompression=True)


def compare_files(mask: Path, truth: Path, image: Path) -> dict[str, float]:
    volume = read_volume(image)
    found, true = (view(read_labels(file, volume)) == LIVER for file in (mask, truth))
    return compare(found, true, volume.spacing_mm_xyz[::-1])


def write_tables(manifest: Path, out: Path, cohort: Cohort, table: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """All but the masks, the manifest last; returns the rows of ``left_out.csv``.

    Args:
        table: of ``Work.case`` by ``patient_id``, in the manifest's order.
        truth: as it was given.
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
        segmentation_score=new["score"].astype(str).to_numpy(),
    )
    write_text(out / "manifest.csv", rows.to_csv(index=False))
    return left_out


def relative(file: Path, folder: Path) -> str:
    """A file as seen from ``folder``; a link stays the link that it is, since its name tells the format."""
    return Path(os.path.relpath(file.parent.resolve() / file.name, folder.resolve())).as_posix()
