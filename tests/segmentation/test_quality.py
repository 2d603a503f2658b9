from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.errors import SegmentationError
from pipeline.segmentation.quality import clean
from pipeline.statistics.overlap import dice, mean_pairwise_dice


def labelled(*boxes: tuple[int, tuple[slice, slice, slice]]) -> sitk.Image:
    """20 x 40 x 40 voxels of 5 x 5 x 10 mm (0.25 mL) with a value in each box."""
    voxels = np.zeros((20, 40, 40), np.uint8)
    for value, box in boxes:
        voxels[box] = value
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((5.0, 5.0, 10.0))
    return image


LIVER = (1, (slice(5, 15), slice(10, 20), slice(10, 20)))  # 1000 voxels, 250 mL
CRUMB = (1, (slice(17, 18), slice(30, 35), slice(30, 32)))  # 10 voxels apart from it
SPLEEN = (4, (slice(5, 15), slice(25, 30), slice(25, 35)))


def test_only_the_largest_component_is_kept_and_the_rest_counted():
    organs = clean(labelled(LIVER, CRUMB), ensemble_dice=None, knows_spleen=True)
    assert organs.components == 2
    assert organs.largest_component_share == pytest.approx(1000 / 1010)
    assert organs.liver.sum() == 1000
    assert organs.liver_ml == pytest.approx(250)


def test_a_hole_is_filled_but_not_with_another_organs_voxels():
    hole = (0, (slice(8, 9), slice(14, 16), slice(14, 16)))
    kidney = (2, (slice(10, 11), slice(14, 16), slice(14, 16)))
    organs = clean(labelled(LIVER, hole, kidney), ensemble_dice=None, knows_spleen=True)
    assert organs.liver[8].sum() == 100
    assert organs.liver[10].sum() == 96


def test_spleen_is_measured_where_the_model_knows_it():
    assert clean(labelled(LIVER, SPLEEN), ensemble_dice=None, knows_spleen=True).spleen_ml == pytest.approx(125)
    assert clean(labelled(LIVER), ensemble_dice=None, knows_spleen=True).spleen_ml == 0
    assert clean(labelled(LIVER), ensemble_dice=None, knows_spleen=False).spleen_ml is None


def test_a_crumb_does_not_count_as_spleen():
    crumb = (4, (slice(17, 18), slice(2, 6), slice(2, 6)))
    assert clean(labelled(LIVER, SPLEEN, crumb), ensemble_dice=None, knows_spleen=True).spleen_ml == pytest.approx(125)


def test_too_small_a_liver_is_refused_with_its_volume():
    small = (1, (slice(5, 10), slice(10, 20), slice(10, 20)))
    with pytest.raises(SegmentationError, match="Only 125 mL"):
        clean(labelled(small), ensemble_dice=None, knows_spleen=True)


@pytest.mark.parametrize(
    ("box", "touches"),
    [(LIVER[1], False), ((slice(0, 10), *LIVER[1][1:]), True), ((LIVER[1][0], slice(30, 40), LIVER[1][2]), True)],
)
def test_contact_with_the_edge_is_noticed(box, touches):
    assert clean(labelled((1, box)), ensemble_dice=None, knows_spleen=True).touches_edge is touches


def test_dice_and_agreement():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert dice(a, b) == 1
    a[:2], b[1:3] = True, True
    assert dice(a, b) == pytest.approx(0.5)
    assert mean_pairwise_dice([a, a, b]) == pytest.approx((1 + 0.5 + 0.5) / 3)
