"""Each corruption on a small phantom: what it must do, what it must leave alone."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.simulation.corruptions import AND, NAMES, CorruptionInput, breathing_shift, corrupt


@pytest.fixture(scope="module")
def phantom() -> tuple[sitk.Image, sitk.Image]:
    """A body (100) with a liver (400) at the patient's right, a brighter spleen (700), a kidney (900); 3 x 3 x 8 mm."""
    z, y, x = np.meshgrid(np.arange(18), np.arange(72), np.arange(80), indexing="ij")
    body = ((y - 36) / 33) ** 2 + ((x - 40) / 37) ** 2 < 1
    labels = np.zeros(body.shape, np.uint8)
    labels[(((z - 10) / 7) ** 2 + ((y - 32) / 20) ** 2 + ((x - 26) / 17) ** 2) < 1] = 1
    labels[(((z - 10) / 4) ** 2 + ((y - 45) / 9) ** 2 + ((x - 64) / 7) ** 2) < 1] = 4
    labels[(((z - 5) / 4) ** 2 + ((y - 54) / 6) ** 2 + ((x - 30) / 6) ** 2) < 1] = 2
    values = np.array([100, 400, 900, 900, 700], np.float32)
    voxels = values[labels] * body + np.random.default_rng(0).normal(0, 3, body.shape)
    images = [sitk.GetImageFromArray(a) for a in (np.maximum(voxels, 0).astype(np.float32), labels)]
    for image in images:
        image.SetSpacing((3.0, 3.0, 8.0))
        image.SetOrigin((-100.0, -90.0, 40.0))
        image.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, 1))
    return images[0], images[1]


def array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def median(image: sitk.Image, labels: sitk.Image, value: int) -> float:
    return float(np.median(array(image)[array(labels) == value]))


@pytest.mark.parametrize("name", NAMES)
def test_severity_0_changes_nothing_and_the_grid_stays(name, phantom):
    image, labels = phantom
    same, same_labels = corrupt(image, labels, name, 0.0, 1)
    assert (array(same) == array(image)).all()
    assert (array(same_labels) == array(labels)).all()
    worse, worse_labels = corrupt(image, labels, name, 1.0, 1)
    assert worse.GetSize() == worse_labels.GetSize()
    assert worse.GetOrigin() == worse_labels.GetOrigin()
    assert worse.GetPixelID() == sitk.sitkFloat32
    assert np.isfinite(array(worse)).all()
    assert array(worse).min() >= 0
    if name != "cropped_fov":
        assert worse.GetSize() == image.GetSize()
        assert worse.GetDirection() == image.GetDirection()
        assert (array(worse_labels) == array(labels)).all()


def test_two_at_once_follow_each_other(phantom):
    image, labels = phantom
    both, cut = corrupt(image, labels, f"inverted{AND}cropped_fov", 1.0, 1)
    one_by_one, same = corrupt(*corrupt(image, labels, "inverted", 1.0, 1), "cropped_fov", 1.0, 1)
    assert (array(both) == array(one_by_one)).all()
    assert (array(cut) == array(same)).all()
    assert cut.GetSize() != labels.GetSize()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "cropped_fov"])
def test_more_severity_is_further_from_the_image_and_a_seed_repeats(name, phantom):
    image, labels = phantom
    far = [np.abs(array(corrupt(image, labels, name, s, 4)[0]) - array(image)).mean() for s in (0.2, 0.6, 1.0)]
    assert 0 < far[0] < far[1] < far[2]
    again = [array(corrupt(image, labels, name, 0.6, 4)[0]) for _ in range(2)]
    assert (again[0] == again[1]).all()


def test_a_cropped_field_of_view_cuts_the_liver_where_it_lies_in_the_patient(phantom):
    image, labels = phantom
    whole = (array(labels) == 1).sum()
    directions = set()
    for seed in range(12):
        part, part_labels = corrupt(image, labels, "cropped_fov", 0.7, seed)
        left = (array(part_labels) == 1).sum()
        assert 0.2 * whole < left < 0.9 * whole
        index = part.GetSize()[0] // 2, part.GetSize()[1] // 2, part.GetSize()[2] // 2
        place = part.TransformIndexToPhysicalPoint(index)
        assert image[image.TransformPhysicalPointToIndex(place)] == part[index]
        directions.add(tuple(np.subtract(image.GetSize(), part.GetSize()) > 0))
    assert len(directions) == 2


def test_iron_darkens_the_liver_most_and_the_kidney_not(phantom):
    dark, labels = corrupt(*phantom, "dark_liver", 1.0, 0)
    assert median(dark, labels, 1) < 0.2 * median(*phantom, 1)
    assert 0.2 < median(dark, labels, 4) / median(*phantom, 4) < 0.6
    assert median(dark, labels, 2) == pytest.approx(median(*phantom, 2), rel=0.01)


def test_t1_puts_the_liver_above_spleen_and_kidney_and_inversion_turns_all_round(phantom):
    t1, labels = corrupt(*phantom, "t1_like", 1.0, 0)
    assert median(t1, labels, 1) > 1.5 * max(median(t1, labels, 4), median(t1, labels, 2))
    turned, labels = corrupt(*phantom, "inverted", 1.0, 0)
    assert median(turned, labels, 1) > median(turned, labels, 4) > median(turned, labels, 2)
    assert array(turned)[:, 0, 0].max() < 10  # air stays dark


def test_motion_keeps_the_energy_and_ghosts_along_the_phase_encode_axis_only(phantom):
    image, labels = phantom
    moved = array(corrupt(image, labels, "motion", 1.0, 3)[0])
    assert (moved**2).sum() == pytest.approx((array(image) ** 2).sum(), rel=1e-3)
    outside = array(image)[:, :, 0].max(1) < 20
    assert moved[:, :, 0][outside].max() < 30  # no ghost beside the body along x
    assert moved[:, 0].max() > 60  # but above it along y


def test_the_body_breathes_with_14_mm_from_peak_to_peak():
    """The body moves by a sine of 7 mm amplitude and a random part of 0.3 times that, whatever the pixel size."""
    shape = (40, 320, 4)
    for pixel_mm in (1.5, 3.0):
        spacing_mm_zyx, rng = np.array([8.0, pixel_mm, pixel_mm]), np.random.default_rng(0)
        still = CorruptionInput(np.zeros(shape, np.float32), np.zeros(shape, np.uint8), spacing_mm_zyx, 1.0, rng)
        moved_mm = pixel_mm * breathing_shift(still, 1.0)
        assert np.sqrt((moved_mm**2).mean()) == pytest.approx(7 * np.sqrt(1 / 2 + 0.3**2), rel=0.03)


def test_motion_at_full_severity_moves_a_quarter_of_the_signal(phantom):
    image, moved = array(phantom[0]), array(corrupt(*phantom, "motion", 1.0, 0)[0])
    assert np.abs(moved - image).sum() / image.sum() == pytest.approx(0.25, abs=0.05)


def test_noise_is_rician(phantom):
    noisy, _ = corrupt(*phantom, "noise", 0.5, 3)
    top = np.percentile(array(phantom[0]), 99)
    air = array(noisy)[:, 0, :4]
    assert air.mean() == pytest.approx(0.125 * top * np.sqrt(np.pi / 2), rel=0.15)  # Rayleigh where there is no signal


def test_an_unknown_severity_is_refused(phantom):
    with pytest.raises(ValueError, match="severity"):
        corrupt(*phantom, "noise", 1.5, 0)
