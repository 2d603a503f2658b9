"""Liver segmentation by nnU-Net v2, as a library, in this process, from safetensors."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import Tensor

from models import registry
from pipeline.case import LIVER, ORGANS, SPLEEN, OrganMask, Step, Volume, run_to_end
from pipeline.errors import ModelError, SegmentationError
from pipeline.segmentation.quality import clean, mean_pairwise_dice

ALLOWED_CLASSES = {
    "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
    "torch.nn.modules.conv.Conv2d",
    "torch.nn.modules.conv.Conv3d",
    "torch.nn.modules.instancenorm.InstanceNorm2d",
    "torch.nn.modules.instancenorm.InstanceNorm3d",
    "torch.nn.LeakyReLU",
    "torch.nn.ReLU",
}
"""What a plan may import by name: plans come with models from elsewhere."""


SMALLEST_EXTENT_MM = 40.0


class TilePredictor(nnUNetPredictor):
    """nnU-Net's predictor that reports each tile and can be stopped between tiles."""

    def __init__(self, device: torch.device) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # its constructor prints on a CPU
            super().__init__(use_mirroring=False, device=device, allow_tqdm=False)
        self.on_tile: Callable[[float], None] = lambda share: None
        self.stopped = False
        self.tiles = self.done = 0

    def _internal_get_sliding_window_slicers(self, image_size: tuple[int, ...]) -> list:
        slicers = super()._internal_get_sliding_window_slicers(image_size)
        self.tiles, self.done = len(slicers), 0
        return slicers

    def _internal_maybe_mirror_and_predict(self, x: Tensor) -> Tensor:
        # Raising here would leave nnU-Net's producer thread waiting for ever, so a stopped run ends on empty tiles.
        if self.stopped:
            return torch.zeros(x.shape[0], self.label_manager.num_segmentation_heads, *x.shape[2:], device=x.device)
        with torch.autocast(self.device.type, torch.bfloat16 if self.device.type == "cpu" else torch.float16):
            prediction = super()._internal_maybe_mirror_and_predict(x)
        self.done += 1
        self.on_tile(self.done / self.tiles)
        return prediction


@dataclass
class Segmenter:
    """A loaded ensemble on one device. Not re-entrant: one analysis at a time."""

    model: registry.ModelFolder
    device: torch.device
    predictor: TilePredictor = field(init=False)
    states: list[dict[str, Tensor]] = field(init=False)

    def __post_init__(self) -> None:
        plans, dataset = (_read_json(self.model, name) for name in ("plans.json", "dataset.json"))
        configuration = self.model.info.get("configuration", "")
        if configuration not in plans.get("configurations", {}):
            raise ModelError("The segmenter's plan does not hold the configuration that its model.json names.")
        _check_classes(plans)
        manager = PlansManager(plans)
        settings = manager.get_configuration(configuration)
        self.labels = _organ_labels(dataset)
        self.orientation = str(self.model.info.get("orientation", "LPS"))
        network = get_network_from_plans(
            settings.network_arch_class_name, settings.network_arch_init_kwargs,
            settings.network_arch_init_kwargs_req_import, determine_num_input_channels(manager, settings, dataset),
            manager.get_label_manager(dataset).num_segmentation_heads, deep_supervision=False,
        )  # fmt: skip
        self.states = []
        for member in self.model.members:
            registry.load_into(network, self.model.state(member))
            self.states.append({name: value.clone() for name, value in network.state_dict().items()})
        self.predictor = TilePredictor(self.device)
        self.predictor.manual_initialization(
            network.to(self.device), manager, settings, self.states, dataset, "nnUNetTrainer", None
        )


