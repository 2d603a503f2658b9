"""Collateral vessels run where portal hypertension opens them, in no organ, dark or bright."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipeline.case import LIVER, SPLEEN
from pipeline.simulation.fibrosis_signs import FibrosisSigns
from pipeline.simulation.vessels import add_vessels
from tests.simulation.conftest import ABDOMEN_MM_ZYX as MM


def with_vessels(abdomen, **signs: float) -> tuple[np.ndarray, np.ndarray]:
    image = abdomen[0].copy()
    blood = add_vessels(image, abdomen[1], FibrosisSigns(**signs), MM, np.random.default_rng(0))
    return image, blood


def test_varices_lie_between_spleen_and_left_lobe_and_in_no_organ(abdomen):
    _, blood = with_vessels(abdomen, varices_mm=8)
    x = np.nonzero(blood > 0.5)[2]
    assert not blood[abdomen[1] > 0].any()
    assert x.min() > np.nonzero(abdomen[1] == LIVER)[2].mean()
    assert x.max() < np.nonzero(abdomen[1] == SPLEEN)[2].max()
    from_spleen = ndimage.distance_transform_edt(abdomen[1] != SPLEEN, MM)
    assert from_spleen[blood > 0.5].min() < 8
    assert 2 < blood.sum() * MM.prod() / 1000 < 80


def test_the_umbilical_vein_leads_from_the_liver_to_the_front_and_down(abdomen):
    _, blood = with_vessels(abdomen, umbilical_mm=8)
    z, y, _ = np.nonzero(blood > 0.5)
    assert (blood[abdomen[1] == LIVER] > 0.5).any()
    assert not blood[(abdomen[1] > 0) & (abdomen[1] != LIVER)].any()
    low, high = z <= np.quantile(z, 0.2), z >= np.quantile(z, 0.8)
    assert y[low].mean() + 5 < y[high].mean()
    front = np.flatnonzero((abdomen[0] > 0).any((0, 2)))[0]
    assert 3 < (y.min() - front) * MM[1] < 30


def test_flowing_blood_is_dark_and_slow_blood_bright(abdomen):
    for slow, low, high in ((0.0, 0, 60), (1.0, 350, 600)):
        image, blood = with_vessels(abdomen, umbilical_mm=9, slow_flow=slow)
        assert low <= np.median(image[blood > 0.95]) <= high


def test_nothing_is_drawn_without_the_sign(abdomen):
    image, blood = with_vessels(abdomen)
    assert not blood.any()
    np.testing.assert_array_equal(image, abdomen[0])


def test_no_varices_without_a_spleen(abdomen):
    labels = np.where(abdomen[1] == SPLEEN, 0, abdomen[1]).astype(np.uint8)
    assert not with_vessels((abdomen[0], labels), varices_mm=8)[1].any()
