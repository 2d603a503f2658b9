"""The T2 part of CirrMRI600+ (Jha et al. 2024, arXiv 2410.16296; OSF cuk24) into nnU-Net's raw layout and a manifest.

The set has liver masks of cirrhotic and healthy subjects, but neither stiffness nor histology: its cirrhotic rows have
an empty ``label_source``, so that only segmenters train on them; its healthy rows are negatives for a classifier too.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from pipeline.case import view
from pipeline.cohort.images import same_grid
from pipeline.cohort.labelled_cases import SUFFIX
from pipeline.cohort.manifest import COLUMNS, PLAUSIBLE, is_within
from pipeline.errors import ManifestError

EXPECTED = {
    ("cirrhotic", "train"): (256,),
    ("cirrhotic", "valid"): (31,),
    ("cirrhotic", "test"): (31,),
    ("healthy", "train"): (55, 56),
}
"""Published numbers of T2 volumes. The paper counts 56 healthy subjects, the archive has been found to hold 55."""

HEALTHY_PARTS = 3
"""As many folds, and so members of the segmenter, as the healthy subjects are dealt into."""

CIRRHOTIC, HEALTHY = "Cirrhosis_T2_3D", "Healthy_subjects/T2_W_Healthy"
SEX = {"1": "female", "2": "male"}
DESCRIPTION = "CirrMRI600+ (OSF cuk24), T2: liver masks of cirrhotic and healthy subjects. CC BY-NC 4.0."


@dataclass(frozen=True)
class Case:
    """One volume and its mask in the published tree; ids of the two groups collide, so a case's name has both."""

    group: str
    split: str
    number: str
    image: Path
    mask: Path

    @property
    def name(self) -> str:
        return f"{self.group}_{self.number.zfill(4)}"


@dataclass(frozen=True)
class Imported:
    """What was found and what became of it."""

    table: pd.DataFrame
    """One row a group and split: group, split, images, masks, imported, published."""
    faults: list[str]
    """One line for each file that is missing, damaged or wrong; its case is left out."""
    linked: int
    copied: int
    """Files that share their bytes with the source, and files that are copies since a link was not possible."""


