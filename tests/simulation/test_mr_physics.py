"""The physics that phantom, scanner and corruptions share, each effect against what theory says of it."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.simulation.mr_physics import (
    add_breathing_ghosts,
    breathing,
    coil_sensitivity,
    complex_noise,
    limit_k_space,
    move_while_encoding,
    rician_magnitude,
)


@pytest.fixture
def image() -> np.ndarray:
    """(z, y, x): a block of 100 in the middle of nothing."""
    image = np.zeros((3, 40, 30), np.float32)
    image[:, 15:25, 10:20] = 100
    return image


def test_a_body_that_lies_still_elsewhere_is_shifted_along_y(image):
    assert np.allclose(move_while_encoding(image, np.full((3, 40), 4.0)), np.roll(image, 4, axis=1), atol=1e-3)


def test_breathing_is_periodic_in_the_order_of_acquisition():
    moved = breathing(np.random.default_rng(0), 200, 64)
    in_order = np.fft.fftshift(moved, axes=1)
    assert np.abs(moved).max() < 2.5
    # 5 to 20 lines per breath are 3 to 13 cycles in 64 lines, where white noise alone would hold a third.
    power = np.abs(np.fft.rfft(in_order, axis=1)) ** 2
    assert power[:, 3:14].sum() > 0.75 * power.sum()


def test_half_of_k_space_keeps_the_mean_and_loses_the_finest_stripes(image):
    stripes = image + 10 * (-1.0) ** np.arange(40)[:, None]
    coarse = limit_k_space(stripes, 1, 0.5)
    assert coarse.mean() == pytest.approx(image.mean(), abs=1e-3)
    assert np.allclose(coarse, limit_k_space(image, 1, 0.5), atol=1e-3)
    assert np.allclose(limit_k_space(stripes, 1, 1.0), stripes, atol=1e-3)


def test_ghosts_lie_on_both_sides_along_y_and_nowhere_else(image):
    ghosted = image.copy()
    add_breathing_ghosts(ghosted, 0.2, np.random.default_rng(0))
    ghosts = ghosted - image
    assert ghosts.sum() == pytest.approx(0.2 * image.sum(), rel=1e-4)
    assert ghosts.max() == pytest.approx(10)
    assert ghosts[:, :20].any()
    assert ghosts[:, 20:].any()
    assert not ghosts[:, :, :10].any()


def test_noise_without_signal_is_rayleigh_and_with_much_signal_unbiased():
    noise = complex_noise(np.random.default_rng(0), (4, 64, 64))
    assert rician_magnitude(np.zeros(noise.shape[1:]), noise).mean() == pytest.approx(np.sqrt(np.pi / 2), rel=0.02)
    bright = rician_magnitude(np.full(noise.shape[1:], 50.0), noise)
    assert (bright.mean(), bright.std()) == pytest.approx((50, 1), rel=0.02)


def test_coil_sensitivity_is_smooth_and_as_wide_as_it_is_asked_to_be():
    fields = [
        np.log(coil_sensitivity(np.random.default_rng(seed), (8, 60, 60), np.array([8.0, 5, 5]), 0.3, 130))
        for seed in range(20)
    ]
    assert np.std(fields) == pytest.approx(0.3, rel=0.25)
    assert np.abs(np.diff(fields[0], axis=1)).max() < 0.05
