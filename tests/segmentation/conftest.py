"""A miniature nnU-Net model folder, and a network that calls everything bright liver."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from torch import nn

from models import registry
from models.weights import save_member
from pipeline.case import Source, Volume
from pipeline.segmentation import Segmenter
from tests.abdomen import Box, make_abdomen

RESAMPLING = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 2,
        "features_per_stage": [4, 8],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[1, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [1, 2, 2]],
        "n_conv_per_stage": [1, 1],
        "n_conv_per_stage_decoder": [1],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}
PLANS = {
    "dataset_name": "Dataset001_Test",
    "plans_name": "nnUNetPlans",
    "transpose_forward": [0, 1, 2],
    "transpose_backward": [0, 1, 2],
    "image_reader_writer": "SimpleITKIO",
    "label_manager": "LabelManager",
    "foreground_intensity_properties_per_channel": {"0": {"mean": 0.0, "std": 1.0}},
    "configurations": {
        "3d_fullres": {
            "data_identifier": "x",
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 1,
            "patch_size": [8, 32, 32],
            "spacing": [8.0, 4.0, 4.0],
            "normalization_schemes": ["ZScoreNormalization"],
            "use_mask_for_norm": [False],
            "resampling_fn_data": "resample_data_or_seg_to_shape",
            "resampling_fn_data_kwargs": RESAMPLING,
            "resampling_fn_seg": "resample_data_or_seg_to_shape",
            "resampling_fn_seg_kwargs": RESAMPLING,
            "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
            "resampling_fn_probabilities_kwargs": RESAMPLING,
            "architecture": ARCHITECTURE,
            "batch_dice": False,
        }
    },
}
LABELS = {"background": 0, "liver": 1, "right_kidney": 2, "left_kidney": 3, "spleen": 4}


def tiny_network(labels: int, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    kwargs = (ARCHITECTURE["network_class_name"], ARCHITECTURE["arch_kwargs"], ARCHITECTURE["_kw_requires_import"])
    return get_network_from_plans(*kwargs, 1, labels, deep_supervision=False)


def write_model(folder: Path, *, labels: dict[str, int] = LABELS, members: int = 2, **info: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(PLANS))
    dataset = {"channel_names": {"0": "T2"}, "labels": labels, "numTraining": 1, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(dataset))
    for member in range(members):
        save_member(folder, f"fold{member}", tiny_network(len(labels), member).state_dict())
    facts = {"kind": "segmenter", "name": "tiny", "configuration": "3d_fullres", "trained_on": "nothing"}
    registry.write_model_json(folder, facts | info)
    return folder


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny")


class BrightIsLiver(nn.Module):
    """Logits of label 1 grow with brightness; all other labels stay below zero."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.labels = labels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.full((x.shape[0], self.labels, *x.shape[2:]), -50.0)
        logits[:, 0], logits[:, 1] = 0.0, 20 * (x[:, 0] - 1.0)
        return logits


@pytest.fixture
def bright_segmenter(model_folder: Path) -> Segmenter:
    segmenter = Segmenter(registry.find(model_folder, "segmenter"), torch.device("cpu"))
    segmenter.predictor.network = BrightIsLiver(len(LABELS))
    segmenter.states = [{}, {}]
    return segmenter


def make_volume(bright: Box, *, size_zyx: tuple[int, int, int] = (12, 40, 44)) -> Volume:
    """5 x 5 x 10 mm voxels around 100, and 400 in the box ``bright`` (z, y, x)."""
    image, _ = make_abdomen(size_zyx[::-1], (5.0, 5.0, 10.0), liver=bright, brightness=(100, 400), noise=5)
    return Volume(image, Source("nifti", "test"))
