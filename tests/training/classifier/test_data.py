"""Cases of a training: cached by content, and varied anew each time they are drawn."""

from __future__ import annotations

import shutil

import numpy as np
import torch

from pipeline.cohort.manifest import read_manifest
from pipeline.training.classifier.data import cache_case, draw_slices, draw_training_input, vary_mask
from tests.training.classifier.cohorts import SPEC


def test_prepared_slices_are_known_by_what_the_files_hold_not_by_where_they_lie(cases, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in tmp_path.glob("*.*"):
        shutil.copy2(file, moved)
    rows = read_manifest(moved / "manifest.csv").rows
    again = [cache_case(index, row, tmp_path / "slices", SPEC) for index, row in rows.iterrows()]
    assert [case.file for case in again] == [case.file for case in cases]


def test_training_inputs_differ_each_time_and_are_seeded(cases):
    def draw(seed: int) -> torch.Tensor:
        return draw_training_input(cases[0], SPEC, 3, np.random.default_rng(seed))

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
        x = draw_training_input(cases[0], SPEC, 3, np.random.default_rng(seed))
        if x[:, 1].min() < 0.5:  # not a draw without mask
            assert x[:, 0][x[:, 1] > 0.95].mean() > x[:, 0][x[:, 1] < 0.05].mean() + 0.2


def test_masks_vary_and_are_dropped_now_and_then(cases):
    _, distance = cases[0].arrays()
    distance = torch.from_numpy(distance)[:, None]
    areas = [float(vary_mask(distance, SPEC, np.random.default_rng(seed)).mean()) for seed in range(200)]
    assert 5 < sum(area == 1 for area in areas) < 40
    assert np.std([area for area in areas if area < 1]) > 0.01
    assert min(areas) > 0


def test_slices_are_spread_through_the_liver():
    random = np.random.default_rng(0)
    picks = np.array([draw_slices(24, 8, random) for _ in range(50)])
    assert (np.diff(picks) > 0).all()
    assert (picks // 3 == np.arange(8)).all()
    few = draw_slices(3, 8, random)
    assert (np.diff(few) >= 0).all()
    assert set(few) == {0, 1, 2}
