"""From a folder of images and labels to nnU-Net's own fingerprint, plan and preprocessed cases.

nnU-Net finds its folders through three environment variables; they are set here, for this process only.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from filelock import FileLock
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import (
    nnUNetPlannerResEncM,
)
from nnunetv2.experiment_planning.plan_and_preprocess_api import (
    extract_fingerprint_dataset,
    plan_experiment_dataset,
    preprocess_dataset,
)

from models.files import file_sha256
from pipeline.case import ORGANS
from pipeline.cohort.images import label_values, read_labelled
from pipeline.cohort.labelled_cases import SPLITS, anatomies_of, find_cases, own_folds
from pipeline.cohort.result_cache import digest
from pipeline.errors import ManifestError

DATASET = "Dataset001_Liver"
CONFIGURATION = "3d_fullres"
PLANS = "nnUNetPlans"
FOLDS = 3
ORIENTATION = "LPS"
"""Cases are turned to LPS before training, as the app does before prediction."""


class SmallPlanner(ExperimentPlanner):
    """nnU-Net's planner for a CPU: half the features, pixels no finer than 1.9 mm, one large patch a step.

    The network then takes about a second a step on two cores, and most of an abdomen is in view at once, which tells
    a liver from a spleen when their brightness does not.
    """

    finest_mm = 1.9

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.UNet_base_num_features, self.UNet_max_features_3d = 16, 112

    def determine_fullres_target_spacing(self) -> np.ndarray:
        spacing = super().determine_fullres_target_spacing()
        return np.maximum(spacing, self.finest_mm)

    def determine_segmentation_softmax_export_fn(self, *args: object, **kwargs: object) -> tuple:
        # Between slices too, interpolate: thin slices are predicted on a coarser grid and would come back in steps.
        function, options = super().determine_segmentation_softmax_export_fn(*args, **kwargs)
        return function, options | {"force_separate_z": False}

    def get_plans_for_configuration(self, *args: object, **kwargs: object) -> dict:
        return super().get_plans_for_configuration(*args, **kwargs) | {"batch_size": 1}


Cases = dict[str, tuple[Path, Path]]
"""Image and label file by case."""
Split = list[dict[str, list[str]]]
"""``train`` and ``val`` of each fold: the cases that its member is trained on, and those that it holds out."""


@dataclass(frozen=True)
class GivenPlan:
    """Plan and labels of a trained model that a training goes on with."""

    plans: dict[str, Any]
    """Content of its ``plans.json``."""
    labels: dict[str, int]
    """nnU-Net's label value by organ, the background's too."""


PLANNERS = {"small": (SmallPlanner, 1.5), "nnunet": (ExperimentPlanner, 8.0), "residual": (nnUNetPlannerResEncM, 8.0)}
"""Planner class and the GPU memory in GB that it plans for."""


def set_folders(work: Path) -> None:
    for name in ("raw", "preprocessed", "results"):
        folder = work / name
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[f"nnUNet_{name}"] = str(folder)
    os.environ["nnUNet_compile"] = "false"


def used_labels(cases: Cases) -> list[int]:
    """Our label values that occur in the data, in order: 1 liver, 2 right kidney, 3 left kidney, 4 spleen.

    Raises:
        ManifestError: another value occurs, or no liver; a case cannot be read.
    """
    used = set().union(*(label_values(case, label) for case, (_, label) in cases.items()))
    if used - {0} - set(ORGANS.values()) or ORGANS["liver"] not in used:
        raise ManifestError(f"Labels must be {ORGANS} with a liver in them; found the values {sorted(used)}.")
    return sorted(used - {0})


def write_raw(cases: Cases, work: Path, given: GivenPlan | None = None) -> None:
    """Copy the cases, turned to LPS, into nnU-Net's raw layout.

    nnU-Net wants label values without a gap, so they are numbered anew; their names say which is which.

    Raises:
        ManifestError: the labels are not ours, or lack an organ that the model of ``given`` knows.
    """
    raw = work / "raw" / DATASET
    used = used_labels(cases)
    names = {value: name for name, value in ORGANS.items()}
    labels = {"background": 0} | {names[value]: number for number, value in enumerate(used, start=1)}
    if given is not None:
        if lacking := sorted(given.labels.keys() - labels.keys()):
            unlabelled = " and ".join(lacking).replace("_", " ")
            raise ManifestError(
                f"The model to start from knows {unlabelled}, which no label of the data holds; it would forget them. "
                "Label them too."
            )
        labels = given.labels
    dataset = {
        "channel_names": {"0": "T2"},
        "labels": labels,
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    table = numbering(dataset)
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True, exist_ok=True)
    for case, (image, label) in cases.items():
        volume, organs = read_labelled(case, image, label)
        turned = sitk.DICOMOrient(volume.image, ORIENTATION)
        sitk.WriteImage(turned, raw / "imagesTr" / f"{case}_0000.nii.gz")
        numbered = sitk.GetImageFromArray(table[sitk.GetArrayFromImage(sitk.DICOMOrient(organs, ORIENTATION))])
        numbered.CopyInformation(turned)
        sitk.WriteImage(numbered, raw / "labelsTr" / f"{case}.nii.gz")
    (raw / "dataset.json").write_text(json.dumps(dataset, indent=1))


def numbering(dataset: Mapping[str, Any]) -> np.ndarray:
    """nnU-Net's label value by ours (256,) uint8; organs that it does not learn are background."""
    table = np.zeros(256, np.uint8)
    for name, value in ORGANS.items():
        table[value] = dataset["labels"].get(name, 0)
    return table


