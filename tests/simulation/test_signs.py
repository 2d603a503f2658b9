"""Signs of fibrosis and iron in a liver: how often they are drawn, and what they do to voxels and labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from pipeline.case import LIVER, SPLEEN
from pipeline.simulation.deformation import deform_anatomy
from pipeline.simulation.fibrosis_signs import FibrosisSigns
from pipeline.simulation.parameters import DEFAULTS
from pipeline.simulation.scanner import Background, Scan, apply_background
from pipeline.simulation.shape_signs import displacement
from pipeline.simulation.simulated_case import draw_signs, image_on_grid, sign_map_voxels
from pipeline.simulation.texture_signs import add_texture

SPACING_ZYX = np.array([10.0, 2.5, 2.5])


def moved(labels: np.ndarray, signs: FibrosisSigns) -> np.ndarray:
    shift = displacement(signs, labels, np.full(labels.shape, 100.0), SPACING_ZYX, np.random.default_rng(0))
    at = [i + s / mm for i, s, mm in zip(np.indices(labels.shape), shift, SPACING_ZYX, strict=True)]
    return ndimage.map_coordinates(labels, at, order=0)


def test_signs_grow_with_the_stage_and_overlap():
    rng = np.random.default_rng(0)
    drawn = [[draw_signs(stage, rng, DEFAULTS)[1] for _ in range(400)] for stage in range(5)]
    septa = [np.array([s.septa for s in stage]) for stage in drawn]
    assert np.all(np.diff([np.median(s) for s in septa]) > 0)
    assert np.quantile(septa[2], 0.9) > np.quantile(septa[3], 0.3), "F2 and F3 overlap"
    assert np.mean([s.ascites_mm > 0 for s in drawn[4]]) > 0.15
    assert all(s.ascites_mm == 0 and s.confluent == 0 for s in drawn[0])
    assert np.median([s.spleen for s in drawn[4]]) > 1.3
    for sign, expected in (
        ("varices_mm", DEFAULTS.varices_probability),
        ("umbilical_mm", DEFAULTS.umbilical_probability),
    ):
        shares = [np.mean([getattr(s, sign) > 0 for s in stage]) for stage in drawn]
        assert shares == pytest.approx(expected, abs=0.06)
        assert shares[:3] == [0, 0, 0]
    assert all(s.lobar == 0 for s in drawn[0]), "lobar change belongs to late disease"


def test_most_cirrhotic_livers_have_changed_lobes():
    rng = np.random.default_rng(0)
    cirrhotic = [draw_signs(4, rng, DEFAULTS)[1] for _ in range(400)]
    lobar = np.array([signs.lobar for signs in cirrhotic])
    assert np.mean(lobar > 0) == pytest.approx(DEFAULTS.lobar_probability, abs=0.08)
    assert 0.4 < np.median(lobar[lobar > 0]) < 1
    assert lobar.max() <= DEFAULTS.lobar_most
    assert all(signs.caudate == signs.lobar for signs in cirrhotic), "one process changes both"


def test_texture_stays_inside_the_liver_and_needs_a_sign(organs):
    before = np.full(organs.shape, 400, np.float32)
    image = before.copy()
    add_texture(image, organs, FibrosisSigns(), SPACING_ZYX, np.random.default_rng(0))
    assert np.array_equal(image, before)
    change = add_texture(image, organs, FibrosisSigns(septa=0.3, nodules=0.15), SPACING_ZYX, np.random.default_rng(0))
    np.testing.assert_allclose(image, before * (1 + change), rtol=1e-4)
    assert np.array_equal(image[organs != LIVER], before[organs != LIVER])
    assert image[organs == LIVER].std() > 5
    assert (image > 404).any(), "bright septa"
    assert (image < 396).any(), "dark nodules"


def test_a_sign_map_is_200_times_the_magnitude_inside_the_liver():
    labels = np.array([[[LIVER, LIVER, LIVER, 0, SPLEEN]]], np.uint8)
    change = np.array([[[-0.1, 2.0, 0.0, 0.5, 0.5]]], np.float32)
    assert sign_map_voxels(change, labels).tolist() == [[[20, 255, 0, 0, 0]]]


def test_lobar_change_shrinks_the_right_and_grows_the_left(organs):
    after = moved(organs, FibrosisSigns(lobar=1.0))
    middle = 30
    right = [np.count_nonzero(m[..., :middle] == LIVER) for m in (organs, after)]
    left = [np.count_nonzero(m[..., middle + 25 :] == LIVER) for m in (organs, after)]
    assert right[1] < 0.9 * right[0]
    assert left[1] > left[0]


def test_shape_signs_reach_voxels_and_labels_on_the_scans_grid(organs):
    still = replace(DEFAULTS, warp_mm=0.0, size_sd=0.0, tilt_deg=0.0)
    scan = Scan(3.0, 10.0, gamma=1, noise=0, shading=0, blur_mm=0, ghosts=0, bright=800)
    image, labels = (image_on_grid(a, SPACING_ZYX, (0, 0, 0)) for a in (100 * organs.astype(np.float32) + 50, organs))
    volumes_ml = {}
    for name, signs in {"healthy": FibrosisSigns(), "cirrhotic": FibrosisSigns(lobar=1.0, spleen=1.8)}.items():
        voxels, found, spacing = deform_anatomy(image, labels, signs, scan, np.random.default_rng(0), still)
        assert tuple(spacing) == (10.0, 3.0, 3.0)
        assert voxels.shape == found.shape == (14, 75, 100)
        assert np.median(voxels[found == SPLEEN]) == pytest.approx(50 + 100 * SPLEEN, rel=0.02)
        right = found[..., :25] == LIVER
        volumes_ml[name] = [np.count_nonzero(part) * 0.09 for part in (right, found == SPLEEN)]
    healthy, cirrhotic = volumes_ml["healthy"], volumes_ml["cirrhotic"]
    assert healthy[1] == pytest.approx(np.count_nonzero(organs == SPLEEN) * 0.0625, rel=0.05)
    assert cirrhotic[0] < 0.9 * healthy[0]
    assert 1.35 < cirrhotic[1] / healthy[1] < 2.2


def test_a_large_caudate_adds_liver_behind_and_leaves_the_right_edge(organs):
    gained = (organs != LIVER) & (moved(organs, FibrosisSigns(caudate=1.3)) == LIVER)
    assert gained.any()
    _, y, x = np.nonzero(gained)
    middle = np.argwhere(organs == LIVER).mean(0)
    assert np.median(y) > middle[1]
    assert np.median(x) > middle[2]


def width_ratio(labels: np.ndarray) -> float:
    """Width left of a marked sagittal plane over that right of it, in one row at the caudate's level.

    The plane moves with the tissue, as the portal bifurcation does.
    """
    row = np.isin(labels[8, 54], (LIVER, 9))
    x, line = np.flatnonzero(row), np.flatnonzero(labels[8, 54] == 9).mean()
    return float((x[-1] - line) / (line - x[0]))


def test_caudate_to_right_lobe_ratio_grows_beyond_0_65_with_the_lobar_sign(organs):
    marked = organs.copy()
    marked[(organs == LIVER) & (abs(np.arange(organs.shape[2]) - 48) < 2)] = 9
    still, late = (
        width_ratio(moved_nearest(marked, organs, FibrosisSigns(lobar=strength, caudate=strength)))
        for strength in (0.0, 1.15)
    )
    assert still < 0.65 < late
    assert late > 1.25 * still


def moved_nearest(marked: np.ndarray, labels: np.ndarray, signs: FibrosisSigns) -> np.ndarray:
    """A marked copy of the labels, moved as the labels are."""
    shift = displacement(signs, labels, np.full(labels.shape, 100.0), SPACING_ZYX, np.random.default_rng(0))
    at = [i + s / mm for i, s, mm in zip(np.indices(labels.shape), shift, SPACING_ZYX, strict=True)]
    return ndimage.map_coordinates(marked, at, order=0, mode="nearest")


@pytest.mark.parametrize("signs", [FibrosisSigns(lobar=1.15, caudate=1.15, spleen=2.2), FibrosisSigns(spleen=3.0)])
def test_the_deformation_does_not_fold_at_the_largest_signs(organs, signs):
    shift = displacement(signs, organs, np.full(organs.shape, 100.0), SPACING_ZYX, np.random.default_rng(0))
    for axis in range(3):
        assert np.diff(shift[axis], axis=axis).min() > -0.95 * SPACING_ZYX[axis]


def test_the_skin_stays_where_it_is(organs):
    skin = np.zeros(organs.shape)
    shift = displacement(FibrosisSigns(lobar=1.0, spleen=2.0), organs, skin, SPACING_ZYX, np.random.default_rng(0))
    assert not np.any(shift[1:])


def test_a_notch_is_cut_into_the_right_lobe_from_behind(organs):
    lost = (organs == LIVER) & (moved(organs, FibrosisSigns(notch_mm=14.0)) != LIVER)
    assert lost.sum() > 20
    _, y, x = np.nonzero(lost)
    middle = np.argwhere(organs == LIVER).mean(0)
    assert y.min() > middle[1]
    assert x.max() < middle[2] + 6


def test_spleen_grows_by_about_the_factor(organs):
    after = moved(organs, FibrosisSigns(spleen=1.8))
    assert 1.35 < np.count_nonzero(after == SPLEEN) / np.count_nonzero(organs == SPLEEN) < 2.2


def test_iron_darkens_the_liver_more_than_the_spleen(organs):
    image = np.where(organs > 0, 400, 100).astype(np.float32)
    apply_background(image, organs, Background(steatosis=1.0, iron=0.5, oedema=1.0))
    assert np.median(image[organs == LIVER]) == pytest.approx(200, rel=0.05)
    assert np.median(image[organs == SPLEEN]) == pytest.approx(283, rel=0.05)
    assert image[0, 0, 0] == 100