def import_cirrmri600(
    source: Path, out: Path, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Imported:
    """Check every T2 volume and its mask and lay the sound ones out for training.

    ``out`` then holds imagesTr and labelsTr (published train and valid, and the healthy, who have no published split),
    imagesTs and labelsTs (published test), dataset.json, splits_final.json (``write_nnunet``), manifest.csv
    (imagesTr), test.csv (imagesTs) and cohort.json. A patient in two splits stays in the one held out furthest (test,
    valid, train). Files are hard links, or copies where the file system allows none.

    Args:
        source: the unpacked data set, or a folder that holds it.
        progress: called with cases checked and cases in all.

    Raises:
        ManifestError: no T2 volumes there, none that is sound, or ``out`` is not empty.
    """
    if out.exists() and any(out.iterdir()):
        raise ManifestError("The output folder is not empty; choose another.")
    root = find_root(source)
    faults: list[str] = []
    found = list(list_cases(root, faults))
    kept = one_split_a_patient(found, faults)
    sound = []
    for done, case in enumerate(kept, 1):
        if fault := wrong_with(case):
            faults.append(f"{case.split} {case.name}: {fault}")
        else:
            sound.append(case)
        progress(done, len(kept))
    if not sound:
        raise ManifestError("No T2 volume of the data set has a usable mask; download it again.")
    links = [link for case in sound for link in place(case, out)]
    people = read_people(root, faults)
    write_manifests(sound, people, out)
    write_nnunet(sound, out)
    return Imported(count(root, sound), faults, linked=sum(links), copied=len(links) - sum(links))


def find_root(source: Path) -> Path:
    """The folder that holds ``Cirrhosis_T2_3D`` or the healthy subjects: ``source`` or one inside it."""
    for root in (source, *sorted(p for p in source.glob("*") if p.is_dir())):
        if (root / CIRRHOTIC).is_dir() or (root / HEALTHY).is_dir():
            return root
    raise ManifestError(f"The folder holds neither {CIRRHOTIC} nor {HEALTHY}; give the unpacked CirrMRI600+.")


def folders(root: Path) -> Iterator[tuple[str, str, Path, Path]]:
    """Group, split, images and masks of each part of the tree, the one held out furthest first."""
    for split in ("test", "valid", "train"):
        yield "cirrhotic", split, root / CIRRHOTIC / f"{split}_images", root / CIRRHOTIC / f"{split}_masks"
    yield "healthy", "train", root / HEALTHY / "T2_images", root / HEALTHY / "T2_masks"


def volumes(folder: Path) -> dict[str, Path]:
    """Files by id; what archive programs leave behind (``._1.nii.gz``) is none."""
    return {file.name.removesuffix(".nii.gz"): file for file in sorted(folder.glob("[!.]*.nii.gz"))}


def list_cases(root: Path, faults: list[str]) -> Iterator[Case]:
    """Every image that has a mask; the others, and parts of the tree that are missing, go into ``faults``."""
    for group, split, image_folder, mask_folder in folders(root):
        images, masks = volumes(image_folder), volumes(mask_folder)
        if not images:
            faults.append(f"{image_folder.relative_to(root)}: missing or empty.")
        for number in sorted(images.keys() | masks.keys(), key=lambda name: (len(name), name)):
            if number not in masks or number not in images:
                faults.append(f"{split} {group} {number}: the {'mask' if number in images else 'image'} is missing.")
            else:
                yield Case(group, split, number, images[number], masks[number])


def one_split_a_patient(cases: list[Case], faults: list[str]) -> list[Case]:
    """The first case of each patient, in the order given."""
    kept: dict[str, Case] = {}
    for case in cases:
        if case.name in kept:
            faults.append(f"{case.split} {case.name}: the patient is in {kept[case.name].split} too; kept there only.")
        else:
            kept[case.name] = case
    return list(kept.values())


def wrong_with(case: Case) -> str:
    """Why a case cannot be used, after reading every voxel; empty where it can."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # it prints paths
    read = {}
    for what, file in (("image", case.image), ("mask", case.mask)):
        try:
            read[what] = sitk.ReadImage(str(file))
        except RuntimeError:
            return f"the {what} is damaged, or its axes are not at right angles."
    image, mask = read["image"], read["mask"]
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        return "the image is not one 3-D volume."
    if not same_grid(image, mask):
        return "the mask lies on another grid than the image."
    if not np.isfinite(view(image)).all():
        return "the image holds voxels without a value."
    values = np.unique(view(mask)).tolist()
    if values != [0, 1]:
        return "the mask is empty." if values == [0] else "the mask holds other values than 0 and 1."
    return ""


def places(case: Case) -> tuple[str, str]:
    """Image and mask of a case, relative to the output folder."""
    part = "Ts" if case.split == "test" else "Tr"
    return f"images{part}/{case.name}{SUFFIX}", f"labels{part}/{case.name}.nii.gz"


def place(case: Case, out: Path) -> Iterator[bool]:
    """Hard-link both files of a case, or copy them; yields whether each is a link."""
    for file, target in zip((case.image, case.mask), places(case), strict=True):
        (out / target).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file.resolve(), out / target)
            yield True
        except OSError:  # another file system, or one without links
            shutil.copyfile(file, out / target)
            yield False


def read_people(root: Path, faults: list[str]) -> dict[str, tuple[str, str]]:
    """Sex and age by case name, from the data set's own tables; a table that is missing or unreadable is a fault."""
    people: dict[str, tuple[str, str]] = {}
    tables = {
        "cirrhotic": ("T2_age_gender_evaluation.csv", "CirrMRI600+_CompleteData_age_gender_evaluation.csv"),
        "healthy": ("Healthy_demographics.csv",),
    }
    for group, names in tables.items():
        file = next((root / name for name in names if (root / name).is_file()), None)
        if file is None:
            faults.append(f"{names[0]}: missing; age and sex of the {group} stay empty.")
            continue
        try:
            rows = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
            rows.columns = [column.strip().lower().removeprefix("patient ") for column in rows.columns]
            columns = [rows[name].str.strip() for name in ("id", "gender", "age")]
        except (ValueError, KeyError):
            faults.append(f"{file.name}: lacks ID, Age or Gender, or is damaged; they stay empty for the {group}.")
            continue
        for number, gender, age in zip(*columns, strict=True):
            sex = SEX.get(gender.removesuffix(".0"), "")
            known = is_within(age, *PLAUSIBLE["age"])
            for cell, what in ((gender, "gender") if not sex else ("", ""), (age, "age") if not known else ("", "")):
                if cell:
                    faults.append(f"{file.name}: the {what} of {group} {number} is no {what}; it stays empty.")
            people[f"{group}_{number.zfill(4)}"] = (sex, age if known else "")
    return people


def write_manifests(cases: list[Case], people: dict[str, tuple[str, str]], out: Path) -> None:
    """manifest.csv and test.csv, by the cohort's columns; test.csv only where there is a test split."""
    for name, chosen in (
        ("manifest.csv", [case for case in cases if case.split != "test"]),
        ("test.csv", [case for case in cases if case.split == "test"]),
    ):
        if not chosen:
            continue
        with (out / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            for case in sorted(chosen, key=lambda case: case.name):
                image, mask = places(case)
                sex, age = people.get(case.name, ("", ""))
                source = "healthy" if case.group == "healthy" else ""
                writer.writerow(
                    {
                        "patient_id": case.name,
                        "image": image,
                        "mask": mask,
                        "site": "CirrMRI600+",
                        "sex": sex,
                        "age": age,
                        "label_source": source,
                        "split": case.split,
                    }
                )
    about = {"simulated": False, "description": DESCRIPTION}
    (out / "cohort.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def write_nnunet(cases: list[Case], out: Path) -> None:
    """dataset.json and splits_final.json.

    The cirrhotic keep their published fold in every fold. The healthy have none: each fold holds out another part of
    them, so that each is unknown to one member, whose mask of it a classifier may then be trained on.
    """
    names = {split: sorted(case.name for case in cases if case.split == split) for split in ("train", "valid")}
    dataset = {
        "channel_names": {"0": "T2"},
        "labels": {"background": 0, "liver": 1},
        "numTraining": len(names["train"]) + len(names["valid"]),
        "file_ending": ".nii.gz",
    }
    (out / "dataset.json").write_text(json.dumps(dataset, indent=1) + "\n", encoding="utf-8")
    if len(names["train"]) > 1 and names["valid"]:
        healthy = sorted(case.name for case in cases if case.group == "healthy")
        held_out = [healthy[part::HEALTHY_PARTS] for part in range(HEALTHY_PARTS)] if healthy else [[]]
        folds = [
            {"train": [name for name in names["train"] if name not in part], "val": names["valid"] + part}
            for part in held_out
            if (part or not healthy) and set(names["train"]) - set(part)
        ]
        (out / "splits_final.json").write_text(json.dumps(folds, indent=1) + "\n", encoding="utf-8")


def count(root: Path, sound: list[Case]) -> pd.DataFrame:
    """Files found and cases imported of each part, beside the published number."""
    rows = []
    for group, split, images, masks in folders(root):
        imported = sum((case.group, case.split) == (group, split) for case in sound)
        published = " or ".join(str(n) for n in EXPECTED[group, split])
        rows.append((group, split, len(volumes(images)), len(volumes(masks)), imported, published))
    return pd.DataFrame(rows, columns=["group", "split", "images", "masks", "imported", "published"])
