"""The resampling gives nnU-Net's own result."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from scipy import ndimage

from models import registry
from pipeline.segmentation import Segmenter, resampling
from pipeline.segmentation.hard_labels import hard_labels
from pipeline.segmentation.resampling import labels_on_input_grid, preprocess, upsampled_labels
from tests.segmentation.conftest import write_model

THICK, THIN = (8.0, 1.5, 1.5), (2.0, 1.5, 1.5)


def load(folder, transpose=(0, 1, 2), mask_for_norm=False, **resampling_options):
    """The predictor of a miniature model whose plan is changed."""
    write_model(folder, members=1)
    plans = json.loads((folder / "plans.json").read_text())
    plans |= {"transpose_forward": list(transpose), "transpose_backward": [transpose.index(i) for i in range(3)]}
    settings = plans["configurations"]["3d_fullres"]
    settings["use_mask_for_norm"] = [mask_for_norm]
    for name in ("data", "probabilities"):
        settings[f"resampling_fn_{name}_kwargs"] = settings[f"resampling_fn_{name}_kwargs"] | resampling_options
    (folder / "plans.json").write_text(json.dumps(plans))
    return Segmenter(registry.find(folder, "segmenter"), torch.device("cpu")).predictor


def volume(size_zyx, seed=0):
    """Smooth noise with empty borders."""
    voxels = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=size_zyx), (0.5, 3, 3)).astype(np.float32)
    voxels[:, :4], voxels[:, :, -3:] = 0, 0
    return voxels


@pytest.mark.parametrize("spacing", [THICK, THIN])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"order": 3},
        {"order": 3, "force_separate_z": False},
        {"force_separate_z": True},
        {"order_z": 1},
        {"mask_for_norm": True},
        {"transpose": (1, 0, 2)},
    ],
)
def test_both_ways_agree_with_nnunet(tmp_path, spacing, options):
    predictor = load(tmp_path / "model", **options)
    voxels = volume((13, 70, 61))
    data, properties = preprocess(voxels, list(spacing), predictor)
    plans, settings = predictor.plans_manager, predictor.configuration_manager
    theirs = {"spacing": list(spacing)}
    preprocessor = settings.preprocessor_class(verbose=False)
    expected, _, _ = preprocessor.run_case_npy(voxels[None], None, theirs, plans, settings, predictor.dataset_json)
    assert np.allclose(data, expected, atol=1e-5)

    logits = torch.from_numpy(np.stack([volume(data.shape[1:], seed) for seed in range(5)]))
    found = labels_on_input_grid(logits, predictor, properties)
    expected = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, plans, settings, predictor.label_manager, theirs
    )
    assert (found == expected).mean() > 0.9999  # rounding moves the boundary
    assert len(np.unique(found)) == 5


def test_slices_that_are_not_taken_are_not_resampled(tmp_path, monkeypatch):
    predictor, seen = load(tmp_path / "model"), []
    settings = predictor.configuration_manager
    function = settings.resampling_fn_data
    counting = staticmethod(lambda data, *rest: seen.append(data.shape[1]) or function(data, *rest))
    monkeypatch.setattr(type(settings), "resampling_fn_data", counting)
    data, _ = preprocess(volume((40, 50, 50)), [2.0, 4.0, 4.0], predictor)
    assert data.shape[1] == 10
    assert sum(seen) <= 40


def test_only_the_box_of_what_was_found_is_computed(monkeypatch):
    logits = torch.zeros(3, 6, 20, 20)
    logits[0], logits[2, 2:4, 5:9, 11:14] = 1.0, 3.7
    computed = []
    monkeypatch.setattr(resampling, "hard_labels", lambda part: computed.append(part[0].numel()) or hard_labels(part))
    labels = upsampled_labels(logits, (12, 60, 60))
    assert sum(computed[1:]) < labels.size / 10
    expected = torch.nn.functional.interpolate(logits[None], (12, 60, 60), mode="trilinear")[0].argmax(0).numpy()
    assert np.array_equal(labels, expected)


def test_background_alone_stays_background():
    logits = torch.zeros(3, 4, 5, 6)
    assert not upsampled_labels(logits, (8, 9, 3)).any()


def test_hard_labels_take_the_first_of_equal_logits():
    logits = torch.randint(0, 3, (5, 7, 8, 9)).float()
    assert np.array_equal(hard_labels(logits).numpy(), logits.numpy().argmax(0))
