"""The second look: what the network is shown, on an image of three grey levels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.segmentation.quality_features import second_look

LEVELS = (0.0, 1.0, 2.0)
SIZE_ZYX, PATCH_ZYX = (6, 30, 20), (8, 32, 24)


@pytest.fixture
def image() -> Tensor:
    """(1, z, y, x): three bands of rows, one per level."""
    voxels = torch.zeros(1, *SIZE_ZYX)
    for number, level in enumerate(LEVELS):
        voxels[:, :, 10 * number : 10 * number + 10] = level
    return voxels


def shown_to_the_network(image: Tensor) -> tuple[Tensor, Tensor]:
    """The altered tile that the second look gives to the network, and the answer of one that repeats its input."""
    shown: list[Tensor] = []

    def repeat(tile: Tensor) -> Tensor:
        shown.append(tile)
        return tile

    whole = tuple(slice(0, size) for size in SIZE_ZYX)
    answer = second_look(image, whole, PATCH_ZYX, repeat)
    (tile,) = shown
    return tile, answer


def test_noise_of_a_tenth_of_the_images_spread_is_added(image):
    _, altered = shown_to_the_network(image)
    for level in LEVELS:
        assert altered[image == level].std() == pytest.approx(0.1 * float(image.std()), rel=0.1)


def test_the_noise_is_the_same_for_every_call(image):
    assert torch.equal(shown_to_the_network(image)[1], shown_to_the_network(image)[1])


def test_the_tone_curve_darkens_the_middle_and_keeps_mean_and_spread(image):
    _, altered = shown_to_the_network(image)
    low, middle, high = (float(altered[image == level].mean()) for level in LEVELS)
    assert (middle - low) / (high - low) == pytest.approx(0.5**1.3, abs=0.02)
    assert float(altered.mean()) == pytest.approx(float(image.mean()), abs=0.01)
    assert float(altered.std()) == pytest.approx(float(image.std()), rel=0.02)


def test_a_tile_smaller_than_the_patch_is_padded_with_zeros_and_cut_back(image):
    tile, altered = shown_to_the_network(image)
    assert tile.shape == (1, *PATCH_ZYX)
    assert altered.shape == image.shape
    assert torch.equal(tile[:, : SIZE_ZYX[0], : SIZE_ZYX[1], : SIZE_ZYX[2]], altered)
    assert tile[:, SIZE_ZYX[0] :].eq(0).all()
    assert tile[:, :, SIZE_ZYX[1] :].eq(0).all()
    assert tile[..., SIZE_ZYX[2] :].eq(0).all()