def segment_steps(volume: Volume, segmenter: Segmenter) -> Generator[Step, None, OrganMask]:
    """Predict with each member in turn and average their logits, as nnU-Net does: one step a tile.

    The generator's return value is the mask. nnU-Net's loop over tiles runs in a thread, so that each tile is a step
    here; closing the generator stops it at the next tile.

    Raises:
        SegmentationError: no liver, or too little of it.
    """
    predictor, count = segmenter.predictor, len(segmenter.states)
    _check_extent(volume)
    yield Step("Preparing the volume for the segmenter", 0.0)
    image = sitk.DICOMOrient(volume.image, segmenter.orientation)
    data, properties = _preprocess(image, predictor)
    total: Tensor | None = None
    livers = []
    for number, state in enumerate(segmenter.states):
        name = f"Segmenting the liver, network {number + 1} of {count}"
        logits = yield from _member_steps(predictor, state, data, name, number, count)
        found = predictor.label_manager.convert_logits_to_segmentation(logits)
        livers.append(np.asarray(found) == segmenter.labels[LIVER])
        total = logits if total is None else total + logits
    assert total is not None
    labels = convert_predicted_logits_to_segmentation_with_correct_shape(
        total / count, predictor.plans_manager, predictor.configuration_manager, predictor.label_manager, properties
    )
    organs = sitk.GetImageFromArray(_our_labels(labels, segmenter.labels))
    organs.CopyInformation(image)
    organs = sitk.DICOMOrient(organs, "LPS")
    organs.CopyInformation(volume.image)  # equal but for rounding in the two turns
    return clean(
        organs,
        ensemble_dice=mean_pairwise_dice(livers) if count > 1 else None,
        knows_spleen=SPLEEN in segmenter.labels,
    )


def segment(volume: Volume, segmenter: Segmenter) -> OrganMask:
    """``segment_steps`` run to its end."""
    return run_to_end(segment_steps(volume, segmenter))


def _member_steps(
    predictor: TilePredictor, state: dict[str, Tensor], data: Tensor, name: str, number: int, count: int
) -> Generator[Step, None, Tensor]:
    """Predict with one member, a step a tile; returns its logits (label, z, y, x), float32."""
    progress: SimpleQueue[float | None] = SimpleQueue()
    predictor.list_of_parameters = [state]
    predictor.stopped = False
    predictor.on_tile = progress.put

    def predict() -> Tensor:
        try:
            return predictor.predict_logits_from_preprocessed_data(data).float()
        finally:
            progress.put(None)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(predict)
        try:
            while (share := progress.get()) is not None:
                yield Step(name, (number + share) / count)
            return future.result()
        finally:
            predictor.stopped = True


def _check_extent(volume: Volume) -> None:
    """Refuse what cannot hold a liver, before nnU-Net would resample or crop it to nothing."""
    extent = min(n * s for n, s in zip(volume.image.GetSize(), volume.spacing_mm_xyz, strict=True))
    if extent < SMALLEST_EXTENT_MM:
        raise SegmentationError(
            f"The series covers only {extent:.0f} mm in one direction, which cannot hold a liver; "
            "choose the whole axial T2 series."
        )
    if not volume.voxels.any():
        raise SegmentationError("The images of this series are empty; choose another series.")


def _preprocess(image: sitk.Image, predictor: TilePredictor) -> tuple[Tensor, dict]:
    """nnU-Net's own preprocessing: crop to content, normalise, resample to the plan's spacing."""
    spacing_zyx = list(image.GetSpacing()[::-1])
    voxels = sitk.GetArrayFromImage(image).astype(np.float32)[None]
    preprocessor = predictor.configuration_manager.preprocessor_class(verbose=False)
    data, _, properties = preprocessor.run_case_npy(
        voxels, None, {"spacing": spacing_zyx}, predictor.plans_manager, predictor.configuration_manager,
        predictor.dataset_json,
    )  # fmt: skip
    return torch.from_numpy(np.ascontiguousarray(data)), properties


def _our_labels(labels: np.ndarray, mapping: dict[int, int]) -> np.ndarray:
    """The model's label values to ours: 1 liver, 2 right kidney, 3 left kidney, 4 spleen; others become background."""
    table = np.zeros(256, np.uint8)
    for ours, theirs in mapping.items():
        table[theirs] = ours
    return table[labels]


def _organ_labels(dataset: dict[str, Any]) -> dict[int, int]:
    """Our label value to the model's, by the names in its dataset.json.

    A liver-only model may call its one foreground label anything.
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


def _check_classes(plans: dict[str, Any]) -> None:
    for configuration in plans["configurations"].values():
        architecture = configuration.get("architecture", {})
        arguments = architecture.get("arch_kwargs", {})
        imported = [architecture.get("network_class_name")]
        imported += [arguments.get(key) for key in architecture.get("_kw_requires_import", ())]
        for name in imported:
            if name is not None and name not in ALLOWED_CLASSES:
                raise ModelError("The segmenter's plan names a class that this software does not allow.")
