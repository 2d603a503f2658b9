"""nnU-Net's resampling to its plan's grid and back, without the work that no result depends on.

Both ways give nnU-Net's own result up to rounding where the plan names its standard resampling, and call nnU-Net where
it names another.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape, determine_do_sep_z_and_axis
from torch import Tensor

from pipeline.segmentation.hard_labels import hard_labels
from pipeline.segmentation.quality import bounding_box
from pipeline.segmentation.tiles import TilePredictor

STANDARD = "resample_data_or_seg_to_shape"
"""nnU-Net's default resampling: in plane and along z by splines, or by the nearest slice where slices are thick."""
Properties = dict[str, Any]
"""What nnU-Net notes of a case's geometry; axes as in the plan."""


def preprocess(voxels: np.ndarray, spacing_mm_zyx: list[float], predictor: TilePredictor) -> tuple[Tensor, Properties]:
    """Crop to content, normalise, resample to the plan's spacing: (1, z, y, x) float32.

    Args:
        voxels: (z, y, x) in the model's orientation.
    """
    plans, settings = predictor.plans_manager, predictor.configuration_manager
    preprocessor = settings.preprocessor_class(verbose=False)
    properties: Properties = {"spacing": spacing_mm_zyx}
    if any(settings.use_mask_for_norm):
        case = (voxels[None], None, properties, plans, settings, predictor.dataset_json)
        return torch.from_numpy(np.ascontiguousarray(preprocessor.run_case_npy(*case)[0])), properties
    turned = voxels.transpose(plans.transpose_forward)
    spacing = [spacing_mm_zyx[axis] for axis in plans.transpose_forward]
    box = bounding_box(turned != 0)
    data = turned[box].astype(np.float32)[None]
    properties |= {
        "shape_before_cropping": turned.shape,
        "bbox_used_for_cropping": [[side.start, side.stop] for side in box],
        "shape_after_cropping_and_before_resampling": data.shape[1:],
    }
    target = [*spacing[: 3 - len(settings.spacing)], *settings.spacing]
    no_mask = np.zeros((1, 0))
    data = preprocessor._normalize(data, no_mask, settings, plans.foreground_intensity_properties_per_channel)
    shape = compute_new_shape(data.shape[1:], spacing, target)
    return torch.from_numpy(np.ascontiguousarray(resample(data, shape, (spacing, target), predictor))), properties


def resample(
    data: np.ndarray, shape: np.ndarray, spacings: tuple[list[float], list[float]], predictor: TilePredictor
) -> np.ndarray:
    """Resample (1, z, y, x) to ``shape``: where slices are thick, the slices that are taken only, on several cores."""
    settings = predictor.configuration_manager
    function, options = settings.resampling_fn_data, settings.configuration["resampling_fn_data_kwargs"]
    if settings.configuration["resampling_fn_data"] != STANDARD or not _by_nearest_slice(options, *spacings):
        return function(data, shape, *spacings)
    taken = np.clip(np.floor(positions(data.shape[1], int(shape[0])) + 0.5).astype(int), 0, data.shape[1] - 1)
    distinct, place = np.unique(taken, return_inverse=True)
    parts = np.array_split(distinct, min(len(distinct), torch.get_num_threads()))

    def in_plane(part: np.ndarray) -> np.ndarray:
        return function(data[:, part], (len(part), *shape[1:]), *spacings)

    with ThreadPoolExecutor(len(parts)) as pool:
        resampled = np.concatenate(list(pool.map(in_plane, parts)), axis=1)
    return resampled[:, place]


def positions(size: int, new_size: int) -> np.ndarray:
    """Where the new voxels' centres lie along an axis of ``size`` voxels, in voxels from the first one's centre."""
    return (np.arange(new_size) + 0.5) * (size / new_size) - 0.5


