"""Ascites lies in the spaces where it settles, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pipeline.case import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN
from pipeline.simulation.ascites import add_ascites
from pipeline.simulation.fibrosis_signs import FibrosisSigns
from tests.simulation.conftest import ABDOMEN_MM_ZYX as MM


def with_fluid(abdomen, depth_mm: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    image, labels = abdomen[0].copy(), abdomen[1].copy()
    fluid = add_ascites(image, labels, FibrosisSigns(ascites_mm=depth_mm), MM, np.random.default_rng(0))
    return image, labels, fluid


def distance_mm(labels: np.ndarray, organ: int) -> np.ndarray:
    return ndimage.distance_transform_edt(labels != organ, MM)


def ml(mask: np.ndarray) -> float:
    return float(np.count_nonzero(mask) * MM.prod() / 1000)


@pytest.mark.parametrize("depth_mm", [5.0, 12.0])
def test_fluid_lies_between_liver_and_right_kidney(abdomen, depth_mm):
    _, labels, fluid = with_fluid(abdomen, depth_mm)
    pouch = (fluid > 0.5) & (distance_mm(labels, LIVER) < 15) & (distance_mm(labels, RIGHT_KIDNEY) < 20)
    assert ml(pouch) > 10


def test_fluid_enters_no_kidney_and_stays_within_the_abdominal_wall(abdomen):
    image, labels, fluid = with_fluid(abdomen, 12)
    kidneys = np.isin(abdomen[1], (RIGHT_KIDNEY, LEFT_KIDNEY))
    assert not fluid[kidneys].any()
    np.testing.assert_array_equal(image[kidneys], abdomen[0][kidneys])
    skin = ndimage.distance_transform_edt(np.pad(abdomen[0] > 0, ((0, 0), (1, 1), (1, 1))), (1e3, *MM[1:]))
    assert skin[:, 1:-1, 1:-1][fluid > 0.5].min() > 9
    assert set(np.unique(labels)) == {0, LIVER, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN}


def test_what_became_fluid_is_bright_background_and_the_rest_keeps_its_label(abdomen):
    image, labels, fluid = with_fluid(abdomen, 10)
    assert not labels[fluid > 0.5].any()
    np.testing.assert_array_equal(labels[fluid <= 0.5], abdomen[1][fluid <= 0.5])
    assert image[fluid == 1].min() > 0.8 * 600
    np.testing.assert_array_equal(image[fluid == 0], abdomen[0][fluid == 0])
    lost = 1 - ml(labels == LIVER) / ml(abdomen[1] == LIVER)
    assert 0.02 < lost < 0.4
    assert ml((fluid > 0.5) & (distance_mm(labels, SPLEEN) < 10)) > 5, "perisplenic"


def test_little_fluid_lies_behind_and_much_reaches_the_front_of_the_liver(abdomen):
    rows = np.flatnonzero((abdomen[1] == LIVER).any((0, 2)))
    front = np.zeros(abdomen[1].shape, bool)
    front[:, : rows[0] + len(rows) // 4] = True
    little, much = (with_fluid(abdomen, depth)[2] > 0.5 for depth in (4.0, 13.0))
    assert (little & front).sum() < 0.03 * little.sum()
    assert (much & front).sum() > 0.08 * much.sum()


def test_gutters_hold_fluid_beside_the_colon_below_the_liver(abdomen):
    _, labels, fluid = with_fluid(abdomen, 12)
    below = np.arange(labels.shape[0]) < np.flatnonzero((labels == LIVER).any((1, 2)))[0]
    gutters = fluid[below] > 0.5
    assert gutters[..., : labels.shape[2] // 3].any()
    assert gutters[..., -labels.shape[2] // 3 :].any()
    assert not gutters[..., labels.shape[2] // 3 : -labels.shape[2] // 3].any()


def test_edges_are_smooth(abdomen):
    fluid = with_fluid(abdomen, 10)[2]
    partial = (fluid > 0.02) & (fluid < 0.98)
    edge = ndimage.binary_dilation(fluid > 0.5, np.ones((1, 3, 3))) & (fluid <= 0.5)
    assert partial.sum() > 0.5 * edge.sum()


def test_without_the_sign_nothing_changes(abdomen):
    image, labels, fluid = with_fluid(abdomen, 0)
    assert not fluid.any()
    np.testing.assert_array_equal(image, abdomen[0])
    np.testing.assert_array_equal(labels, abdomen[1])
