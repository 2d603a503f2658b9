"""Initial weights of the backbone: where a training starts, or a clear refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from pipeline.errors import ModelError
from pipeline.training.classifier.fold import FoldTask, MemberTraining
from pipeline.training.classifier.pretrained import backbone_weights
from pipeline.training.classifier.settings import Settings
from tests.training.classifier.cohorts import CPU, SPEC, train


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory) -> Path:
    """A file as timm publishes it, with random weights."""
    file = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), file)
    return file


def test_pretrained_weights_are_where_a_training_starts(imagenet, tmp_path):
    start = backbone_weights("resnet18", str(imagenet))
    expected = load_file(imagenet)["conv1.weight"][:, :2] * 1.5  # as timm adapts three channels to two
    torch.testing.assert_close(start["conv1.weight"], expected)
    run = MemberTraining(FoldTask(0, [], Settings(), SPEC, CPU, tmp_path / "fold0.pt", start))
    torch.testing.assert_close(run.net.backbone.conv1.weight.detach(), expected)


def test_pretrained_weights_that_cannot_be_had_stop_a_training(imagenet, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="safetensors file, or leave"):
        backbone_weights("resnet18", "imagenet")
    with pytest.raises(ModelError, match="do not fit densenet121"):
        backbone_weights("densenet121", str(imagenet))
    with pytest.raises(ModelError, match="file that exists"):
        train(tmp_path / "manifest.csv", tmp_path / "model", pretrained="weights.pth")
