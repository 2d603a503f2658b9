"""Cohorts of a few tiny volumes, trainings on them, and results put together by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
import torch

from pipeline.case import LIVER
from pipeline.classification.slices import InputSpec
from pipeline.training.classifier.data import CachedCase
from pipeline.training.classifier.out_of_fold import OutOfFoldFigures
from pipeline.training.classifier.settings import Settings, TrainingOptions
from pipeline.training.classifier.train import train_classifier
from pipeline.training.classifier.trained_member import TrainedMember

SPEC = InputSpec(spacing_mm=4.0, size_yx=(32, 32))
CPU = torch.device("cpu")
TINY = "tiny"
"""A backbone that only the fixture ``tiny_backbone`` knows: checkpoints of a megabyte, steps of milliseconds."""


def write_cohort(folder: Path, *, anatomies: int = 4, simulated: bool = True) -> Path:
    """Two cases of each anatomy, 24 x 24 x 6 voxels: a liver box, rough inside where the case is positive."""
    rows = []
    for number in range(2 * anatomies):
        random, positive = np.random.default_rng(number), number % 2 == 1
        labels = np.zeros((6, 24, 24), np.uint8)
        labels[1:5, 6:18, 5 : 16 + number // 2] = LIVER
        voxels = 50 + 50 * (labels == LIVER) + random.normal(0, 15 if positive else 2, labels.shape)
        for name, array in (("image", voxels.astype(np.float32)), ("mask", labels)):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((4.0, 4.0, 8.0))
            sitk.WriteImage(image, folder / f"{name}{number}.nii.gz")
        rows.append(
            {
                "patient_id": f"case{number}",
                "image": f"image{number}.nii.gz",
                "mask": f"mask{number}.nii.gz",
                "lsm_kpa": 20 if positive else 5,
                "lsm_method": "TE",
                "label_source": "lsm",
                "source_anatomy": f"anatomy{number // 2}",
            }
        )
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    about = {"simulated": simulated, "seed": 0, "description": "Boxes." if simulated else ""}
    (folder / "cohort.json").write_text(json.dumps(about))
    return folder / "manifest.csv"


def train(
    manifest: Path, out: Path, *, fold: int | None = None, settings: dict[str, Any] | None = None, **options: Any
) -> OutOfFoldFigures | None:
    """Two folds of one epoch on the CPU, but for what ``settings`` and ``options`` say."""
    chosen = Settings(**{"folds": 2, "slices": 3, "patch": 32, "epochs": 1} | (settings or {}))
    return train_classifier(manifest, out, TrainingOptions(chosen, SPEC, device="cpu", **options), fold=fold)


def cases_labelled(labels: Sequence[bool]) -> list[CachedCase]:
    """Cases of one anatomy each, without files."""
    return [CachedCase(f"case{i}", f"anatomy{i}", label, Path(f"{i}.npz")) for i, label in enumerate(labels)]


def make_member(labels: Sequence[bool], raw_logits: Sequence[float], logits: Sequence[float]) -> TrainedMember:
    """A member without a network, whose predictions are given."""
    heat = np.ones(len(labels))
    return TrainedMember(
        net=torch.nn.Identity(),  # type: ignore[arg-type]
        unseen=cases_labelled(labels),
        raw_logits=np.array(raw_logits, float),
        logits=np.array(logits, float),
        scale_and_shift=(1.0, 0.0),
        heat_peaks=heat,
        epochs=1,
        seconds=1.0,
    )
