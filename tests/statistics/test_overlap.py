"""Dice, HD95 and ASSD against known values, a search over all pairs, and DeepMind's ``surface_distance``.

``surface_distance`` places surface elements between voxels and weights each by its area; ``compare`` takes the border
voxels themselves, all alike, as MedPy takes them. The two agree on HD95 within one in-plane voxel. Their average
distances agree within half of one where voxels are cubes or the surfaces differ in plane. Where surfaces differ along
thick slices they must not agree: the flat ends then have many border voxels of small area each.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import surface_distance
from scipy.spatial import cKDTree

from pipeline.statistics.overlap import compare, dice, mean_pairwise_dice

pytestmark = pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # surface_distance's own

THICK = (6.0, 1.5, 1.5)
CUBES = (1.5, 1.5, 1.5)
FIELD_MM = (132.0, 120.0, 120.0)


def box(first: tuple[int, int, int], size: tuple[int, int, int], shape: tuple[int, int, int] = (24, 60, 60)):
    """(z, y, x) bool with one box of ones."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(at, at + n) for at, n in zip(first, size, strict=True))] = True
    return mask


def ellipsoid(centre_mm, radii_mm, spacing_mm_zyx):
    """(z, y, x) bool on a grid of ``FIELD_MM``."""
    axes = [np.arange(round(mm / step)) * step for mm, step in zip(FIELD_MM, spacing_mm_zyx, strict=True)]
    grid = np.meshgrid(*axes, indexing="ij")
    return sum(((x - c) / r) ** 2 for x, c, r in zip(grid, centre_mm, radii_mm, strict=True)) < 1


CENTRE, RADII = (66.0, 58.0, 58.0), (50.0, 35.0, 30.0)
OTHERS = {
    "shifted": ((66.0, 58.0, 64.0), RADII),
    "grown": (CENTRE, (56.0, 41.0, 36.0)),
    "of another shape": ((66.0, 56.0, 62.0), (45.0, 30.0, 35.0)),
}


@pytest.mark.parametrize(("steps", "expected_mm"), [((1, 0, 0), 6.0), ((0, 10, 0), 15.0), ((0, 0, 3), 4.5)])
def test_a_shifted_box_is_as_far_away_as_it_was_shifted(steps, expected_mm):
    truth, found = box((6, 20, 20), (10, 30, 30)), box(tuple(np.add((6, 20, 20), steps)), (10, 30, 30))
    assert compare(found, truth, THICK)["hd95_mm"] == pytest.approx(expected_mm)


@pytest.mark.parametrize(("axis", "expected_mm"), [(0, 24.0), (1, 6.0), (2, 6.0)])
def test_parallel_plates_are_everywhere_equally_far_apart(axis, expected_mm):
    size = [10, 30, 30]
    size[axis] = 1
    there = [4, 20, 20]
    there[axis] += 4
    found = compare(box((4, 20, 20), tuple(size)), box(tuple(there), tuple(size)), THICK)
    assert found["hd95_mm"] == found["assd_mm"] == pytest.approx(expected_mm)
    assert found["dice"] == found["iou"] == 0


def test_concentric_balls_are_apart_by_the_difference_of_their_radii():
    small, large = (ellipsoid(CENTRE, (r, r, r), CUBES) for r in (30.0, 42.0))
    found = compare(large, small, CUBES)
    assert found["hd95_mm"] == pytest.approx(12.0, abs=0.75)
    assert found["assd_mm"] == pytest.approx(12.0, abs=0.75)


def test_equal_masks_are_at_no_distance():
    mask = box((6, 20, 20), (10, 30, 30))
    assert compare(mask, mask, THICK) == {
        "dice": 1.0,
        "iou": 1.0,
        "hd95_mm": 0.0,
        "assd_mm": 0.0,
        "volume_error_percent": 0.0,
    }


