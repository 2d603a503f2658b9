from __future__ import annotations

import json
import pydoc
import re
from contextlib import suppress
from pathlib import Path

import nnunetv2
import numpy as np
import pytest
import torch
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from models import registry
from pipeline.case import Volume, view
from pipeline.errors import ModelError, SegmentationError
from pipeline.segmentation import Segmenter, segment, segment_steps
from pipeline.segmentation import segmenter as module
from pipeline.segmentation.any_size import any_size
from pipeline.segmentation.plan_allowlist import LAYERS, NAMES
from tests.segmentation.conftest import ARCHITECTURE, make_volume, write_model

BOX = (slice(3, 9), slice(5, 20), slice(4, 24))


def load(folder) -> Segmenter:
    return Segmenter(registry.find(folder, "segmenter"), torch.device("cpu"))


def test_the_mask_lies_where_the_liver_is(bright_segmenter):
    volume = make_volume(BOX)
    organs = segment(volume, bright_segmenter)
    expected = np.zeros(volume.voxels.shape, bool)
    expected[BOX] = True
    overlap = 2 * (organs.liver & expected).sum() / (organs.liver.sum() + expected.sum())
    assert overlap > 0.9
    assert organs.labels.GetSpacing() == volume.image.GetSpacing()
    assert organs.labels.GetOrigin() == volume.image.GetOrigin()
    assert organs.liver_ml == pytest.approx(organs.liver.sum() * 0.25)
    assert organs.ensemble_dice == pytest.approx(1.0)


@pytest.mark.parametrize("orientation", ["RAS", "LPI"])
def test_a_model_trained_on_turned_images_gives_the_same_mask(bright_segmenter, orientation):
    upright = segment(make_volume(BOX), bright_segmenter).liver
    bright_segmenter.orientation = orientation
    turned = segment(make_volume(BOX), bright_segmenter).liver
    assert 2 * (upright & turned).sum() / (upright.sum() + turned.sum()) > 0.98


@pytest.mark.parametrize(("exact", "steps_of_two"), [(True, 2 * 27), (False, 2 * 2)])
def test_each_tile_or_pass_is_a_step_and_shares_grow(bright_segmenter, exact, steps_of_two):
    bright_segmenter.exact = exact
    steps = list(segment_steps(make_volume(BOX), bright_segmenter))
    shares = [step.share for step in steps]
    assert len(steps) == 1 + steps_of_two  # the first prepares
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert "network 2 of 2" in steps[-1].name


