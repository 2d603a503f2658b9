"""Allow-list of the names in a plan: nnU-Net imports what a plan names, and plans come with models from elsewhere.

Without such a list a name could be any attribute of any module that nnU-Net searches, called with arguments that the
plan chooses. Reader and planner are not checked: this software never looks them up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.errors import ModelError

NETWORKS = {
    "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
}
LAYERS = {
    "torch.nn.modules.conv.Conv2d",
    "torch.nn.modules.conv.Conv3d",
    "torch.nn.modules.instancenorm.InstanceNorm2d",
    "torch.nn.modules.instancenorm.InstanceNorm3d",
    "torch.nn.LeakyReLU",
    "torch.nn.ReLU",
}
RESAMPLING = {"resample_data_or_seg_to_shape", "resample_torch_fornnunet", "no_resampling_hack"}
NORMALIZATION = {
    "ZScoreNormalization",
    "CTNormalization",
    "NoNormalization",
    "RescaleTo01Normalization",
    "RGBTo01Normalization",
}
NAMES = {
    "label_manager": {"LabelManager"},
    "preprocessor_name": {"DefaultPreprocessor"},
    "resampling_fn_data": RESAMPLING,
    "resampling_fn_seg": RESAMPLING,
    "resampling_fn_probabilities": RESAMPLING,
    "normalization_schemes": NORMALIZATION,
    "network_class_name": NETWORKS,
}
"""Allowed names, all of them nnU-Net's own, by field of the plan; other fields may name ``LAYERS``."""


def check_names(plans: dict[str, Any]) -> None:
    """Refuse a plan that names anything but the allowed classes and functions of nnU-Net and PyTorch.

    Raises:
        ModelError: says the field and the name.
    """
    for field, name in _named(plans):
        if not isinstance(name, str) or name not in NAMES.get(field, LAYERS):
            raise ModelError(f"The segmenter's plan names {name!r:.80} as {field}, which this software does not allow.")


def _named(plans: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Field and name of everything that nnU-Net would import, of every configuration."""
    for part in (plans, *plans["configurations"].values()):
        for field in (field for field in NAMES if field in part):
            several = field == "normalization_schemes" and isinstance(part[field], list)
            yield from ((field, name) for name in (part[field] if several else [part[field]]))
        architecture = part.get("architecture", {})
        if "network_class_name" in architecture:
            yield "network_class_name", architecture["network_class_name"]
        arguments = architecture.get("arch_kwargs", {})
        imported = ((field, arguments.get(field)) for field in architecture.get("_kw_requires_import", ()))
        yield from ((f"its {field}", name) for field, name in imported if name is not None)
