"""The folders of CirrMRI600+ as published: which cases they hold and whether a case can be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from pipeline.case import view
from pipeline.cohort.images import same_grid
from pipeline.errors import ManifestError

CIRRHOTIC, HEALTHY = "Cirrhosis_T2_3D", "Healthy_subjects/T2_W_Healthy"

EXPECTED = {
    ("cirrhotic", "train"): (256,),
    ("cirrhotic", "valid"): (31,),
    ("cirrhotic", "test"): (31,),
    ("healthy", "train"): (55, 56),
}
"""Published number of T2 volumes by group and split. The paper counts 56 healthy subjects, the archive holds 55."""


@dataclass(frozen=True)
class PublishedPart:
    """One group and split of the published tree."""

    group: str
    """``cirrhotic`` or ``healthy``."""
    split: str
    """``train``, ``valid`` or ``test``; the healthy have no published split and count as ``train``."""
    images: Path
    masks: Path


@dataclass(frozen=True)
class PublishedCase:
    """One volume and its mask in the published tree."""

    group: str
    split: str
    number: str
    """Published id; both groups count from 1."""
    image: Path
    mask: Path

    @property
    def name(self) -> str:
        """``GROUP_NUMBER``, four digits; unique in the data set."""
        return f"{self.group}_{self.number.zfill(4)}"


def find_root(source: Path) -> Path:
    """The folder that holds ``Cirrhosis_T2_3D`` or the healthy subjects: ``source`` or one inside it.

    Raises:
        ManifestError: there is none.
    """
    for root in (source, *sorted(p for p in source.glob("*") if p.is_dir())):
        if (root / CIRRHOTIC).is_dir() or (root / HEALTHY).is_dir():
            return root
    raise ManifestError(f"The folder holds neither {CIRRHOTIC} nor {HEALTHY}; give the unpacked CirrMRI600+.")


def parts(root: Path) -> list[PublishedPart]:
    """Parts of the tree in order of precedence for a patient who is in several: test, valid, train."""
    cirrhotic, healthy = root / CIRRHOTIC, root / HEALTHY
    return [
        *(
            PublishedPart("cirrhotic", split, cirrhotic / f"{split}_images", cirrhotic / f"{split}_masks")
            for split in ("test", "valid", "train")
        ),
        PublishedPart("healthy", "train", healthy / "T2_images", healthy / "T2_masks"),
    ]


def volumes(folder: Path) -> dict[str, Path]:
    """NIfTI files by id, without hidden ones such as the ``._1.nii.gz`` that archive programs add."""
    return {file.name.removesuffix(".nii.gz"): file for file in sorted(folder.glob("[!.]*.nii.gz"))}


def list_cases(root: Path) -> tuple[list[PublishedCase], list[str]]:
    """Cases that have both image and mask, and one line for each missing file or folder."""
    cases, faults = [], []
    for part in parts(root):
        images, masks = volumes(part.images), volumes(part.masks)
        if not images:
            faults.append(f"{part.images.relative_to(root)}: missing or empty.")
        for number in sorted(images.keys() | masks.keys(), key=lambda name: (len(name), name)):
            if number not in masks or number not in images:
                missing = "mask" if number in images else "image"
                faults.append(f"{part.split} {part.group} {number}: the {missing} is missing.")
            else:
                cases.append(PublishedCase(part.group, part.split, number, images[number], masks[number]))
    return cases, faults


def one_split_per_patient(cases: list[PublishedCase]) -> tuple[list[PublishedCase], list[str]]:
    """The first case of each patient, in the order given, and one line for each case dropped."""
    kept: dict[str, PublishedCase] = {}
    faults = []
    for case in cases:
        if case.name in kept:
            faults.append(f"{case.split} {case.name}: the patient is in {kept[case.name].split} too; kept there only.")
        else:
            kept[case.name] = case
    return list(kept.values()), faults


def fault_of(case: PublishedCase) -> str:
    """Why a case cannot be used, found by reading every voxel; empty where it can."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # it prints paths
    images = {}
    for what, file in (("image", case.image), ("mask", case.mask)):
        try:
            images[what] = sitk.ReadImage(str(file))
        except RuntimeError:
            return f"the {what} is damaged, or its axes are not at right angles."
    image, mask = images["image"], images["mask"]
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


def count(root: Path, imported: list[PublishedCase]) -> pd.DataFrame:
    """Files found and cases imported by group and split, beside the published numbers."""
    rows = []
    for part in parts(root):
        cases = sum((case.group, case.split) == (part.group, part.split) for case in imported)
        published = " or ".join(str(number) for number in EXPECTED[part.group, part.split])
        images, masks = len(volumes(part.images)), len(volumes(part.masks))
        rows.append((part.group, part.split, images, masks, cases, published))
    return pd.DataFrame(rows, columns=["group", "split", "images", "masks", "imported", "published"])
