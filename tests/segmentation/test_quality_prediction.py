"""Features of a mask's quality and the prediction from them, by networks whose output is known."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from models import registry
from models.files import file_sha256
from pipeline.analysis import mask_warnings
from pipeline.case import LIVER, SPLEEN
from pipeline.errors import ModelError
from pipeline.segmentation import Segmenter, quality_features, quality_prediction, segment
from pipeline.segmentation.error_network import CHANNELS, ErrorNetwork
from pipeline.segmentation.quality_features import MASK_SIGNS, edge_contact, observe
from pipeline.segmentation.quality_prediction import SIGNS, AdditiveModel, PiecewiseTerm, QualityModel
from tests.segmentation.conftest import LABELS, BrightIsLiver, make_volume, write_model

BOX = (slice(3, 9), slice(8, 24), slice(8, 28))
SPACING = (8.0, 2.0, 2.0)


def ball(shape=(20, 60, 60), centre=(10, 30, 30), radius=(7, 20, 20)) -> np.ndarray:
    grids = np.meshgrid(*map(np.arange, shape), indexing="ij")
    return sum(((g - c) / r) ** 2 for g, c, r in zip(grids, centre, radius, strict=True)) < 1


def seen(mask: np.ndarray, *, sure: float = 20.0) -> dict[str, float]:
    """Signs of a mask whose liver is 2 brighter than the rest; ``sure`` is the size of the logits."""
    data = torch.from_numpy(2.0 * mask.astype(np.float32))[None]
    inside = torch.from_numpy(np.where(mask, sure, -sure).astype(np.float32))
    found = observe(data, torch.stack([-inside / 2, inside / 2]), {LIVER: 1}, SPACING)
    assert found is not None
    return found.signs


def test_a_sure_network_on_a_smooth_shape():
    found = seen(ball())
    assert set(found) == set(MASK_SIGNS)
    assert found["expected_dice"] == pytest.approx(1, abs=1e-3)
    assert (found["largest_component"], found["dropped_components"], found["edge_contact"]) == (1, 0, 0)
    assert found["roughness"] == 0
    assert found["contrast"] == pytest.approx(2)
    assert np.exp(found["log_volume"]) == pytest.approx(ball().sum() * 32 / 1000)


def test_doubt_lowers_the_expected_dice():
    assert seen(ball(), sure=1.0)["expected_dice"] < seen(ball())["expected_dice"] - 0.1


def test_what_is_seen_on_the_coarse_grid_covers_the_same_volume():
    liver, spleen = ball(), ball(centre=(10, 30, 55), radius=(3, 5, 4))
    labels = torch.from_numpy(np.where(liver, 1, np.where(spleen, 2, 0)))
    logits = 9.0 * torch.nn.functional.one_hot(labels, 3).movedim(-1, 0).float()
    found = observe(torch.zeros(1, *liver.shape), logits, {LIVER: 1, SPLEEN: 2}, SPACING)
    assert found is not None
    volumes = dict(zip(CHANNELS, 4 * 4 * found.channels.sum((1, 2, 3)).numpy(), strict=True))
    assert volumes["liver"] == pytest.approx(liver.sum(), rel=1e-4)
    assert volumes["spleen"] == pytest.approx((spleen & ~liver).sum(), rel=1e-4)
    assert volumes["kidneys"] == 0
    assert found.channels.shape == (len(CHANNELS), 20, 15, 15)


def test_an_outline_beside_the_edges_is_seen():
    data = 2.0 * ball(centre=(10, 30, 40)).astype(np.float32)
    on, beside = (quality_features._local(data, ball(centre=(10, 30, x)), np.array(SPACING)) for x in (40, 30))
    assert beside["edges"] < on["edges"] - 0.5


def test_pieces_and_jumps_between_slices_are_seen():
    broken = ball()
    broken[1:3, 2:6, 2:6] = True
    assert seen(broken)["largest_component"] < 1
    assert seen(broken)["dropped_components"] == pytest.approx(np.log(2))
    jagged = ball()
    jagged[9::2, :30] = False
    assert seen(jagged)["roughness"] > 0.2


def test_contact_is_the_share_of_the_largest_section():
    cut = ball()[:, 30:]
    assert edge_contact(ball()) == 0
    assert edge_contact(cut) == pytest.approx(1, abs=0.05)


def test_no_liver_gives_no_observation():
    data, logits = torch.zeros(1, 4, 8, 8), torch.stack([torch.ones(4, 8, 8), torch.zeros(4, 8, 8)])
    assert observe(data, logits, {LIVER: 1}, SPACING) is None


MODEL = QualityModel(
    AdditiveModel(
        3.0,
        (
            PiecewiseTerm("expected_overlap", None, (0.5, 0.9), (-6.0, 0.0)),
            PiecewiseTerm("brightness", 1.0, (0.0, 2.0), (0.0, -1.0)),
        ),
    ),
    flag_below=0.83,
    closeness=AdditiveModel(-math.log(8.0), (PiecewiseTerm("roughness", None, (0.0, 0.5), (0.0, -math.log(4.0))),)),
    flag_above_mm=18.0,
)
SMOOTH = {"roughness": 0.0}


@pytest.mark.parametrize(("overlap", "score"), [(0.95, 1), (0.85, 2), (0.72, 3)])
def test_score_follows_the_predicted_dice_and_reasons_name_the_heaviest_sign(overlap, score):
    judged = MODEL.estimate([SMOOTH | {"expected_overlap": overlap, "brightness": 0.6}])
    assert judged.score == score
    assert judged.reasons == (() if score == 1 else (SIGNS["expected_overlap"].words,))


def test_a_bright_and_a_dark_liver_are_equally_far_and_beyond_the_last_value_nothing_is_added():
    a, b, far = (MODEL.predict({"expected_overlap": 1.0, "brightness": x}) for x in (0.0, 2.0, 50.0))
    assert a == pytest.approx(b)
    assert far == pytest.approx(MODEL.predict({"expected_overlap": 1.0, "brightness": 3.0}))


def test_a_surface_that_is_far_off_is_flagged_too_and_names_its_own_reason():
    sound = SMOOTH | {"expected_overlap": 0.95, "brightness": 1.0}
    assert MODEL.predict_hd95_mm(sound) == pytest.approx(8.0)
    assert (MODEL.estimate([sound]).score, MODEL.estimate([sound]).predicted_hd95_mm) == (1, pytest.approx(8.0))
    far = MODEL.estimate([sound | {"roughness": 1.0}])
    assert (far.score, far.predicted_hd95_mm) == (3, pytest.approx(32.0))
    assert far.reasons == (SIGNS["roughness"].words,)
    assert MODEL.estimate([None]).predicted_hd95_mm is None


def test_a_member_without_a_liver_counts_as_dice_0():
    good = SMOOTH | {"expected_overlap": 1.0, "brightness": 1.0}
    assert MODEL.estimate([good, None]).predicted_dice == pytest.approx(MODEL.predict(good) / 2)
    assert MODEL.estimate([None]).score == 3


def write_quality(folder, **changes) -> None:
    """Predictors, and error networks that expect no error."""
    weights = json.loads((folder / "model.json").read_text())["sha256"]
    network = ErrorNetwork()
    torch.nn.init.zeros_(network.layers[-1].weight)
    torch.nn.init.constant_(network.layers[-1].bias, -20.0)
    quality_prediction.save_networks(folder / quality_prediction.WEIGHTS, {"fold0": network, "fold1": network})
    content = {
        "schema": quality_prediction.SCHEMA,
        "weights": weights,
        "error_networks": {"sha256": file_sha256(folder / quality_prediction.WEIGHTS)},
        "intercept": 3.0,
        "flag_below": 0.83,
        "hd95": {"intercept": -2.0, "flag_above_mm": 18.0, "terms": []},
        "terms": [{"sign": "expected_overlap", "reference": None, "at": [0.5, 0.95], "adds": [-6.0, 0.0]}],
    }
    (folder / quality_prediction.FILE).write_text(json.dumps(content | changes))


def bright(folder) -> Segmenter:
    """The tiny model's folder with networks that call everything bright liver."""
    segmenter = Segmenter(registry.find(folder, "segmenter"), torch.device("cpu"))
    segmenter.predictor.network = BrightIsLiver(len(LABELS))
    segmenter.states = [{} for _ in segmenter.states]
    return segmenter