def test_overlap_and_volume_of_a_half_covered_box():
    found = compare(box((6, 20, 20), (10, 30, 15)), box((6, 20, 20), (10, 30, 30)), THICK)
    assert (found["dice"], found["iou"]) == (pytest.approx(2 / 3), pytest.approx(1 / 2))
    assert found["volume_error_percent"] == pytest.approx(-50.0)


@pytest.mark.parametrize("empty_first", [True, False])
def test_an_empty_mask_is_infinitely_far_away(empty_first):
    full, empty = box((6, 20, 20), (10, 30, 30)), np.zeros((24, 60, 60), bool)
    found = compare(*((empty, full) if empty_first else (full, empty)), THICK)
    assert (found["dice"], found["hd95_mm"], found["assd_mm"]) == (0.0, math.inf, math.inf)


def by_all_pairs(found: np.ndarray, truth: np.ndarray, spacing_mm_zyx: tuple[float, ...]) -> tuple[float, float]:
    """HD95 and ASSD by a nearest-neighbour search among border voxels: set voxels with a face on an unset one."""

    def border(mask: np.ndarray) -> np.ndarray:
        padded = np.pad(mask, 1)
        inner = np.ones_like(mask)
        for axis, step in product(range(3), (-1, 1)):
            inner &= np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1]
        return np.argwhere(mask & ~inner) * np.array(spacing_mm_zyx)

    a, b = border(found), border(truth)
    there, back = cKDTree(b).query(a)[0], cKDTree(a).query(b)[0]
    ranks = [np.sort(way)[int(0.95 * (len(way) - 1))] for way in (there, back)]
    return float(max(ranks)), float(np.concatenate([there, back]).mean())


@pytest.mark.parametrize("spacing", [CUBES, THICK, (4.0, 2.0, 1.0)])
@pytest.mark.parametrize("seed", range(3))
def test_distances_are_those_of_a_search_over_all_pairs(seed, spacing):
    """Random masks with loose parts and holes, some of them on the edge of the volume."""
    random = np.random.default_rng(seed)
    found, truth = random.random((2, 8, 14, 16)) < 0.4
    measured = compare(found, truth, spacing)
    assert (measured["hd95_mm"], measured["assd_mm"]) == pytest.approx(by_all_pairs(found, truth, spacing))


@pytest.mark.parametrize("spacing", [CUBES, THICK], ids=["cubes", "thick slices"])
@pytest.mark.parametrize("other", OTHERS)
def test_distances_agree_with_surface_distance(other, spacing):
    truth, found = ellipsoid(CENTRE, RADII, spacing), ellipsoid(*OTHERS[other], spacing)
    distances = surface_distance.compute_surface_distances(truth, found, spacing)
    there, back = surface_distance.compute_average_surface_distance(distances)
    measured = compare(found, truth, spacing)
    assert measured["hd95_mm"] == pytest.approx(surface_distance.compute_robust_hausdorff(distances, 95), abs=1.5)
    assert measured["assd_mm"] == pytest.approx((there + back) / 2, abs=0.75)
    assert measured["dice"] == pytest.approx(surface_distance.compute_dice_coefficient(truth, found))


@pytest.mark.parametrize("steps", [(1, 0, 0), (0, 10, 0), (0, 0, 3)])
def test_hd95_of_shifted_boxes_is_that_of_surface_distance(steps):
    truth, found = box((6, 20, 20), (10, 30, 30)), box(tuple(np.add((6, 20, 20), steps)), (10, 30, 30))
    distances = surface_distance.compute_surface_distances(truth, found, THICK)
    expected = surface_distance.compute_robust_hausdorff(distances, 95)
    assert compare(found, truth, THICK)["hd95_mm"] == pytest.approx(expected)


def test_agreement_is_the_mean_over_pairs():
    masks = [box((6, 20, 20), (10, 30, n)) for n in (10, 20, 30)]
    assert mean_pairwise_dice(masks) == pytest.approx(np.mean([20 / 30, 20 / 40, 40 / 50]))
    assert dice(np.zeros((2, 2, 2), bool), np.zeros((2, 2, 2), bool)) == 1
