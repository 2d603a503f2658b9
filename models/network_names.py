"""Backbones and uses of the mask of the classifier's network, by name; loads no torch."""

from __future__ import annotations

from typing import Literal

MaskUse = Literal["attention", "none", "mask_only", "background_only", "background_only_without_spleen"]
"""``attention``: the method. ``none``: no mask at all. The others are ablations that test for leakage: the outline
alone, everything but the liver, and the same without the half of the crop where the spleen lies. A large spleen is a
sign of fibrosis; what can be predicted without it comes from the scanner, the site or the outline of the liver."""

BACKBONES: dict[str, tuple[str, tuple[int, ...]]] = {
    "resnet18": ("resnet18", (1, 2, 3)),
    "resnet50": ("resnet50", (1, 2, 3)),
    "densenet121": ("densenet121", (1, 2, 3)),
    "swin_tiny": ("swin_tiny_patch4_window7_224", (0, 1, 2)),
}
"""Our name -> timm's name and the feature stages kept. The last stage is left out: texture sits in the earlier ones,
and the heat map's cells stay at 16 pixels instead of 32."""
