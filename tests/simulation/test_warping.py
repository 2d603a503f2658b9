"""Real images in other shapes: the liver takes the donor's form, image and labels stay together."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.case import LIVER, SPLEEN, view
from pipeline.simulation import warping
from pipeline.simulation.warping import warp
from pipeline.statistics.overlap import dice
from tests.simulation.abdomens import ct_of, image_of, labels_of


@pytest.fixture(scope="module")
def case() -> tuple[sitk.Image, sitk.Image]:
    labels = np.where(np.isin(labels_of(), (LIVER, SPLEEN)), labels_of(), 0).astype(np.uint8)
    return image_of(ct_of(labels)), image_of(labels)


DONOR = (labels_of((45, 30, 65)) == LIVER).astype(np.uint8)
"""As long, flatter and wider."""


def test_the_liver_moves_towards_the_donors_shape(case):
    warped = warp(*case, image_of(DONOR), np.random.default_rng(0))
    before, after = (dice(view(labels) == LIVER, DONOR > 0) for labels in (case[1], warped.labels))
    assert after > before + 0.05
    assert warped.image.GetSize() == case[0].GetSize()
    assert warped.labels.GetSpacing() == case[1].GetSpacing()


def test_image_and_labels_are_warped_alike(case):
    warped = warp(*case, image_of(DONOR), np.random.default_rng(0))
    inside = view(warped.image)[view(warped.labels) == LIVER]
    assert np.median(inside) == pytest.approx(160, abs=5)
    assert np.mean(np.abs(inside - 160) < 25) > 0.85
    assert (view(warped.labels) == SPLEEN).sum() > 0.5 * (view(case[1]) == SPLEEN).sum()


def test_the_place_and_the_spacing_of_the_donor_do_not_matter(case):
    moved = image_of(DONOR)
    moved.SetOrigin((300.0, -200.0, 1000.0))
    here, there = (warp(*case, donor, np.random.default_rng(0)) for donor in (image_of(DONOR), moved))
    np.testing.assert_array_equal(view(here.labels), view(there.labels))


def test_a_warp_that_stretches_too_far_is_refused(case, monkeypatch):
    monkeypatch.setattr(warping, "JACOBIAN", (0.95, 1.05))
    assert warp(*case, image_of(DONOR), np.random.default_rng(0)) is None


def test_a_shape_that_is_not_reached_is_refused(case, monkeypatch):
    monkeypatch.setattr(warping, "ITERATIONS", 0)
    monkeypatch.setattr(warping, "CLOSE_ENOUGH", 0.99)
    assert warp(*case, image_of(DONOR), np.random.default_rng(0)) is None


def test_an_image_with_negative_values_keeps_them(case):
    image = sitk.Cast(case[0], sitk.sitkFloat32) - 100.0
    warped = view(warp(image, case[1], image_of(DONOR), np.random.default_rng(0)).image)
    assert warped.min() == pytest.approx(view(image).min())
    assert (warped < 0).mean() == pytest.approx((view(image) < 0).mean(), abs=0.05)


def test_a_liver_below_the_registrations_grid_is_refused(case):
    tiny = np.zeros_like(view(case[1]))
    tiny[10, 30, 30] = LIVER
    assert warp(case[0], image_of(tiny), image_of(tiny), np.random.default_rng(0)) is None
