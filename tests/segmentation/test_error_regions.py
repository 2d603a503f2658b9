"""Where a mask is in doubt: regions found on the coarse grid, told in slices and sides of the volume."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from models import registry
from models.files import file_sha256
from pipeline.case import LIVER, LIVER_MAY_BE_MISSING, MAY_BE_NO_LIVER, view
from pipeline.segmentation import Segmenter, quality_prediction, segment
from pipeline.segmentation.coarse_grid import CoarseGrid
from pipeline.segmentation.error_network import FEATURES, HIDDEN, ErrorNetwork
from pipeline.segmentation.error_regions import dice_with, likely_regions, locate_doubts
from pipeline.statistics.overlap import dice
from tests.segmentation.conftest import LABELS, BrightIsLiver, make_volume

SIZE_ZYX = (20, 48, 64)
FIRST, LAST = 6, 11


def grid_of(orientation: str = "LPS") -> CoarseGrid:
    """Of a volume of 4 x 4 x 8 mm that nnU-Net turned, cropped by 8 columns and rows at one end, and left as it is."""
    return CoarseGrid(
        block=(1, 2, 2),
        fine=(20, 40, 56),
        crop=(slice(0, 20), slice(8, 48), slice(8, 64)),
        full=SIZE_ZYX,
        axes=(0, 1, 2),
        orientation=orientation,
        spacing_mm_zyx=(8.0, 8.0, 8.0),
    )


def as_labels(liver: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(liver.astype(np.uint8) * LIVER)
    image.SetSpacing((4.0, 4.0, 8.0))
    return image


@pytest.fixture
def whole() -> np.ndarray:
    """A liver from the right to far beyond the middle, and its left part in six slices alone."""
    liver = np.zeros(SIZE_ZYX, bool)
    liver[4:16, 16:36, 16:40] = True
    liver[FIRST : LAST + 1, 16:28, 40:52] = True
    return liver


@pytest.mark.parametrize("orientation", ["LPS", "RAS"])
def test_what_is_on_the_volume_s_grid_comes_back_from_the_coarse_one(whole, orientation):
    grid, labels = grid_of(orientation), as_labels(whole)
    if orientation == "RAS":  # the crop is in the turned volume
        grid = CoarseGrid(**vars(grid) | {"crop": (slice(0, 20), slice(0, 40), slice(0, 56))})
    share = grid.down(labels)
    assert share.shape == (20, 20, 28)
    assert float(share.sum()) * 4 == whole.sum()
    back = grid.up((share > 0.5).to(torch.uint8), labels)
    assert back.GetSpacing() == labels.GetSpacing()
    np.testing.assert_array_equal(view(back), whole)


def test_a_missing_part_is_named_by_its_slices_and_side(whole):
    mask = whole.copy()
    mask[..., 40:] = False
    (doubt,), shown = locate_doubts(as_labels(mask), [grid_of().down(as_labels(whole))], grid_of())
    assert (doubt.kind, doubt.first_slice, doubt.last_slice, doubt.side) == ("missing", FIRST, LAST, "left")
    assert doubt.volume_ml == pytest.approx((whole & ~mask).sum() * 0.128)
    assert (whole & ~mask)[doubt.at_xyz[::-1]]
    np.testing.assert_array_equal(view(shown), (whole & ~mask) * LIVER_MAY_BE_MISSING)


def test_other_tissue_in_the_mask_is_named_and_the_largest_region_comes_first(whole):
    mask = whole.copy()
    mask[4:16, 36:44, 16:40] = True  # behind the liver
    mask[FIRST, 16:28, 40:52] = False
    members = 2 * [grid_of().down(as_labels(whole))]
    doubts, shown = locate_doubts(as_labels(mask), members, grid_of())
    assert [(doubt.kind, doubt.side) for doubt in doubts] == [("extra", "both"), ("missing", "left")]
    assert (view(shown) == MAY_BE_NO_LIVER).sum() == (mask & ~whole).sum()


def test_a_mask_as_expected_is_in_no_doubt_nor_is_one_that_half_of_the_members_doubt(whole):
    mask = whole.copy()
    mask[..., 40:] = False
    sure, unsure = (grid_of().down(as_labels(liver)) for liver in (mask, whole))
    for expected in ([sure], [sure, sure, unsure]):
        doubts, shown = locate_doubts(as_labels(mask), expected, grid_of())
        assert doubts == ()
        assert not view(shown).any()


def test_two_regions_of_one_kind_in_the_same_slices_have_places_of_their_own(whole):
    mask = whole.copy()
    mask[..., :24] = mask[..., 44:] = False
    doubts, _ = locate_doubts(as_labels(mask), [grid_of().down(as_labels(whole))], grid_of())
    assert {doubt.side: bool(doubt.at_xyz[0] < 24) for doubt in doubts} == {"right": True, "left": False}


def test_a_region_bounds_the_dice_of_its_mask(whole):
    mask = whole.copy()
    mask[..., 40:] = False
    for found, truth in ((mask, whole), (whole, mask)):
        (doubt,), _ = locate_doubts(as_labels(found), [grid_of().down(as_labels(truth))], grid_of())
        assert dice_with(doubt, found.sum() * 0.128) == pytest.approx(dice(found, truth), abs=1e-6)


def test_small_regions_are_not_named():
    missing = np.zeros((4, 10, 10))
    missing[1, 2:4, 2:4] = 0.9
    missing[2, 6:9, 6:9] = 0.9
    assert [region.inside.sum() for region in likely_regions(missing, 0 * missing, 0.5)] == []
    assert [region.inside.sum() for region in likely_regions(missing, 0 * missing, 5.0)] == [9, 4]


class LeftPartMissed(BrightIsLiver):
    """Calls what is bright liver, but for its left part."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = super().forward(x)
        logits[:, 1, ..., logits.shape[-1] // 2 :] = -50.0
        return logits


def what_is_as_bright_is_liver() -> ErrorNetwork:
    """Expects missing liver where a voxel outside the mask is as bright as the liver."""
    network = ErrorNetwork()
    first, second, last = (network.layers[number] for number in (0, 2, 4))
    for layer in (first, second, last):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    with torch.no_grad():
        first.weight[0, 6], first.weight[0, 3], first.bias[0] = 10.0, -20.0, -5.0  # likeness, liver
        second.weight[0, 0], last.weight[0, 0] = 1.0, 10.0
        last.bias[:] = -10.0
    assert (first.in_features, first.out_features) == (FEATURES, HIDDEN)
    return network


@pytest.mark.parametrize("judged_by_signs", [True, False])
def test_a_member_that_misses_the_left_part_is_found_out(model_folder, judged_by_signs):
    """By the predicted Dice, or by the size of the region alone where the prediction sees nothing."""
    file = model_folder / quality_prediction.WEIGHTS
    quality_prediction.save_networks(file, dict.fromkeys(("fold0", "fold1"), what_is_as_bright_is_liver()))
    overlap = {"sign": "expected_overlap", "reference": None, "at": [0.5, 1.0], "adds": [-6.0, 0.0]}
    content = {
        "schema": quality_prediction.SCHEMA,
        "weights": json.loads((model_folder / "model.json").read_text())["sha256"],
        "error_networks": {"sha256": file_sha256(file)},
        "intercept": 3.0,
        "flag_below": 0.83,
        "hd95": {"intercept": -2.0, "flag_above_mm": 18.0, "terms": []},
        "terms": [overlap] if judged_by_signs else [],
    }
    (model_folder / quality_prediction.FILE).write_text(json.dumps(content))
    segmenter = Segmenter(registry.find(model_folder, "segmenter"), torch.device("cpu"))
    segmenter.states = [{}, {}]
    liver = (slice(3, 9), slice(8, 24), slice(8, 36))
    for network, expected in ((BrightIsLiver, ()), (LeftPartMissed, ("left",))):
        segmenter.predictor.network = network(len(LABELS))
        organs = segment(make_volume(liver), segmenter)
        assert tuple(doubt.side for doubt in organs.doubts) == expected
        assert organs.doubt_map is not None
        assert organs.score == (3 if expected else 1)
        assert ("a large part of the liver may be missing" in organs.reasons) == bool(expected)
        if expected and not judged_by_signs:
            assert organs.predicted_dice < 0.8, "nearly half of the liver is missing"
    (doubt,) = organs.doubts
    assert (doubt.kind, doubt.first_slice, doubt.last_slice) == ("missing", 3, 8)
    assert (view(organs.doubt_map) == LIVER_MAY_BE_MISSING).any()
