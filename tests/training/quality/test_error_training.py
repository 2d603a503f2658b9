"""Masks varied and spoilt for the error networks, and what a network learns from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.segmentation.error_network import FEATURES, voxel_features
from pipeline.training.quality import error_training
from pipeline.training.quality.error_training import (
    CoarseMask,
    draw_voxels,
    judge_coarse,
    train_error_networks,
    true_errors,
    vary,
)

SPACING = (8.0, 8.0, 8.0)


def body(seed: int, *, found: slice = slice(0, 99)) -> CoarseMask:
    """A bright ellipsoid as liver, of which a member found the columns ``found``, and a brighter spleen."""
    rng = np.random.default_rng(seed)
    grids = np.meshgrid(*map(np.arange, (18, 30, 32)), indexing="ij")
    away = [
        sum(((g - c) / r) ** 2 for g, c, r in zip(grids, *place, strict=True))
        for place in (
            ((9, 14, 11), (6 + seed % 2, 8, 9)),
            ((9, 20, 27), (4, 4, 3)),
        )
    ]
    liver, spleen = (torch.from_numpy(distance < 1).float() for distance in away)
    image = liver + 2 * spleen + 0.1 * torch.from_numpy(rng.standard_normal(liver.shape).astype(np.float32))
    mask = torch.zeros_like(liver)
    mask[..., found] = liver[..., found]
    channels = torch.stack([image, 0.98 * mask, mask, spleen, 0 * mask])
    truth = torch.stack([liver, spleen, 0 * mask])
    return CoarseMask(f"anatomy{seed}", f"fold{seed % 2}", channels, truth, SPACING)


def test_every_voxel_has_its_features_also_in_an_odd_grid():
    channels = body(0).channels[:, :17, :29, 5:]
    features = voxel_features(channels, SPACING)
    assert features.shape == (FEATURES, *channels.shape[1:])
    assert torch.isfinite(features).all()


def test_errors_are_where_most_of_a_voxel_is_wrong():
    liver, truth = torch.tensor([[[0.0, 0.4, 1.0, 0.9]]]), torch.tensor([[[1.0, 0.8, 1.0, 0.1]]])
    assert true_errors(liver, truth).tolist() == [[[[True, False, False, False]]], [[[False, False, False, True]]]]


def test_faults_are_put_into_half_of_the_masks_and_are_the_errors():
    rng, wrong = np.random.default_rng(0), []
    for _ in range(60):
        channels, errors = vary(body(0), rng)
        assert channels[1:].min() >= 0
        assert channels[1:].max() <= 1 + 1e-5
        assert not (errors[0] & (channels[2] > 0.5)).any()
        assert (channels[2][errors[1]] > 0.5).all()
        wrong.append(errors.flatten(1).sum(1).tolist())
    missing, extra = np.array(wrong).T
    assert 15 < ((missing > 10) | (extra > 10)).sum() < 45
    assert (missing > 10).sum() > 5
    assert (extra > 10).sum() > 5


def test_drawn_voxels_stand_for_all(monkeypatch):
    monkeypatch.setattr(error_training, "SAMPLES", 4)
    monkeypatch.setattr(error_training, "HEAVIEST", 1e9)
    voxels = draw_voxels([body(0), body(1)], np.random.default_rng(0))
    assert float(voxels.weights.sum()) == pytest.approx(4 * 18 * 30 * 32)
    assert len(voxels.features) == len(voxels.errors) == len(voxels.anatomies)
    assert set(voxels.anatomies) == {"anatomy0", "anatomy1"}


def test_a_part_that_is_missing_is_expected_and_a_whole_mask_is_not_doubted(monkeypatch):
    monkeypatch.setattr(error_training, "SAMPLES", 60)
    monkeypatch.setattr(error_training, "EPOCHS", 25)
    said: list[str] = []
    networks = train_error_networks([body(seed) for seed in range(6)], ("fold0", "fold1"), report=said.append)
    assert set(networks) == {"fold0", "fold1"}
    assert len(said) == 3
    whole, cut = (judge_coarse(body(6, found=part), networks["fold0"]) for part in (slice(0, 99), slice(0, 14)))
    assert cut["expected_missing"] > whole["expected_missing"] + 0.1
    assert cut["expected_overlap"] < whole["expected_overlap"] - 0.1
    assert cut["expected_distance"] > whole["expected_distance"] + 10
    assert (whole["located"], cut["located"]) == (False, True)


def test_a_network_learns_nothing_from_the_anatomies_that_its_member_has_not_seen(monkeypatch):
    used = []
    monkeypatch.setattr(error_training, "SAMPLES", 6)
    monkeypatch.setattr(error_training, "_fit", lambda voxels, use, seed: used.append(set(voxels.anatomies[use])))
    train_error_networks([body(seed) for seed in range(4)], ("fold0", "fold1"), report=lambda text: None)
    assert used == [{"anatomy1", "anatomy3"}, {"anatomy0", "anatomy2"}]
