"""Trial run of a model before it is installed: one member on a small input, on the CPU."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
import SimpleITK as sitk
import torch

from models.errors import ModelError, SegmentationError
from models.registry import ModelFolder
from pipeline.case import Source, Volume
from pipeline.classification import Classifier
from pipeline.classification.slices import CaseSlices, InputSpec, signed_distance
from pipeline.segmentation import Segmenter, segment


def try_out(model: ModelFolder) -> None:
    """Load the members, which checks their hashes, and run each once on a small input.

    Raises:
        ModelError: a network does not load, or its output has the wrong shape or is not finite.
    """
    if model.description.kind == "segmenter":
        _try_segmenter(Segmenter(model, torch.device("cpu")))
    else:
        _try_classifier(Classifier(model, torch.device("cpu")))


def _try_segmenter(segmenter: Segmenter) -> None:
    predictor = segmenter.predictor
    settings = predictor.configuration_manager
    steps = np.prod(settings.pool_op_kernel_sizes, axis=0)
    # The smallest input that the deepest stage can normalise.
    size = [int(n) for n in np.minimum(settings.patch_size, 2 * steps)]
    with torch.inference_mode():
        logits = predictor.network.eval()(torch.rand(1, 1, *size))  # as the app does, with one channel
    if logits.shape != (1, predictor.label_manager.num_segmentation_heads, *size):
        raise ModelError("Its output has not one channel for each label of dataset.json.")
    if not bool(torch.isfinite(logits).all()):
        raise ModelError("Its output is not finite.")
    with suppress(SegmentationError):  # the volume has no liver
        segment(_noise(), segmenter)


def _noise() -> Volume:
    """A volume of 256 x 256 x 128 mm with a bright box in noise."""
    voxels = np.random.default_rng(0).normal(100, 10, (16, 64, 64)).astype(np.float32)
    voxels[4:12, 16:40, 8:32] += 200
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((4.0, 4.0, 8.0))
    return Volume(image, Source("nifti", "none"))


def _try_classifier(classifier: Classifier) -> None:
    scale = classifier.heat_scale
    if not (0 <= classifier.threshold <= 1 and (scale is None or scale > 0)):
        raise ModelError("The threshold in model.json must lie between 0 and 1, and the heat scale above 0.")
    x = classifier.ensemble.input_of(_noisy_slices(classifier.spec))
    for member in range(len(classifier.ensemble)):
        answer = classifier.ensemble.predict(member, x)
        if not (math.isfinite(answer.logit) and answer.weights.shape == (3,) and np.isfinite(answer.weights).all()):
            raise ModelError("Its output is not finite.")


def _noisy_slices(spec: InputSpec) -> CaseSlices:
    """Three slices of noise with an ellipse of liver, and a spleen."""
    images = np.random.default_rng(0).normal(0, 0.3, (3, *spec.size_yx)).clip(*spec.clip).astype(np.float32)
    y, x = (np.linspace(-1, 1, size) for size in spec.size_yx)
    liver = np.broadcast_to(np.hypot(y[:, None], x) < 0.5, images.shape)
    distance = np.stack([signed_distance(plane) for plane in liver]) * spec.spacing_mm
    grid = sitk.Image([*spec.size_yx[::-1], 3], sitk.sitkUInt8)
    grid.SetSpacing((spec.spacing_mm, spec.spacing_mm, 5.0))
    return CaseSlices(images, distance.astype(np.float32), (0, 1, 2), grid, spleen_ml=200.0)