def make_folds(anatomy_of: Mapping[str, str], count: int) -> list[list[str]]:
    """Deal the sorted anatomies out in turn, so that neighbours in a series of examinations fall into different folds
    and cases of one anatomy into one.

    Args:
        anatomy_of: source anatomy by case.
    """
    anatomies = sorted(set(anatomy_of.values()))
    dealt = (set(anatomies[start::count]) for start in range(count))
    return [sorted(case for case, anatomy in anatomy_of.items() if anatomy in part) for part in dealt]


def divide(data: Path, folds: int | None = None) -> tuple[Cases, Split]:
    """The cases to train on, those of a test split left out, and their division into folds.

    A division that comes with the data is kept; else ``folds`` (by default ``FOLDS``) are dealt out.

    Raises:
        ManifestError: the data or their division are not as ``cohort.labelled_cases`` wants them, or another number
            of folds is asked for.
    """
    cases = find_cases(data, without=("test",))
    held_out = own_folds(data, cases)
    if held_out and folds not in (None, len(held_out)):
        raise ManifestError(
            f"The data come with {len(held_out)} fold(s) of their own, by {SPLITS} or by valid in the manifest's split "
            f"column; remove that, or do not ask for {folds}."
        )
    count = FOLDS if folds is None else folds
    if not held_out:
        anatomy_of = {case: anatomy for case, anatomy in anatomies_of(data).items() if case in cases}
        there = len(set(anatomy_of.values()))
        if not 2 <= count <= there:
            raise ManifestError(
                f"{there} case(s) of different anatomy cannot be dealt into {count} folds; give at least two of each."
            )
        held_out = make_folds(anatomy_of, count)
    return cases, [{"train": sorted(set(cases) - set(names)), "val": names} for names in held_out]


def read_split(work: Path) -> Split:
    """The division that the work folder was prepared for."""
    return json.loads((work / "preprocessed" / DATASET / SPLITS).read_text())


def prepare(
    cases: Cases, split: Split, work: Path, *, planner: str, processes: int, given: GivenPlan | None = None
) -> None:
    """Write, plan and preprocess once; a second call, also one at the same time, finds its work done.

    Args:
        given: a plan to preprocess by; then nothing is planned.

    Raises:
        ManifestError: the labels are not ours, or the work was done for other cases or folds.
    """
    set_folders(work)
    with FileLock(work / "preparing.lock"):  # folds may be trained side by side
        _prepare(cases, split, work, planner, processes, given)


def _prepare(cases: Cases, split: Split, work: Path, planner: str, processes: int, given: GivenPlan | None) -> None:
    preprocessed = work / "preprocessed" / DATASET
    files = [[case, *map(file_sha256, files)] for case, files in sorted(cases.items())]
    content = digest(files if given is None else [files, given.plans, given.labels])
    if (preprocessed / "done").exists():
        if read_split(work) != split or (preprocessed / "done").read_text() != content:
            raise ManifestError(
                f"{work.name} was prepared for other cases, files or folds; remove it, or choose another -o."
            )
        return
    write_raw(cases, work, given)
    preprocessed.mkdir(parents=True, exist_ok=True)
    (preprocessed / SPLITS).write_text(json.dumps(split, indent=1))
    os.environ["nnUNet_n_proc_DA"] = "1"  # planning takes no 0, which a training in this process leaves behind
    if given is None:
        planner_class, memory_gb = PLANNERS[planner]
        extract_fingerprint_dataset(1, num_processes=processes)
        plan_experiment_dataset(1, planner_class, gpu_memory_target_in_gb=memory_gb, overwrite_plans_name=PLANS)
    else:
        plans = given.plans | {"dataset_name": DATASET, "plans_name": PLANS}
        (preprocessed / f"{PLANS}.json").write_text(json.dumps(plans, indent=1))
        shutil.copyfile(work / "raw" / DATASET / "dataset.json", preprocessed / "dataset.json")
    preprocess_dataset(1, configurations=(CONFIGURATION,), num_processes=(processes,))
    (preprocessed / "done").write_text(content)
