"""Nodules differ in size, septa in width and completeness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from pipeline.simulation.fibrosis_signs import FibrosisSigns
from pipeline.simulation.nodules import lace

MM = np.array([6.0, 1.2, 1.2])
SIGNS = FibrosisSigns(septa=0.3, septa_complete=1.0, nodules=0.15, nodule_mm=6.0, macronodular=0.5)


def drawn(signs: FibrosisSigns, seed: int = 0) -> np.ndarray:
    """(z, y, x) relative change in a block of 18 x 72 x 72 mm."""
    inside = np.ones((3, 60, 60), bool)
    return lace(inside, signs, MM, np.random.default_rng(seed)).reshape(inside.shape)


def nodule_areas_mm2(change: np.ndarray) -> np.ndarray:
    """Areas of dark patches of single slices."""
    parts = [ndimage.label(level < -0.02)[0] for level in change]
    return np.concatenate([np.bincount(part.ravel())[1:] for part in parts]) * MM[1] * MM[2]


def test_small_and_large_nodules_lie_side_by_side():
    areas = nodule_areas_mm2(drawn(SIGNS))
    areas = areas[areas > 4]
    assert len(areas) > 20
    assert np.quantile(areas, 0.95) > 6 * np.quantile(areas, 0.25)
    diameter = 2 * np.sqrt(np.quantile(areas, 0.9) / np.pi)
    assert diameter < 20


def test_macronodular_livers_have_larger_nodules():
    small, large = (nodule_areas_mm2(drawn(replace(SIGNS, macronodular=share))) for share in (0.0, 1.0))
    assert np.quantile(large, 0.95) > 1.5 * np.quantile(small, 0.95)


def test_septa_are_bright_nodules_dark_and_more_septa_brighter():
    change = drawn(SIGNS)
    assert change.max() > 0.15
    assert change.min() < -0.05
    shares = [
        (drawn(replace(SIGNS, nodules=0.0, septa_complete=complete)) > 0.05).mean() for complete in (0.3, 0.6, 1.0)
    ]
    assert 0 < shares[0] < shares[1] < shares[2] < 0.8


def test_incomplete_septa_end_blindly():
    """Each slice's septa fall into more pieces of equal length as borders lose parts of their septum."""
    whole, part = (
        drawn(replace(SIGNS, nodules=0.0, macronodular=0.0, nodule_mm=9.0, septa_complete=complete)) > 0.06
        for complete in (1.0, 0.5)
    )
    pieces = [sum(ndimage.label(level)[1] for level in mask) / mask.sum() for mask in (whole, part)]
    assert pieces[1] > 2 * pieces[0]


def test_equal_seeds_give_equal_nodules_and_strength_scales():
    np.testing.assert_array_equal(drawn(SIGNS), drawn(SIGNS))
    assert not np.array_equal(drawn(SIGNS), drawn(SIGNS, seed=1))
    half = replace(SIGNS, septa=SIGNS.septa / 2, nodules=SIGNS.nodules / 2)
    np.testing.assert_allclose(drawn(half), drawn(SIGNS) / 2, atol=1e-5)
