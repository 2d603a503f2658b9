"""A small abdomen and untrained classifiers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.masked_attention import MaskedAttentionNet
from models.network_names import FeatureGroup
from models.registry import ModelFolder, find, write_model_json
from models.weights import save_member
from pipeline.case import OrganMask, Source, Volume
from pipeline.classification import Classifier
from pipeline.classification.feature_groups import case_features
from pipeline.classification.feature_model import LogisticMember
from pipeline.classification.slices import InputSpec, take_slices
from tests.abdomen import Box, make_abdomen

SPACING_XYZ = (3.0, 4.0, 8.0)


def make_case(liver: Box) -> tuple[Volume, OrganMask]:
    """A noisy volume of 60 x 40 x 10 voxels (x, y, z), turned by 10 degrees, with a box of liver."""
    image, labels = make_abdomen((60, 40, 10), SPACING_XYZ, liver=liver, brightness=(100, 200), noise=20)
    turn = np.deg2rad(10)
    for grid in (image, labels):
        grid.SetDirection((np.cos(turn), -np.sin(turn), 0, np.sin(turn), np.cos(turn), 0, 0, 0, 1))
    return Volume(image, Source("nifti", "test")), OrganMask(labels, 1000.0, None, 1, 1.0, False)


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
        torch.nn.init.normal_(net.pool.score[-1].weight)
        save_member(folder, f"fold{number}", net.state_dict())
    write_model_json(folder, info)
    return find(folder, "classifier")


@pytest.fixture
def make_classifier(tmp_path: Path) -> Callable[..., Classifier]:
    def make(name: str = "random", **arguments: object) -> Classifier:
        return Classifier(write_classifier(tmp_path / name, **arguments), torch.device("cpu"))

    return make


def write_feature_classifier(folder: Path, *groups: FeatureGroup, members: int = 2) -> ModelFolder:
    """A classifier folder of logistic regressions on features, with random coefficients."""
    spec = InputSpec(spacing_mm=4.0, size_yx=(32, 64))
    volume, organs = make_case((slice(2, 8), slice(8, 30), slice(6, 34)))
    case = take_slices(volume, organs.liver, spec, spleen_ml=200.0)
    found = case_features(case, groups, spec)
    values = np.array([*found.values()])
    for number in range(members):
        coefficients = np.random.default_rng(number).normal(0, 0.1, len(values))
        member = LogisticMember(values, np.abs(values) / 10 + 1e-3, coefficients, 0.2 * number)
        save_member(folder, f"fold{number}", member.state(), exact=True)
    info = {
        "kind": "classifier",
        "trained_on": "nothing",
        "positive_class": "LSM > 12 kPa",
        "threshold": 0.5,
        "features": list(groups),
        "feature_names": list(found),
        "input": spec.to_json(),
    }
    write_model_json(folder, info)
    return find(folder, "classifier")
