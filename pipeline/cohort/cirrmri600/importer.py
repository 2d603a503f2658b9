"""Check the cases of CirrMRI600+ and write the usable ones for training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.cohort.cirrmri600.demographics import read_people
from pipeline.cohort.cirrmri600.published_tree import (
    PublishedCase,
    count,
    fault_of,
    find_root,
    list_cases,
    one_split_per_patient,
)
from pipeline.cohort.cirrmri600.training_layout import place, write_manifests, write_nnunet
from pipeline.errors import ManifestError

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Imported:
    """Result of an import."""

    table: pd.DataFrame
    """One row per group and split: group, split, images, masks, imported, published."""
    case_faults: list[str]
    """One line for each image, mask or folder that is missing, damaged or wrong; its cases are left out."""
    table_faults: list[str]
    """One line for each fault in the tables of sex and age; the cells stay empty and no case is left out."""
    linked: int
    """Files that are hard links to the source."""
    copied: int
    """Files that are copies, since a link was not possible."""


def import_cirrmri600(source: Path, out: Path, *, progress: Progress = lambda done, total: None) -> Imported:
    """Check every T2 volume and its mask and write the usable cases for training.

    ``out`` then holds imagesTr and labelsTr (published train and valid, and the healthy, who have no published split),
    imagesTs and labelsTs (published test), dataset.json, splits_final.json (see ``training_layout.folds``),
    manifest.csv (imagesTr), test.csv (imagesTs) and cohort.json. A patient in several splits is kept in one: test
    before valid before train. Files are hard links, or copies where the file system allows none.

    Args:
        source: the unpacked data set, or a folder that holds it.
        progress: called with the number of checked cases and of all cases.

    Raises:
        ManifestError: there is no T2 volume or none that is usable, or ``out`` is not empty.
    """
    if out.exists() and any(out.iterdir()):
        raise ManifestError("The output folder is not empty; choose another.")
    root = find_root(source)
    published, missing = list_cases(root)
    cases, repeated = one_split_per_patient(published)
    usable, damaged = check_cases(cases, progress)
    if not usable:
        raise ManifestError("No T2 volume of the data set has a usable mask; download it again.")
    links = [link for case in usable for link in place(case, out)]
    people, table_faults = read_people(root)
    write_manifests(usable, people, out)
    write_nnunet(usable, out)
    case_faults = [*missing, *repeated, *damaged]
    return Imported(count(root, usable), case_faults, table_faults, sum(links), len(links) - sum(links))


def check_cases(cases: list[PublishedCase], progress: Progress) -> tuple[list[PublishedCase], list[str]]:
    """Cases that can be used, and one line for each other."""
    usable, faults = [], []
    for done, case in enumerate(cases, 1):
        if fault := fault_of(case):
            faults.append(f"{case.split} {case.name}: {fault}")
        else:
            usable.append(case)
        progress(done, len(cases))
    return usable, faults
