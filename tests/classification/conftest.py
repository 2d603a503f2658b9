"""A small abdomen and untrained classifiers to read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from models.masked_attention import MaskedAttentionNet
from models.registry import ModelFolder, find, write_model_json
from models.weights import save_member
from pipeline.case import LIVER, OrganMask, Source, Volume
from pipeline.classification import Classifier

SPACING_XYZ = (3.0, 4.0, 8.0)


def make_case(liver_zyx: tuple[slice, slice, slice], *, seed: int = 0) -> tuple[Volume, OrganMask]:
    """A noisy volume of 60 x 40 x 10 voxels (x, y, z), turned by 10 degrees, with a box of liver."""
    random = np.random.default_rng(seed)
    labels = np.zeros((10, 40, 60), np.uint8)
    labels[liver_zyx] = LIVER
    voxels = random.normal(100, 10, labels.shape) + 100 * (labels == LIVER) * random.normal(1, 0.2, labels.shape)
    turn = np.deg2rad(10)
    images = [sitk.GetImageFromArray(array) for array in (voxels.astype(np.float32), labels)]
    for image in images:
        image.SetSpacing(SPACING_XYZ)
        image.SetOrigin((-80.0, -70.0, 30.0))
        image.SetDirection((np.cos(turn), -np.sin(turn), 0, np.sin(turn), np.cos(turn), 0, 0, 0, 1))
    volume = Volume(images[0], Source("nifti", "test"))
    return volume, OrganMask(images[1], 1000.0, None, 1, 1.0, False)


@pytest.fixture
def case() -> tuple[Volume, OrganMask]:
    """Liver in the patient's right half, in slices 2 to 7."""
    return make_case((slice(2, 8), slice(8, 30), slice(6, 34)))


def write_classifier(folder: Path, *, seed: int = 0, members: int = 2, **changes: object) -> ModelFolder:
    """A classifier folder with random weights, so that every part of the network counts."""
    info = {
        "kind": "classifier",
        "trained_on": "nothing",
        "note": "random",
        "positive_class": "LSM > 12 kPa",
        "threshold": 0.5,
        "heat_scale": 0.5,
        "network": {"backbone": "resnet18", "mask": "attention", "stages": [1, 2]},
        "input": {"spacing_mm": 4.0, "size_yx": [32, 64], "max_slices": 24},
    } | changes
    for number in range(members):
        torch.manual_seed(seed * 100 + number)
        net = MaskedAttentionNet(**info["network"])
        for layer in net.attend.values():
            torch.nn.init.constant_(layer.gamma, 0.5)
        save_member(folder, f"fold{number}", net.state_dict())
    write_model_json(folder, info)
    return find(folder, "classifier")


@pytest.fixture
def make_classifier(tmp_path: Path) -> Callable[..., Classifier]:
    def make(name: str = "random", **arguments: object) -> Classifier:
        return Classifier(write_classifier(tmp_path / name, **arguments), torch.device("cpu"))

    return make
