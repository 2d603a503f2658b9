"""Write imported cases for training: nnU-Net's raw layout and cohort manifests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from models.files import write_json, write_text
from pipeline.cohort.cirrmri600.demographics import Person
from pipeline.cohort.cirrmri600.published_tree import PublishedCase
from pipeline.cohort.labelled_cases import SPLITS, SUFFIX
from pipeline.cohort.manifest_row import COLUMNS

HEALTHY_PARTS = 3
"""Folds that the healthy subjects are dealt into; the segmenter gets as many members."""

DESCRIPTION = "CirrMRI600+ (OSF cuk24), T2: liver masks of cirrhotic and healthy subjects. CC BY-NC 4.0."


def places(case: PublishedCase) -> tuple[str, str]:
    """Image and mask of a case, relative to the output folder."""
    part = "Ts" if case.split == "test" else "Tr"
    return f"images{part}/{case.name}{SUFFIX}", f"labels{part}/{case.name}.nii.gz"


def place(case: PublishedCase, out: Path) -> Iterator[bool]:
    """Hard-link both files of a case, or copy them; yields for each whether it is a link."""
    for file, target in zip((case.image, case.mask), places(case), strict=True):
        (out / target).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file.resolve(), out / target)
            yield True
        except OSError:  # another file system, or one without links
            shutil.copyfile(file, out / target)
            yield False


def write_manifests(cases: list[PublishedCase], people: Mapping[str, Person], out: Path) -> None:
    """Write manifest.csv, test.csv (only if there are test cases) and cohort.json."""
    for name, chosen in (
        ("manifest.csv", [case for case in cases if case.split != "test"]),
        ("test.csv", [case for case in cases if case.split == "test"]),
    ):
        if chosen:
            rows = [manifest_row(case, people.get(case.name, Person())) for case in chosen]
            table = pd.DataFrame(rows).reindex(columns=list(COLUMNS), fill_value="").sort_values("patient_id")
            write_text(out / name, table.to_csv(index=False))
    write_json(out / "cohort.json", {"simulated": False, "description": DESCRIPTION})


def manifest_row(case: PublishedCase, person: Person) -> dict[str, str]:
    """Cells by column of the manifest; columns about which nothing is known are left out."""
    image, mask = places(case)
    return {
        "patient_id": case.name,
        "image": image,
        "mask": mask,
        "site": "CirrMRI600+",
        "sex": person.sex,
        "age": person.age,
        "label_source": "healthy" if case.group == "healthy" else "",
        "split": case.split,
    }


def write_nnunet(cases: list[PublishedCase], out: Path) -> None:
    """Write dataset.json and, where there are folds, splits_final.json."""
    names = {split: sorted(case.name for case in cases if case.split == split) for split in ("train", "valid")}
    dataset = {
        "channel_names": {"0": "T2"},
        "labels": {"background": 0, "liver": 1},
        "numTraining": len(names["train"]) + len(names["valid"]),
        "file_ending": ".nii.gz",
    }
    write_json(out / "dataset.json", dataset)
    healthy = sorted(case.name for case in cases if case.group == "healthy")
    if len(names["train"]) > 1 and names["valid"]:
        write_json(out / SPLITS, folds(names["train"], names["valid"], healthy))


def folds(train: list[str], valid: list[str], healthy: list[str]) -> list[dict[str, list[str]]]:
    """nnU-Net's folds, each a list of cases to train on and one to hold out.

    The cirrhotic keep their published split in every fold. Of the healthy, who have no published split, each fold holds
    out another part, so that each of them is unseen by one member, whose mask of it a classifier may be trained on.
    """
    held_out = [healthy[part::HEALTHY_PARTS] for part in range(HEALTHY_PARTS)] if healthy else [[]]
    return [
        {"train": [name for name in train if name not in part], "val": valid + part}
        for part in held_out
        if (part or not healthy) and set(train) - set(part)
    ]
