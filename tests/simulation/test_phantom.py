"""The phantom: realistic organs in the right places, and the same voxels for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from pipeline.case import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN
from pipeline.simulation.phantom.phantom import make_phantom

COARSE = {"size_xyz": (80, 80, 18), "spacing_mm_xyz": (4.0, 4.0, 14.0)}


@pytest.fixture(scope="module", params=[1, 2])
def phantom(request) -> tuple[sitk.Image, sitk.Image]:
    return make_phantom(request.param, **COARSE)


def voxels(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def volume_ml(labels: sitk.Image, organ: int) -> float:
    return float(np.count_nonzero(voxels(labels) == organ) * np.prod(labels.GetSpacing()) / 1000)


def centre_mm(labels: sitk.Image, organ: int) -> np.ndarray:
    """(x, y, z) mm in LPS."""
    index = np.argwhere(voxels(labels) == organ).mean(0)[::-1]
    return np.array(labels.TransformContinuousIndexToPhysicalPoint([float(i) for i in index]))


def test_image_and_labels_share_a_grid_in_lps(phantom):
    image, labels = phantom
    assert image.GetSize() == labels.GetSize() == COARSE["size_xyz"]
    assert image.GetSpacing() == labels.GetSpacing() == COARSE["spacing_mm_xyz"]
    assert image.GetDirection() == labels.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert image.GetOrigin() == labels.GetOrigin()
    assert voxels(image).min() >= 0


def test_organ_volumes_are_those_of_healthy_adults(phantom):
    _, labels = phantom
    assert 950 < volume_ml(labels, LIVER) < 2150
    assert 95 < volume_ml(labels, SPLEEN) < 330
    assert 100 < volume_ml(labels, RIGHT_KIDNEY) < 280
    assert 100 < volume_ml(labels, LEFT_KIDNEY) < 280


def test_each_organ_is_one_piece(phantom):
    _, labels = phantom
    for organ in (LIVER, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN):
        parts, _ = ndimage.label(voxels(labels) == organ)
        sizes = np.bincount(parts.ravel())[1:]
        assert sizes.max() > 0.98 * sizes.sum()


def test_organs_lie_where_they_do_in_a_patient(phantom):
    _, labels = phantom
    liver, spleen = centre_mm(labels, LIVER), centre_mm(labels, SPLEEN)
    right, left = centre_mm(labels, RIGHT_KIDNEY), centre_mm(labels, LEFT_KIDNEY)
    assert liver[0] < -30 < 30 < spleen[0]  # x grows to the patient's left
    assert right[0] < 0 < left[0]
    assert min(right[1], left[1], spleen[1]) > liver[1]  # behind the liver
    assert max(right[2], left[2]) < liver[2]  # and the kidneys below it
    x = labels.GetOrigin()[0] + 4.0 * np.nonzero(voxels(labels) == LIVER)[2]
    assert x.max() > 5, "the left lobe crosses the midline"


def test_contrast_is_that_of_fat_suppressed_t2(phantom):
    image, labels = phantom
    grid, organs = voxels(image), voxels(labels)
    middle = {organ: np.median(grid[organs == organ]) for organ in (LIVER, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN)}
    bright = np.percentile(grid, 99)
    assert 0.3 < middle[LIVER] / bright < 0.7
    assert min(middle[RIGHT_KIDNEY], middle[LEFT_KIDNEY], middle[SPLEEN]) > 1.2 * middle[LIVER]
    assert np.median(grid[:, :6, :6]) < 0.1 * middle[LIVER], "air is dark"


def test_the_seed_decides_every_voxel():
    tiny = {"size_xyz": (32, 32, 8), "spacing_mm_xyz": (10.0, 10.0, 30.0)}
    first, again = (voxels(make_phantom(5, **tiny)[0]) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, voxels(make_phantom(6, **tiny)[0]))
