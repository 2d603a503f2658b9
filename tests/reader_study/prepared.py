"""Small studies on disk, analysed by a stand-in: for tests of the study and of the reading room."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from pipeline.case import LIVER, Analysis, OrganMask, Source, Volume, view
from pipeline.reader_study.prepare import Prepared, StudyModels, StudySettings, prepare
from pipeline.reader_study.protocol import Design
from pipeline.reader_study.readers_file import read_readers
from pipeline.reader_study.study_cases import plan_cases
from pipeline.reader_study.study_folder import StudyFolder
from tests.builders import make_analysis
from tests.phantoms import make_volume_image

PROBABILITIES = (0.6173, 0.2319, 0.8457, 0.1593, 0.7129)
"""Of the cases in the order of the manifest: digits that nothing else holds."""
MODEL = make_analysis()
MODELS = StudyModels(MODEL.segmenter, MODEL.classifier)


def write_cohort(folder: Path, *, cases: int = 4, practice: int = 1, stages: Sequence[str] = ("F4", "F1")) -> Path:
    """Phantoms with alternating stages and a manifest, the practice cases first."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["patient_id", "image", "metavir", "label_source", "practice", "remark"])
        for number in range(cases + practice):
            image = make_volume_image((48, 40, 12), (6.5, 6.0, 20.0), seed=number)
            sitk.WriteImage(image, str(folder / f"Meyer_{number}.nii.gz"))
            stage = stages[number % len(stages)]
            is_practice = int(number < practice)
            rows.writerow([f"Meyer-{number}", f"Meyer_{number}.nii.gz", stage, "histology", is_practice, "secret"])
    return manifest


def write_readers(folder: Path, readers: Sequence[str] = ("R1", "R2")) -> Path:
    file = folder / "readers.csv"
    lines = [f"{reader},reader,10 years,Dr. Secret,secret@example.org" for reader in readers]
    file.write_text("reader,role,experience,name,e-mail\n" + "\n".join(lines) + "\nK1,coordinator,,,\n")
    return file


def stand_in(manifest: Path, *, calls: list[str] | None = None) -> Callable[[Path], Analysis]:
    """An analysis by an ellipsoid, with ``PROBABILITIES`` by the number in the file's name."""

    def analyse(image: Path) -> Analysis:
        from tests.page.fake_models import fake_heat, fake_organs

        number = int(image.name.split("_")[1].split(".")[0])
        if calls is not None:
            calls.append(image.name)
        read = sitk.Cast(sitk.DICOMOrient(sitk.ReadImage(str(image)), "LPS"), sitk.sitkFloat32)
        volume = Volume(read, Source("nifti", "0" * 16))
        organs = _shortened(fake_organs(volume), number % 5)
        base = make_analysis(probability=PROBABILITIES[number % len(PROBABILITIES)])
        return Analysis(
            volume, organs, base.fibrosis, fake_heat(organs), base.segmenter, base.classifier, base.warnings
        )

    return analyse


def _shortened(organs: OrganMask, number: int) -> OrganMask:
    """Without the lowest ``number`` slices of the liver, so that no two cases have one mask."""
    labels = view(organs.labels).copy()
    lowest = int(np.flatnonzero((labels == LIVER).any(axis=(1, 2)))[0])
    below = labels[: lowest + number]
    below[below == LIVER] = 0
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(organs.labels)
    ml = float(np.prod(image.GetSpacing())) / 1000
    return replace(organs, labels=image, liver_ml=float((labels == LIVER).sum()) * ml)


def make_study(
    root: Path,
    *,
    design: str = "sequential",
    cases: int = 4,
    practice: int = 1,
    readers: Sequence[str] = ("R1", "R2"),
    analyse: Callable[[Path], Analysis] | None = None,
    **changes: Any,
) -> tuple[StudyFolder, Prepared]:
    """A prepared study in ``root/study``, of the cohort in ``root/cohort``, which is made if need be."""
    manifest = root / "cohort" / "manifest.csv"
    if not manifest.exists():
        write_cohort(root / "cohort", cases=cases, practice=practice)
    washout = 28.0 if design == "crossover" else 0.0
    settings = StudySettings(name="trial", design=Design(design), seed=1, **{"washout_days": washout, **changes})
    folder = StudyFolder(root / "study")
    people = read_readers(write_readers(root, readers))
    planned = plan_cases(manifest, "trial")
    analyse = analyse or stand_in(manifest)
    return folder, prepare(folder, settings, people, planned, MODELS, analyse, lambda done, total: None)
