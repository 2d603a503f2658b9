"""Default settings of a training by backbone, where they differ from those of ``Settings``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from models.network_names import MaskUse
from pipeline.training.classifier.settings import Settings

RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "resnet50": {"learning_rate": 5e-4},
        "densenet121": {"learning_rate": 5e-4, "epochs": 32},
        # A transformer from random weights: small steps, a long rise, a long schedule.
        "swin_tiny": {
            "learning_rate": 2e-4,
            "warm_up": 0.2,
            "epochs": 48,
            "averaging": 0.995,
        },
    }
)
"""Fields of ``Settings`` by backbone; a backbone that is not named has the defaults."""
WHOLE_CROP: Mapping[str, Any] = MappingProxyType({"patch": 0, "slices": 4})
"""Fields of a network that is not steered by the liver's mask: a patch around a point of the liver would tell it."""
STEERED = ("attention", "pooling")


def recipe(backbone: str = Settings.backbone, mask: MaskUse = Settings.mask, **chosen: Any) -> Settings:
    """The settings of a training by backbone and use of the mask.

    Args:
        chosen: fields of ``Settings`` that override those of the recipe.
    """
    sampling = {} if mask in STEERED else WHOLE_CROP
    return Settings(**{"backbone": backbone, "mask": mask, **RECIPES.get(backbone, {}), **sampling, **chosen})
