"""ImageNet weights of the classifier's backbone; a training that asks for them never starts from random ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from models.files import file_sha256
from models.masked_attention import feature_network
from models.network_names import BACKBONES
from pipeline.errors import ModelError

IMAGENET, BY_HASH = "imagenet", "sha256:"


def fingerprint(pretrained: str) -> str:
    """Name of a training's initial weights in ``model.json`` and checkpoints: a file's hash, never its path.

    Args:
        pretrained: empty for random weights, ``imagenet`` for timm's own, else a safetensors file.

    Raises:
        ModelError: there is no such file, or it is not a safetensors file.
    """
    if pretrained.startswith(BY_HASH):
        raise ModelError("The configuration names initial weights by their SHA-256; give the file with --pretrained.")
    if pretrained in ("", IMAGENET):
        return pretrained
    file = Path(pretrained)
    if file.suffix != ".safetensors" or not file.is_file():
        raise ModelError("Pretrained weights are given as imagenet or as a .safetensors file that exists.")
    return f"{BY_HASH}{file_sha256(file)}"


def backbone_weights(backbone: str, pretrained: str) -> dict[str, Tensor]:
    """Weights of ``MaskedAttentionNet.backbone`` by parameter name; timm adapts the first layer to two channels.

    Args:
        backbone: a name of ``BACKBONES``.
        pretrained: ``imagenet`` (timm's weights from the Hub's cache, else from the Hub) or a safetensors file with
            timm's names, as published for the backbone.

    Raises:
        ModelError: the weights are not available, or do not fit the backbone.
    """
    overlay: dict[str, Any] = {} if pretrained == IMAGENET else {"pretrained_cfg_overlay": {"file": pretrained}}
    name = BACKBONES[backbone][0]
    try:
        return feature_network(backbone, pretrained=True, **overlay).state_dict()
    except OSError as error:  # huggingface_hub's errors of network and cache are OSErrors too
        raise ModelError(
            f"ImageNet weights of {name} are neither in the Hub's cache (HF_HOME) nor reachable: fill the cache on a "
            "machine with a network, give --pretrained a .safetensors file, or leave --pretrained out."
        ) from error
    except (RuntimeError, KeyError) as error:  # safetensors and torch: damaged, missing names, wrong shapes
        raise ModelError(
            f"The pretrained weights do not fit {name}; give a file that timm published for it."
        ) from error
