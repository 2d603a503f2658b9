"""Label maps painted as T2: labels stay true, tissues have T2's order, seeds decide."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.case import LIVER, ORGANS, SPLEEN, view
from pipeline.simulation.painting import PaintedCase, paint
from tests.simulation.abdomens import SIZE_ZYX, SPACING_MM_XYZ, ct_of, image_of, labels_of


def painted(seed: int, *, dense: bool = False) -> PaintedCase:
    labels = labels_of(dense=dense)
    ct = None if dense else image_of(ct_of(labels))
    return paint(image_of(labels), ct, np.random.default_rng(seed))


def place_of(case: PaintedCase, mask: np.ndarray) -> np.ndarray:
    """A mask of the label map's grid on the painted grid, eroded by the interpolation."""
    moved = sitk.Resample(image_of(mask.astype(np.float32)), case.image, sitk.Transform(), sitk.sitkLinear)
    return view(moved) > 0.99


@pytest.mark.parametrize("dense", [False, True])
def test_the_liver_keeps_its_place_and_volume(dense):
    case = painted(0, dense=dense)
    assert set(np.unique(view(case.labels))) == {0, *ORGANS.values()}
    ml = (view(case.labels) == LIVER).sum() * np.prod(case.labels.GetSpacing())
    true_ml = (labels_of() == LIVER).sum() * np.prod(SPACING_MM_XYZ)
    assert ml == pytest.approx(true_ml, rel=0.1)
    assert (view(case.labels)[place_of(case, labels_of() == LIVER)] == LIVER).mean() > 0.95
    assert case.image.GetSize() == case.labels.GetSize()
    assert 4 <= case.image.GetSpacing()[2] <= 9 * 1.15


def test_slices_keep_their_place_in_the_body():
    case = painted(1)
    first, second = (np.argwhere(view(case.labels) == value)[:, 0].mean() for value in (LIVER, SPLEEN))
    z_of = [case.labels.TransformContinuousIndexToPhysicalPoint((0.0, 0.0, float(k)))[2] for k in (first, second)]
    assert z_of == pytest.approx([75, 80], abs=5)


def test_fluid_is_brighter_than_the_liver_and_flowing_blood_mostly_darker():
    gall, aorta = [], []
    for seed in range(12):
        case = painted(seed)
        array = view(case.image).astype(float)
        liver = np.median(array[place_of(case, labels_of() == LIVER)])
        gall.append(np.median(array[place_of(case, labels_of() == 5)]) / liver)
        aorta.append(np.median(array[place_of(case, labels_of() == 8)]) / liver)
    assert np.median(gall) > 1.5
    assert np.median(aorta) < 0.8


def test_every_painting_has_a_contrast_of_its_own():
    ratios = []
    for seed in range(12):
        case = painted(seed)
        array, labels = view(case.image), view(case.labels)
        ratios.append(np.median(array[labels == SPLEEN]) / np.median(array[labels == LIVER]))
    assert max(ratios) / min(ratios) > 1.5


def test_a_dense_map_gets_fat_around_its_muscle():
    case = painted(0, dense=True)
    rim = place_of(case, ct_of(labels_of()) > 0) & ~place_of(case, labels_of(dense=True) > 0)
    array = view(case.image).astype(float)
    assert np.median(array[rim]) > 2 * np.median(array[:, :3, :3])


def test_equal_seeds_give_equal_images_and_others_do_not():
    first, again, other = (view(painted(seed).image) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_a_table_below_the_patient_is_no_body():
    labels = labels_of()
    ct = ct_of(labels)
    ct[:, -2:, 10:60] = 100
    case = paint(image_of(labels), image_of(ct), np.random.default_rng(0))
    table = np.zeros(SIZE_ZYX, bool)
    table[:, -2:, 12:58] = True
    array = view(case.image).astype(float)
    body = np.median(array[place_of(case, labels == LIVER)])
    assert np.median(array[place_of(case, table)]) < 0.3 * body
