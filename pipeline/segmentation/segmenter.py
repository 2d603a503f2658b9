"""A segmenter: nnU-Net v2 as a library, in this process, its networks loaded from safetensors."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import Tensor

from models import registry
from models.weights import load_into
from pipeline.case import LIVER, ORGANS
from pipeline.errors import ModelError
from pipeline.segmentation import quality_prediction
from pipeline.segmentation.any_size import any_size
from pipeline.segmentation.channels_last import channels_last
from pipeline.segmentation.plan_allowlist import check_names
from pipeline.segmentation.quality_features import Observation, observe
from pipeline.segmentation.tiles import TilePredictor

MOST_VALUES = 64_000_000
"""Values of the first stage's feature map above which a volume is predicted by tiles."""


@dataclass
class Segmenter:
    """A loaded ensemble on one device. Not re-entrant: one analysis at a time."""

    model: registry.ModelFolder
    device: torch.device
    exact: bool = False
    """Predict by nnU-Net's own overlapping tiles in place of one pass over the volume: several times slower, with
    nearly the same masks. Predicted quality is fitted to one pass."""
    predictor: TilePredictor = field(init=False)
    states: list[dict[str, Tensor]] = field(init=False)
    """Weights of each member."""
    quality: quality_prediction.QualityModel | None = field(init=False)
    """Predictor of the mask's quality; None where the model has none."""

    def __post_init__(self) -> None:
        plans, dataset = (_read_json(self.model, name) for name in ("plans.json", "dataset.json"))
        configuration = self.model.info.get("configuration", "")
        if configuration not in plans.get("configurations", {}):
            raise ModelError("The segmenter's plan does not hold the configuration that its model.json names.")
        check_names(plans)
        manager = PlansManager(plans)
        settings = manager.get_configuration(configuration)
        self.labels = _organ_labels(dataset)
        self.orientation = str(self.model.info.get("orientation", "LPS"))
        network = get_network_from_plans(
            settings.network_arch_class_name,
            settings.network_arch_init_kwargs,
            settings.network_arch_init_kwargs_req_import,
            determine_num_input_channels(manager, settings, dataset),
            manager.get_label_manager(dataset).num_segmentation_heads,
            deep_supervision=False,
        )
        any_size(network)
        if self.device.type == "cpu":
            channels_last(network)
        self.states = []
        for member in self.model.members:
            load_into(network, self.model.state(member))
            self.states.append({name: value.clone() for name, value in network.state_dict().items()})
        self.predictor = TilePredictor(self.device)
        self.predictor.manual_initialization(
            network.to(self.device), manager, settings, self.states, dataset, "nnUNetTrainer", None
        )
        self.spacing_mm_zyx: tuple[float, ...] = tuple(settings.spacing)
        self.quality = quality_prediction.load(self.model.folder, self.model.info["sha256"])

    def move(self, device: torch.device) -> None:
        """Move the network, in place; the members' weights follow when they are used."""
        self.device = self.predictor.device = device
        self.predictor.perform_everything_on_device = device.type == "cuda"
        self.predictor.network.to(device)

    def fits_one_pass(self, size: tuple[int, ...]) -> bool:
        """Whether a volume of ``size`` voxels, (z, y, x) after preprocessing, is predicted in one pass.

        By tiles are predicted a volume with too large feature maps and one for a 2-D network.
        """
        features = self.predictor.configuration_manager.network_arch_init_kwargs["features_per_stage"]
        return len(self.spacing_mm_zyx) == 3 and features[0] * math.prod(size) <= MOST_VALUES

    def observe(self, data: Tensor, logits: Tensor) -> Observation | None:
        """What the quality of a member's mask is judged by; None where it found no liver.

        Args:
            data: (1, z, y, x) float, the preprocessed volume.
            logits: (label, z, y, x) float, the member's output.

        Raises:
            ModelError: the plan is 2-D, for which quality is not predicted.
        """
        if len(self.spacing_mm_zyx) != 3:
            raise ModelError("Quality can be predicted for a 3-D segmenter only.")
        return observe(data, logits, self.labels, self.spacing_mm_zyx)


def _organ_labels(dataset: dict[str, Any]) -> dict[int, int]:
    """The model's label value by ours, from the names in its dataset.json.

    A liver-only model may call its one foreground label anything.

    Raises:
        ModelError: there is no liver among the labels.
    """
    theirs = {str(name).lower().replace(" ", "_"): value for name, value in dataset["labels"].items()}
    mapping = {ours: theirs[name] for name, ours in ORGANS.items() if isinstance(theirs.get(name), int)}
    foreground = [v for n, v in theirs.items() if isinstance(v, int) and v > 0 and n != "ignore"]
    if LIVER not in mapping and len(foreground) == 1:
        mapping[LIVER] = foreground[0]
    if LIVER not in mapping:
        raise ModelError("The segmenter has no label called liver in its dataset.json.")
    return mapping


def _read_json(model: registry.ModelFolder, name: str) -> dict[str, Any]:
    try:
        return json.loads((model.folder / name).read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"The segmenter's {name} is missing or damaged; install the model again.") from error
