"""Localisation of signs by a map: controls that must score high, at chance, and low."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pipeline.evaluation.sign_overlap import SIGN_SHARE, LocalSigns

SPACING = (8.0, 2.0, 2.0)
SCALE_MM = 12.0


@pytest.fixture(scope="module")
def liver() -> np.ndarray:
    """An ellipse of 120 x 160 mm in 6 of 8 slices."""
    y, x = np.mgrid[-40:40, -50:50]
    return np.array([0 < z < 7 for z in range(8)])[:, None, None] & ((y / 30) ** 2 + (x / 40) ** 2 < 1)


@pytest.fixture(scope="module")
def change(liver) -> np.ndarray:
    """Fine lines, stronger in some parts of the liver than in others; 0 outside."""
    random = np.random.default_rng(0)
    strength = ndimage.gaussian_filter(random.normal(size=liver.shape), (1, 8, 8))
    strength = np.clip(0.1 + 0.05 * strength / strength.std(), 0, None)
    return liver * strength * (random.uniform(size=liver.shape) < 0.3)


@pytest.fixture(scope="module")
def signs(change, liver) -> LocalSigns:
    return LocalSigns(change, liver, SPACING, SCALE_MM)


def noise(shape: tuple[int, ...], seed: int) -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), (0, 5, 5))
    return field / field.std()


def test_the_signs_themselves_are_a_perfect_map(signs, change):
    found = signs.localisation(change)
    assert found.auc == pytest.approx(1)
    assert found.correlation == pytest.approx(1)
    assert found.pointing == 1
    assert signs.localisation(-change).auc == pytest.approx(0)


def test_blurred_signs_with_noise_score_high(signs, change):
    blurred = ndimage.gaussian_filter(change, (0, 4, 4))
    found = signs.localisation(blurred + 0.2 * blurred.std() * noise(change.shape, 1))
    assert found.auc > 0.85
    assert found.correlation > 0.7
    assert found.pointing == 1


def test_random_maps_are_at_chance(signs, change):
    found = [signs.localisation(noise(change.shape, seed)) for seed in range(30)]
    assert np.mean([each.auc for each in found]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([each.auc_fixed for each in found]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([each.correlation for each in found]) == pytest.approx(0, abs=0.08)
    assert np.mean([each.pointing for each in found]) == pytest.approx(found[0].pointing_chance, abs=0.25)


def test_a_map_without_heat_is_at_chance(signs, change):
    found = signs.localisation(np.zeros_like(change))
    assert (found.auc, found.auc_fixed, found.correlation) == (0.5, 0.5, 0)
    assert found.pointing == pytest.approx(found.pointing_chance)


def test_heat_outside_the_liver_changes_nothing(signs, change, liver):
    assert signs.localisation(np.where(liver, change, 1e3)) == signs.localisation(change)


def test_edges_of_the_liver_are_no_sign_by_themselves(liver):
    """The mean is over the liver's part of the square; over the whole square it would fall off at the edge."""
    even = LocalSigns(0.1 * liver, liver, SPACING, 24.0)
    np.testing.assert_allclose(even.change, 0.1, rtol=1e-5)


@pytest.mark.parametrize(("z", "x", "hit"), [(3, 50, 1), (3, 71, 1), (3, 73, 0), (4, 50, 0)])
def test_a_hit_is_near_a_sign_of_the_same_slice(liver, z, x, hit):
    """A focal sign that ends at x = 69, averaged over one voxel of 2 mm; the tolerance is 5 mm."""
    change, heat = np.zeros(liver.shape), np.zeros(liver.shape)
    change[3, 30:50, 30:70] = 0.3
    heat[z, 40, x] = 1
    signs = LocalSigns(change, liver, SPACING, 2.0)
    assert signs.sign.sum() == 20 * 40
    assert signs.localisation(heat).pointing == hit


def test_a_quarter_of_the_liver_is_sign_and_a_fixed_threshold_needs_both_sides(signs, change, liver):
    assert signs.sign.mean() == pytest.approx(SIGN_SHARE, abs=0.01)
    weak = LocalSigns(change / 100, liver, SPACING, SCALE_MM).localisation(change)
    assert np.isnan(weak.auc_fixed)
    assert weak.auc == pytest.approx(1)
