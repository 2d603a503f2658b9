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
from pipeline.classification.predict import predict_member
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
    if not (0 <= classifier.threshold <= 1 and classifier.heat_scale > 0):
        raise ModelError("The threshold in model.json must lie between 0 and 1, and the heat scale above 0.")
    for network in classifier.networks:
        logit, weights = predict_member(network, torch.rand(3, 2, *classifier.spec.size_yx))
        if not (math.isfinite(logit) and weights.shape == (3,) and bool(np.isfinite(weights).all())):
            raise ModelError("Its output is not finite.")
