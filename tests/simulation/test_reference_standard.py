"""Simulated elastography and biopsy against what is published of the real ones."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.simulation.parameters import DEFAULTS
from pipeline.simulation.reference_standard import draw_biopsy, draw_elastography


def test_stiffness_follows_the_stage_and_much_of_f3_lies_below_12_kpa():
    rng = np.random.default_rng(0)
    drawn = np.array([[draw_elastography(stage, rng, DEFAULTS) for _ in range(1000)] for stage in range(5)])
    lsm, iqr_median = drawn[..., 0], drawn[..., 1]
    assert np.median(lsm, axis=1) == pytest.approx([5, 6, 8, 11, 22], rel=0.06)
    assert 1 / 3 < np.mean(lsm[3] < 12) < 0.65
    assert 0.1 < np.median(iqr_median) < 0.2
    assert 0.005 < np.mean(iqr_median > 0.3) < 0.15, "a few examinations are unreliable"


def test_a_biopsy_is_at_most_a_stage_off():
    rng = np.random.default_rng(0)
    for stage in range(5):
        read = np.array([draw_biopsy(stage, rng, DEFAULTS) for _ in range(800)])
        assert abs(read - stage).max() == 1
        assert np.mean(read == stage) == pytest.approx(0.75, abs=0.05)
