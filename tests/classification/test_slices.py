"""Volume and mask -> network input, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.case import Source, Volume
from pipeline.classification.slices import InputSpec, soft_mask, take_slices, to_volume
from pipeline.errors import ModelError, SegmentationError

from .conftest import make_case

SPEC = InputSpec(spacing_mm=2.0, size_yx=(32, 64))


def test_slices_are_those_with_liver(case):
    volume, organs = case
    slices = take_slices(volume, organs.liver, SPEC)
    assert slices.z == (2, 3, 4, 5, 6, 7)
    assert slices.images.shape == slices.distance_mm.shape
    assert slices.tensor(SPEC).shape == (6, 2, *slices.images.shape[1:])


def test_many_slices_are_thinned_out_evenly(case):
    volume, organs = case
    assert take_slices(volume, organs.liver, InputSpec(max_slices=3)).z == (2, 4, 7)


def test_slivers_of_liver_are_left_out_unless_nothing_else_is_there(case):
    volume, organs = case
    liver = organs.liver
    liver[0, 10, 10] = True  # 0.12 square cm
    assert 0 not in take_slices(volume, liver, SPEC).z
    liver[1:] = False
    assert take_slices(volume, liver, SPEC).z == (0,)


def test_empty_mask_is_refused(case):
    volume, organs = case
    with pytest.raises(SegmentationError, match="No liver"):
        take_slices(volume, np.zeros_like(organs.liver), SPEC)


def test_crop_holds_the_whole_liver_however_large():
    volume, organs = make_case((slice(0, 10), slice(1, 39), slice(1, 59)))
    slices = take_slices(volume, organs.liver, SPEC)
    area_mm2 = (slices.distance_mm[0] < 0).sum() * SPEC.spacing_mm**2
    assert area_mm2 == pytest.approx(38 * 58 * 3 * 4, rel=0.03)
    edge = np.ones(slices.distance_mm.shape[1:], bool)
    edge[1:-1, 1:-1] = False
    assert slices.tensor(SPEC)[:, 1].numpy()[:, edge].max() == 0


def test_brightness_is_in_units_of_the_liver(case):
    volume, organs = case
    slices = take_slices(volume, organs.liver, SPEC)
    inside = slices.images[slices.distance_mm < 0]
    assert np.median(inside) == pytest.approx(0, abs=0.05)
    brighter = Volume(volume.image * 37.0, volume.source)
    np.testing.assert_allclose(take_slices(brighter, organs.liver, SPEC).images, slices.images, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 80.0])
def test_a_constant_image_gives_finite_slices(case, value):
    volume, organs = case
    flat = Volume(volume.image * 0 + value, volume.source)
    assert np.isfinite(take_slices(flat, organs.liver, SPEC).images).all()


def test_soft_mask_falls_from_one_to_zero_outside_the_edge():
    spec = InputSpec(dilation_mm=3, softness_mm=6)
    distance = np.array([-5.0, 0.0, 3.0, 6.0, 9.0])
    np.testing.assert_allclose(soft_mask(distance, spec), [1, 1, 0.5, 0, 0])


def test_a_spot_comes_back_to_its_place(case):
    volume, organs = case
    spot = np.zeros(organs.liver.shape, np.float32)
    spot[4, 16:19, 20:23] = 1
    image = sitk.GetImageFromArray(spot)
    image.CopyInformation(volume.image)
    slices = take_slices(volume, organs.liver, SPEC)
    on_grid = sitk.GetArrayFromImage(sitk.Resample(image, slices.grid))[list(slices.z)]
    back = to_volume(on_grid, slices, volume)
    assert back.GetSize() == volume.image.GetSize()
    assert np.unravel_index(sitk.GetArrayFromImage(back).argmax(), spot.shape) == (4, 17, 21)
    assert sitk.GetArrayFromImage(back).sum() == pytest.approx(spot.sum(), rel=0.1)


def test_slices_left_out_are_interpolated_and_nothing_lies_beyond_the_last(case):
    volume, organs = case
    spec = InputSpec(spacing_mm=2.0, size_yx=(32, 64), max_slices=2)
    slices = take_slices(volume, organs.liver, spec)
    maps = np.ones_like(slices.images) * np.array([1.0, 6.0])[:, None, None]
    back = sitk.GetArrayFromImage(to_volume(maps, slices, volume))
    np.testing.assert_allclose(back[:, 18, 20], [0, 0, 1, 2, 3, 4, 5, 6, 0, 0], atol=1e-5)


def test_spacing_of_the_input_hardly_matters():
    """The same object on a grid of 1 mm and of 3 mm gives about the same slices: fine grids are not aliased."""
    spec = InputSpec(spacing_mm=3.0, size_yx=(32, 32))
    means = []
    for step in (1.0, 3.0):
        size = int(96 / step)
        y, x = np.meshgrid(*2 * [(np.arange(size) + 0.5) * step], indexing="ij")
        wave = 100 + 30 * np.sin(2 * np.pi * x / 24)
        liver = np.broadcast_to((x - 48) ** 2 + (y - 48) ** 2 < 30**2, (3, size, size))
        image = sitk.GetImageFromArray(np.broadcast_to(wave, liver.shape).astype(np.float32))
        image.SetSpacing((step, step, 8.0))
        image.SetOrigin((step / 2, step / 2, 0.0))
        means.append(take_slices(Volume(image, Source("nifti", "test")), np.array(liver), spec).images[1])
    assert np.abs(means[0] - means[1]).mean() < 0.04


def test_spec_survives_json_and_refuses_unknown_keys():
    assert InputSpec.from_json({"size_yx": [96, 96], "clip": [-1, 2]}) == InputSpec(size_yx=(96, 96), clip=(-1, 2))
    with pytest.raises(ModelError, match="does not know"):
        InputSpec.from_json({"colour": 3})