class Counting(torch.nn.Module):
    """No liver anywhere; keeps the sizes (z, y, x) that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x):
        self.seen.append(tuple(x.shape[2:]))
        return torch.zeros(x.shape[0], 5, *x.shape[2:])


def test_a_volume_is_predicted_at_once_unless_it_is_to_be_exact(bright_segmenter):
    at_once = segment(make_volume(BOX), bright_segmenter).liver
    bright_segmenter.exact = True
    assert np.array_equal(segment(make_volume(BOX), bright_segmenter).liver, at_once)
    counting = bright_segmenter.predictor.network = Counting()
    # What is dark around the bright box is taken for air.
    for exact, sizes in ((False, {(15, 32, 32)}), (True, {(8, 32, 32)})):
        counting.seen.clear()
        bright_segmenter.exact = exact
        with pytest.raises(SegmentationError, match="whole liver"):
            segment(make_volume(BOX), bright_segmenter)
        assert set(counting.seen) == sizes


def test_a_volume_that_would_take_too_much_memory_is_predicted_by_tiles(bright_segmenter, monkeypatch):
    counting = bright_segmenter.predictor.network = Counting()
    monkeypatch.setattr(module, "MOST_VALUES", 4 * 15 * 50 * 55 - 1)
    with pytest.raises(SegmentationError, match="whole liver"):
        segment(make_volume(BOX), bright_segmenter)
    assert set(counting.seen) == {(8, 32, 32)}


@pytest.mark.parametrize("network", ["PlainConvUNet", "ResidualEncoderUNet"])
def test_one_pass_takes_volumes_of_any_size_and_answers_multiples_as_before(network):
    kwargs = ARCHITECTURE["arch_kwargs"] | ({"n_blocks_per_stage": [1, 1]} if network.startswith("Res") else {})
    kwargs = {name: value for name, value in kwargs.items() if network[0] == "P" or name != "n_conv_per_stage"}
    name = f"dynamic_network_architectures.architectures.unet.{network}"
    torch.manual_seed(0)
    built = get_network_from_plans(
        name, kwargs, ARCHITECTURE["_kw_requires_import"], 1, 5, deep_supervision=False
    ).eval()
    even, odd = torch.randn(1, 1, 8, 32, 32), torch.randn(1, 1, 7, 31, 33)
    before = built(even)
    any_size(built)
    assert torch.equal(built(even), before)
    assert built(odd).shape == (1, 5, 7, 31, 33)


def test_members_keep_their_weights_whatever_is_predicted(model_folder):
    segmenter = load(model_folder)
    before = [{name: value.clone() for name, value in state.items()} for state in segmenter.states]
    for exact in (False, True, False):
        segmenter.exact = exact
        with suppress(SegmentationError):
            segment(make_volume(BOX), segmenter)
    for kept, state in zip(before, segmenter.states, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in kept.items())
    x = torch.randn(1, 8, 32, 32)
    answers = []
    for state in segmenter.states:
        segmenter.predictor.use(state)
        answers.append(segmenter.predictor.predict_at_once(x))
    assert not torch.allclose(*answers, atol=1e-2)


def test_a_thin_volume_is_padded_until_its_deepest_stage_can_be_normalised(model_folder):
    segmenter = load(model_folder)
    segmenter.predictor.use(segmenter.states[0])
    assert segmenter.predictor.predict_at_once(torch.randn(1, 1, 2, 2)).shape == (5, 1, 2, 2)


@pytest.mark.parametrize("exact", [True, False])
def test_closing_the_steps_stops_before_the_next_tile_or_member(bright_segmenter, exact):
    counting = bright_segmenter.predictor.network = Counting()
    bright_segmenter.exact = exact
    steps = segment_steps(make_volume(BOX, size_zyx=(40, 120, 120)), bright_segmenter)
    while next(steps).share == 0:
        pass
    steps.close()
    assert len(counting.seen) < (bright_segmenter.predictor.tiles if exact else 2)


def test_no_liver_is_refused(bright_segmenter):
    with pytest.raises(SegmentationError, match="whole liver"):
        segment(make_volume((slice(0, 0), slice(0, 0), slice(0, 0))), bright_segmenter)


def test_what_cannot_hold_a_liver_is_refused_before_the_network(bright_segmenter):
    thin = make_volume((slice(0, 2), slice(5, 20), slice(4, 24)), size_zyx=(3, 40, 44))
    with pytest.raises(SegmentationError, match="only 30 mm"):
        segment(thin, bright_segmenter)
    empty = make_volume(BOX)
    with pytest.raises(SegmentationError, match="empty"):
        segment(Volume(empty.image * 0, empty.source), bright_segmenter)


def test_a_stored_network_answers_as_it_did_before(model_folder):
    from tests.segmentation.conftest import tiny_network

    segmenter = load(model_folder)
    x = torch.randn(1, 1, 8, 32, 32)
    network = segmenter.predictor.network
    network.load_state_dict(segmenter.states[1])
    network.eval()
    before = tiny_network(5, seed=1).eval()
    assert torch.allclose(network(x), before(x), atol=2e-2)
    assert not torch.allclose(network(x), tiny_network(5, seed=0).eval()(x), atol=2e-2)


def test_one_member_can_be_named(model_folder):
    segmenter = load(model_folder / "fold1")
    assert len(segmenter.states) == 1
    assert segmenter.model.name == "tiny/fold1"


@pytest.mark.parametrize("name", ["liver", "Leber"])
def test_a_liver_only_model_is_taken_whatever_its_label_is_called(tmp_path, name):
    folder = write_model(tmp_path / "only", labels={"background": 0, name: 1}, members=1)
    assert load(folder).labels == {1: 1}


def test_a_model_without_a_liver_is_refused(tmp_path):
    folder = write_model(tmp_path / "none", labels={"background": 0, "heart": 1, "lung": 2}, members=1)
    with pytest.raises(ModelError, match="no label called liver"):
        load(folder)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (("label_manager",), "determine_num_input_channels"),
        (("configurations", "3d_fullres", "preprocessor_name"), "multiprocessing"),
        (("configurations", "3d_fullres", "resampling_fn_data"), "compute_new_shape"),
        (("configurations", "3d_fullres", "resampling_fn_seg"), "np"),
        (("configurations", "3d_fullres", "resampling_fn_probabilities"), ["resample_torch_fornnunet"]),
        (("configurations", "3d_fullres", "normalization_schemes"), ["ZScoreNormalization", "ABC"]),
        (("configurations", "3d_fullres", "architecture", "network_class_name"), "os.system"),
        (("configurations", "3d_fullres", "architecture", "arch_kwargs", "nonlin"), "subprocess.run"),
        (("configurations", "unused", "preprocessor_name"), "unused"),
    ],
)
def test_a_plan_may_not_import_what_it_likes(model_folder, where, name):
    plans = json.loads((model_folder / "plans.json").read_text())
    part = plans
    for key in where[:-1]:
        part = part.setdefault(key, {})
    part[where[-1]] = name
    (model_folder / "plans.json").write_text(json.dumps(plans))
    refused = name[-1] if where[-1] == "normalization_schemes" else name
    with pytest.raises(ModelError, match=re.escape(f"{refused!r} as ") + rf".*{where[-1]}, .*not allow"):
        load(model_folder)


def test_every_name_that_is_allowed_is_nnunets_own():
    folder = Path(nnunetv2.__path__[0])
    assert all(pydoc.locate(name) for name in NAMES["network_class_name"] | LAYERS)
    for field in NAMES.keys() - {"network_class_name"}:
        room = "utilities" if field == "label_manager" else "preprocessing"
        for name in NAMES[field]:
            found = recursive_find_python_class(str(folder / room), name, f"nnunetv2.{room}")
            assert found.__module__.startswith("nnunetv2.")


def test_the_mask_is_on_the_volumes_grid_for_thin_slices(bright_segmenter):
    volume = make_volume((slice(10, 40), slice(5, 20), slice(4, 24)), size_zyx=(50, 40, 44))
    volume.image.SetSpacing((5.0, 5.0, 2.0))
    organs = segment(volume, bright_segmenter)
    assert view(organs.labels).shape == (50, 40, 44)
