"""What classifiers are made of, by name: backbones, uses of the mask, groups of features; loads no torch."""

from __future__ import annotations

from typing import Literal

MaskUse = Literal["attention", "pooling", "none", "mask_only", "background_only", "background_only_without_spleen"]
"""``attention``: the method. ``pooling``: pooling inside the liver without learned attention, to see what the attention
adds. ``none``: no mask at all. The others test for leakage: the outline alone, everything but the liver, and the same
without the half of the crop where the spleen lies. A large spleen is a sign of fibrosis; what can be predicted without
it comes from the scanner, the site or the outline of the liver."""

BACKBONES: dict[str, tuple[str, tuple[int, ...]]] = {
    "resnet18": ("resnet18", (1, 2)),
    "resnet50": ("resnet50", (1, 2)),
    "densenet121": ("densenet121", (1, 2)),
    "swin_tiny": ("swin_tiny_patch4_window7_224", (0, 1)),
}
"""Our name -> timm's name and the feature stages kept. The later stages are left out: texture sits in the earlier ones,
and the heat map's cells are 8 pixels wide instead of 16 or 32."""

FeatureGroup = Literal["texture", "outline", "volumes", "background"]
"""Hand-crafted features of a classifier without a network. ``texture``: first-order and texture features inside the
liver. ``outline``: the shape of its mask. ``volumes``: liver and spleen. ``background``: those of ``texture`` outside
the liver."""
