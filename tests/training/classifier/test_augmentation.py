"""Training samples: varied anew each time they are drawn, within the ranges of the settings."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from pipeline.training.classifier.augmentation import draw_slices, draw_training_input, vary_mask
from pipeline.training.classifier.settings import Augmentation, Settings
from tests.training.classifier.cohorts import SPEC

SETTINGS = Settings(slices=3, patch=0)


def test_training_inputs_differ_each_time_and_are_seeded(cases):
    def draw(seed: int) -> torch.Tensor:
        return draw_training_input(cases[0], SPEC, SETTINGS, np.random.default_rng(seed))

    assert draw(1).shape == (3, 2, 32, 32)
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    for seed in range(30):
        x = draw(seed)
        assert torch.isfinite(x).all()
        assert x[:, 0].min() >= -1
        assert 0 <= x[:, 1].min() <= x[:, 1].max() <= 1
        assert x[:, 1].any()


def test_varied_geometry_keeps_image_and_mask_together(cases):
    """Bright voxels of the picture stay the liver's."""
    for seed in range(10):
        x = draw_training_input(cases[0], SPEC, SETTINGS, np.random.default_rng(seed))
        assert x[:, 0][x[:, 1] > 0.95].mean() > x[:, 0][x[:, 1] < 0.05].mean() + 0.2


def test_masks_vary_and_are_never_empty(cases):
    _, distance = cases[0].arrays()
    distance = torch.from_numpy(distance)[:, None]
    draws = [vary_mask(distance, SPEC, Augmentation(), np.random.default_rng(seed)) for seed in range(200)]
    areas = [float(mask.mean()) for mask in draws]
    assert np.std(areas) > 0.01
    assert min(areas) > 0


def test_patches_lie_around_points_of_the_liver(cases):
    """Without any other change a patch is a piece of the slice, and its middle is liver."""
    still = Augmentation(**{field.name: 0.0 for field in fields(Augmentation) if field.name != "coarser"})
    settings = Settings(slices=4, patch=32, augmentation=still)
    draws = [draw_training_input(cases[0], SPEC, settings, np.random.default_rng(seed)) for seed in range(20)]
    assert all(x.shape == (4, 2, 32, 32) for x in draws)
    assert all((x[:, 1, 15:17, 15:17] > 0.5).all() for x in draws)
    assert not torch.equal(draws[0], draws[1])


def test_slices_are_spread_through_the_liver():
    random = np.random.default_rng(0)
    picks = np.array([draw_slices(24, 8, random) for _ in range(50)])
    assert (np.diff(picks) > 0).all()
    assert (picks // 3 == np.arange(8)).all()
    few = draw_slices(3, 8, random)
    assert (np.diff(few) >= 0).all()
    assert set(few) == {0, 1, 2}


def test_without_ranges_a_sample_is_what_prediction_sees(cases):
    """Every range at 0, and all slices: nothing moves and nothing changes but the choice of the crop."""
    still = Augmentation(**{field.name: 0.0 for field in fields(Augmentation) if field.name != "coarser"})
    settings = Settings(slices=4, patch=0, augmentation=still)
    x = draw_training_input(cases[0], SPEC, settings, np.random.default_rng(0))
    expected = cases[0].tensor(SPEC)
    assert len(expected) == 4
    torch.testing.assert_close(x, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", [field.name for field in fields(Augmentation) if field.name != "coarser"])
def test_each_range_changes_samples(cases, name):
    """A quantity whose range is widened is drawn; probabilities are set to 1."""
    value = {"turn_degrees": 40.0, "shift_pixels": 20.0, "mask_edge_mm": 20.0, "mask_waves_mm": 20.0}.get(name, 1.0)
    wide = replace(Augmentation(), **{name: value})
    settings = [replace(SETTINGS, augmentation=ranges) for ranges in (Augmentation(), wide)]
    usual, other = (
        [draw_training_input(cases[0], SPEC, each, np.random.default_rng(seed)) for seed in range(20)]
        for each in settings
    )
    assert not all(torch.equal(*pair) for pair in zip(usual, other, strict=True))