def test_a_segmenter_judges_its_mask_only_with_a_quality_file(model_folder):
    plain = segment(make_volume(BOX), bright(model_folder))
    assert (plain.predicted_dice, plain.score, plain.reasons) == (None, None, ())
    write_quality(model_folder)
    judged = segment(make_volume(BOX), bright(model_folder))
    assert judged.predicted_dice is not None
    assert judged.predicted_dice > 0.9
    assert judged.score in (1, 2)
    assert (judged.liver == plain.liver).all()


def test_other_weights_leave_the_prediction_out_and_say_so(model_folder, caplog):
    write_quality(model_folder, weights={"fold0/model.safetensors": "0"})
    assert bright(model_folder).quality is None
    assert "other weights" in caplog.text


def test_signs_of_another_version_leave_the_prediction_out_and_say_so(model_folder, caplog):
    write_quality(model_folder, terms=[{"sign": "humour", "reference": None, "at": [0, 1], "adds": [-1, 0]}])
    assert bright(model_folder).quality is None
    assert "another version" in caplog.text


def test_a_file_of_an_earlier_version_is_left_out_and_says_so(model_folder, caplog):
    write_quality(model_folder, schema=2)
    assert bright(model_folder).quality is None
    assert "another version" in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        {"terms": None},
        {"terms": [{"sign": "x"}]},
        {"intercept": "much"},
        {"terms": [{"sign": "expected_overlap", "reference": None, "at": [0.5, 0.9], "adds": [0.0]}]},
        {"hd95": {"intercept": -2.0, "terms": []}},
        {"hd95": None},
        {"error_networks": None},
    ],
)
def test_a_damaged_quality_file_is_refused(model_folder, changes):
    write_quality(model_folder, **changes)
    with pytest.raises(ModelError, match=r"quality\.json"):
        bright(model_folder)


def test_error_networks_that_were_changed_are_refused(model_folder):
    write_quality(model_folder)
    file = model_folder / quality_prediction.WEIGHTS
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ModelError, match=r"quality\.safetensors"):
        bright(model_folder)
    file.unlink()
    with pytest.raises(ModelError, match=r"quality\.safetensors"):
        bright(model_folder)


def test_a_single_member_is_judged_too(tmp_path):
    folder = write_model(tmp_path / "tiny")
    write_quality(folder)
    assert Segmenter(registry.find(folder / "fold1", "segmenter"), torch.device("cpu")).quality is not None


def test_score_3_is_warned_of_with_its_reasons(model_folder):
    organs = segment(make_volume(BOX), bright(model_folder))
    assert "poor_segmentation" not in {w.code for w in mask_warnings(organs)}
    poor = replace(organs, predicted_dice=0.61, predicted_hd95_mm=31.0, score=3, reasons=("the network sees noise",))
    assert (
        "0.61, HD95 31 mm (the network sees noise)"
        in {w.code: w.message for w in mask_warnings(poor)}["poor_segmentation"]
    )
