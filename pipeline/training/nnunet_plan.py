"""From a folder of images and labels to nnU-Net's own fingerprint, plan and preprocessed cases.

nnU-Net finds its folders through three environment variables; they are set here, for this process only.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.plan_and_preprocess_api import (
    extract_fingerprint_dataset,
    plan_experiment_dataset,
    preprocess_dataset,
)

from pipeline.case import ORGANS
from pipeline.errors import ManifestError
from pipeline.training.cases import find_cases

DATASET = "Dataset001_Liver"
CONFIGURATION = "3d_fullres"
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


PLANNERS = {"small": (SmallPlanner, 1.5), "nnunet": (ExperimentPlanner, 8.0)}
"""Planner class and the GPU memory in GB that it plans for."""


def set_folders(work: Path) -> None:
    for name in ("raw", "preprocessed", "results"):
        folder = work / name
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[f"nnUNet_{name}"] = str(folder)
    os.environ["nnUNet_compile"] = "false"


def used_labels(cases: dict[str, tuple[Path, Path]]) -> list[int]:
    """Our label values that occur in the data, in order: 1 liver, 2 right kidney, 3 left kidney, 4 spleen.

    Raises:
        ManifestError: another value occurs, or no liver.
    """
    used = {int(v) for _, label in cases.values() for v in np.unique(sitk.GetArrayFromImage(sitk.ReadImage(label)))}
    if used - {0} - set(ORGANS.values()) or ORGANS["liver"] not in used:
        raise ManifestError(f"Labels must be {ORGANS} with a liver in them; found the values {sorted(used)}.")
    return sorted(used - {0})


def write_raw(cases: dict[str, tuple[Path, Path]], work: Path, folds: list[list[str]]) -> None:
    """Copy the cases, turned to LPS, into nnU-Net's raw layout and write the split.

    nnU-Net wants label values without a gap, so they are numbered anew; their names say which is which.
    """
    raw = work / "raw" / DATASET
    used = used_labels(cases)
    table = np.zeros(256, np.uint8)
    table[used] = np.arange(1, len(used) + 1)
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True, exist_ok=True)
    for case, (image, label) in cases.items():
        turned = sitk.DICOMOrient(sitk.ReadImage(image, sitk.sitkFloat32), ORIENTATION)
        sitk.WriteImage(turned, raw / "imagesTr" / f"{case}_0000.nii.gz")
        labels = sitk.DICOMOrient(sitk.ReadImage(label, sitk.sitkUInt8), ORIENTATION)
        numbered = sitk.GetImageFromArray(table[sitk.GetArrayFromImage(labels)])
        numbered.CopyInformation(turned)
        sitk.WriteImage(numbered, raw / "labelsTr" / f"{case}.nii.gz")
    names = {value: name for name, value in ORGANS.items()}
    dataset = {
        "channel_names": {"0": "T2"},
        "labels": {"background": 0} | {names[value]: int(table[value]) for value in used},
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(dataset, indent=1))
    (work / "preprocessed" / DATASET).mkdir(parents=True, exist_ok=True)
    splits = [{"train": sorted(set(cases) - set(held_out)), "val": held_out} for held_out in folds]
    (work / "preprocessed" / DATASET / "splits_final.json").write_text(json.dumps(splits, indent=1))


def make_folds(cases: list[str], count: int) -> list[list[str]]:
    """Deal the sorted cases out in turn, so that neighbours in a series of examinations fall into different folds."""
    return [sorted(cases)[start::count] for start in range(count)]


def prepare(data: Path, work: Path, *, folds: int, planner: str, processes: int) -> None:
    """Write, plan and preprocess once; a second call finds its work done."""
    cases = find_cases(data)  # before any folder is made
    set_folders(work)
    done = work / "preprocessed" / DATASET / "done"
    if done.exists():
        return
    write_raw(cases, work, make_folds(list(cases), folds))
    planner_class, memory_gb = PLANNERS[planner]
    extract_fingerprint_dataset(1, num_processes=processes)
    plan_experiment_dataset(1, planner_class, gpu_memory_target_in_gb=memory_gb)
    preprocess_dataset(1, configurations=(CONFIGURATION,), num_processes=(processes,))
    done.touch()