def labels_on_input_grid(logits: Tensor, predictor: TilePredictor, properties: Properties) -> np.ndarray:
    """The labels (z, y, x), uint8, on the grid that the volume had before ``preprocess``.

    Args:
        logits: (label, z, y, x) float32, as the plan's axes lie.
    """
    plans, settings = predictor.plans_manager, predictor.configuration_manager
    options = settings.configuration["resampling_fn_probabilities_kwargs"]
    spacing = [properties["spacing"][axis] for axis in plans.transpose_forward]
    current = [*spacing[: 3 - len(settings.spacing)], *settings.spacing]
    separate, axis = determine_do_sep_z_and_axis(options.get("force_separate_z"), current, spacing)
    nearest = bool(separate) and axis == 0 and options.get("order_z", 0) == 0
    known = settings.configuration["resampling_fn_probabilities"] == STANDARD and options.get("order") == 1
    if predictor.label_manager.has_regions or not known or (separate and not nearest):
        return convert_predicted_logits_to_segmentation_with_correct_shape(
            logits, plans, settings, predictor.label_manager, properties
        )
    labels = np.zeros(properties["shape_before_cropping"], np.uint8)
    inside = tuple(slice(*side) for side in properties["bbox_used_for_cropping"])
    labels[inside] = upsampled_labels(logits, labels[inside].shape, nearest_slice=nearest)
    return labels.transpose(plans.transpose_backward)


def _by_nearest_slice(options: dict[str, Any], spacing: list[float], new_spacing: list[float]) -> bool:
    """Whether nnU-Net's resampling takes the nearest slice along the first axis."""
    separate, axis = determine_do_sep_z_and_axis(options.get("force_separate_z", False), spacing, new_spacing)
    return bool(separate) and axis == 0 and options.get("order_z", 0) == 0


def upsampled_labels(logits: Tensor, size: tuple[int, ...], *, nearest_slice: bool = False) -> np.ndarray:
    """The label with the largest logit on a finer or coarser grid, (z, y, x) uint8: linear, edges repeated.

    Where all neighbours are background, so is what lies between them: only the box of the other labels is computed,
    slice by slice.

    Args:
        logits: (label, z, y, x) float32; background is 0.
        nearest_slice: along z the nearest slice is taken.
    """
    labels = np.zeros(size, np.uint8)
    there = hard_labels(logits) > 0
    weights, bounds = [], []
    for axis, new_size in enumerate(size):
        found = there.any(dim=[a for a in range(3) if a != axis]).nonzero()
        if not len(found):
            return labels
        axis_weights = AxisWeights.of(there.shape[axis], new_size, nearest=nearest_slice and axis == 0)
        bounds.append(axis_weights.touching(int(found[0]), int(found[-1])))
        weights.append(axis_weights.part(bounds[-1]))
    if any(side.start == side.stop for side in bounds):
        return labels
    z, y, x = weights
    in_plane = y.along(2, x.along(3, logits[:, z.first : z.last + 1]))
    for row, index in enumerate(range(bounds[0].start, bounds[0].stop)):
        lower, upper = int(z.lower[row]) - z.first, int(z.upper[row]) - z.first
        plane = torch.lerp(in_plane[:, lower], in_plane[:, upper], float(z.share[row]))
        labels[index, bounds[1], bounds[2]] = hard_labels(plane).numpy()
    return labels


class AxisWeights:
    """Linear interpolation along one axis: the two neighbours of each new voxel, and the share of the upper one."""

    def __init__(self, lower: Tensor, upper: Tensor, share: Tensor) -> None:
        self.lower, self.upper, self.share = lower, upper, share

    @classmethod
    def of(cls, size: int, new_size: int, *, nearest: bool) -> AxisWeights:
        """For ``size`` voxels that become ``new_size``."""
        at = np.clip(positions(size, new_size), 0, size - 1)
        lower = np.floor(at + 0.5 if nearest else at).astype(np.int64)
        share = np.zeros(new_size) if nearest else at - lower
        upper = np.minimum(lower + (share > 0), size - 1)
        return cls(torch.from_numpy(lower), torch.from_numpy(upper), torch.from_numpy(share).float())

    @property
    def first(self) -> int:
        """Index of the first voxel that is used."""
        return int(self.lower[0])

    @property
    def last(self) -> int:
        """Index of the last voxel that is used."""
        return int(self.upper[-1])

    def touching(self, first: int, last: int) -> slice:
        """The new voxels that depend on the voxels ``first`` to ``last``."""
        found = ((self.upper >= first) & (self.lower <= last)).nonzero()
        return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)

    def part(self, rows: slice) -> AxisWeights:
        """Those of some new voxels."""
        return AxisWeights(self.lower[rows], self.upper[rows], self.share[rows])

    def along(self, axis: int, values: Tensor) -> Tensor:
        """Interpolate along an axis of ``values``."""
        share = self.share.reshape(-1, *[1] * (values.ndim - 1 - axis))
        return torch.lerp(values.index_select(axis, self.lower), values.index_select(axis, self.upper), share)
