"""``evaluate-heat``: which cases are measured, by which members, and controls with a known answer."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from models.masked_attention import Focus, liver_share
from pipeline import __main__ as cli
from pipeline.case import Volume
from pipeline.classification import Classifier
from pipeline.classification.explain import SHOWN
from pipeline.classification.slices import InputSpec, take_slices
from pipeline.errors import ManifestError, ModelError
from pipeline.evaluation import heat
from pipeline.evaluation.compared_maps import REFERENCES, classifier_heat, references, shuffled
from pipeline.evaluation.heat import HeatOptions, evaluate_heat
from pipeline.evaluation.sign_overlap import LocalSigns
from pipeline.evaluation.under_test import ModelsUnderTest
from tests.abdomen import as_image
from tests.classification.conftest import make_case, write_classifier
from tests.cohort.boxes import write_cohort, write_image

CPU = HeatOptions(device="cpu")
LIVER = (slice(1, 5), slice(6, 18), slice(5, 16))
STRONG = (1, 3, 5)
"""Cases with signs."""


def half_with_signs() -> np.ndarray:
    """A sign map whose change is 20 % in the right half of the box, rising to the middle, and else 1 %."""
    signs = np.zeros((6, 24, 24), np.uint8)
    signs[LIVER] = 2
    signs[1:5, 6:18, 5:11] = np.arange(30, 54, 4)
    return signs


@pytest.fixture
def manifest(tmp_path) -> Path:
    """Six cases of three anatomies; images and manifest in one folder, signs/ beside it."""
    for folder in ("images", "signs"):
        (tmp_path / folder).mkdir()
    for number in range(6):
        signs = half_with_signs() if number in STRONG else np.zeros((6, 24, 24), np.uint8)
        write_image(tmp_path / "signs" / f"image{number}.nii.gz", signs)
    return write_cohort(tmp_path / "images")


@pytest.fixture
def model(tmp_path) -> str:
    """Member fold0 has not seen case1 (anatomy0), fold1 not case3 (anatomy1); anatomy2 is new to both."""
    folder = write_classifier(tmp_path / "model").folder
    (folder / "folds.json").write_text(json.dumps({"fold0": ["case1"], "fold1": ["case3"]}))
    return str(folder)


def test_cases_with_signs_are_explained_by_members_that_have_not_seen_them(tmp_path, manifest, model):
    found = evaluate_heat(manifest, [model], tmp_path / "out", CPU)
    assert "3 of 6 cases are measured, of 3 anatomies" in found.statements[0]
    assert found.statements[1] == "Not measured: 3 (weak signs)."
    cases = found.cases
    by = cases.groupby("patient_id")["explained_by"].unique().map(list).to_dict()
    assert by == {"case1": ["fold0"], "case3": ["fold1"], "case5": ["ensemble"]}
    networks = cases[cases["weights"] == "trained"]
    assert set(zip(networks["map"], networks["scale_mm"], strict=True)) == {
        ("gradcam, layer1", 16.0),  # cells of 4 pixels of 4 mm
        ("gradcam, layer1", 32.0),
        ("gradcam, layer2", 32.0),
    }
    assert set(cases[cases["weights"] == ""]["map"]) == set(REFERENCES)


def test_files_hold_what_was_found_and_a_second_run_computes_nothing(tmp_path, manifest, model, monkeypatch):
    out = tmp_path / "out"
    found = evaluate_heat(manifest, [model], out, CPU)
    texts = [(out / name).read_text() for name in ("heat.md", "heat.csv", "heat.json")]
    content = json.loads(texts[2])
    assert len(content["maps"]) == len(found.summary) == 14
    assert len(pd.read_csv(out / "heat.csv")) == 3 * 14
    monkeypatch.setattr(heat, "classifier_heat", lambda *arguments: pytest.fail("was computed again"))
    evaluate_heat(manifest, [model], out, CPU)
    assert texts == [(out / name).read_text() for name in ("heat.md", "heat.csv", "heat.json")]


def test_a_map_that_is_known_to_be_right_scores_high_and_beats_its_shuffled_self(
    tmp_path, manifest, model, monkeypatch
):
    """The signs for the trained networks, nothing for the shuffled ones."""
    maps = []

    def known(networks, slices, spec, volume, target):
        maps.append(1.0 * half_with_signs() if len(maps) % 2 == 0 else np.zeros((6, 24, 24)))
        return maps[-1]

    monkeypatch.setattr(heat, "classifier_heat", known)
    found = evaluate_heat(manifest, [model], tmp_path / "out", CPU)
    for row in found.summary:
        means = row.means
        if row.weights == "trained":
            assert means["auc"].value == pytest.approx(1, abs=0.005)
            assert means["pointing"].value == 1
            assert means["auc_gain"].value == pytest.approx(0.5, abs=0.005)
            assert means["similarity"].value == 0
        elif row.weights == "shuffled":
            assert means["auc"].value == pytest.approx(0.5)
            assert means["pointing"].value == pytest.approx(means["pointing_chance"].value)


def test_wrong_inputs_have_one_clear_sentence(tmp_path, manifest, model, monkeypatch):
    with pytest.raises(ModelError, match="no kind of heat map magic; name one of gradcam"):
        evaluate_heat(manifest, [model], tmp_path / "out", HeatOptions(methods=("magic",)))
    with pytest.raises(ModelError, match="no stage layer9; name one of layer1, layer2"):
        evaluate_heat(manifest, [model], tmp_path / "out", HeatOptions(stages=("layer9",), device="cpu"))
    (tmp_path / "signs" / "image2.nii.gz").unlink()
    with pytest.raises(ManifestError, match=r"^Line 4: the case has no sign map; simulate .* --sign-maps\.$"):
        evaluate_heat(manifest, [model], tmp_path / "out", CPU)
    monkeypatch.setattr(ModelsUnderTest, "classifier", lambda *arguments: SimpleNamespace(networks=()))
    with pytest.raises(ModelError, match="without networks"):
        evaluate_heat(manifest, [model], tmp_path / "other", CPU)


class FeatureInfo(SimpleNamespace):
    def reduction(self) -> list[int]:
        return [4]


class BrightSpots(nn.Module):
    """A network whose answer is known: the mean over the liver of how much brighter a cell is than the liver."""

    last_stage = "pool"

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential()
        self.backbone.add_module("pool", nn.AvgPool2d(4))
        self.backbone.return_layers, self.backbone.feature_info = {"pool": "0"}, FeatureInfo()
        self.focus, self.factor = Focus(), nn.Parameter(torch.ones(1))

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, :1], x[:, 1:]

    def encode(self, image: Tensor, mask: Tensor) -> Tensor:
        return self.backbone(image).relu()

    def from_features(self, features: Tensor, mask: Tensor) -> tuple[Tensor, None]:
        share = liver_share(mask, features)
        return self.factor * (self.focus(features) * share).sum(dim=(0, 2, 3))[None] / share.sum(), None


def test_a_network_that_sees_bright_squares_points_at_them():
    """Through slices, Grad-CAM and the way back to the volume's grid, which is turned."""
    volume, organs = make_case((slice(2, 8), slice(8, 30), slice(6, 34)))
    change = np.zeros(organs.liver.shape, np.float32)
    change[4:6, 12:18, 22:30] = 0.5
    planted = as_image(volume.voxels * (1 + change))
    planted.CopyInformation(volume.image)
    volume = Volume(planted, volume.source)
    spec = InputSpec(spacing_mm=4.0, size_yx=(32, 64))
    slices = take_slices(volume, organs.liver, spec)
    found = classifier_heat([BrightSpots()], slices, spec, volume, SHOWN)
    measured = LocalSigns(change, organs.liver, volume.spacing_mm_xyz[::-1], 16.0).localisation(found)
    assert measured.auc > 0.9
    assert measured.pointing == 1


def test_shuffled_networks_hold_the_same_values_elsewhere_and_leave_the_trained_ones_alone(make_classifier):
    classifier = make_classifier()
    before = {name: value.clone() for name, value in classifier.networks[0].state_dict().items()}
    other = shuffled(classifier, np.random.default_rng(0))[0].state_dict()
    own = classifier.networks[0].state_dict()
    name = "backbone.conv1.weight"
    assert torch.equal(own[name], before[name])
    assert not torch.equal(own[name], other[name])
    assert torch.equal(own[name].flatten().sort().values, other[name].flatten().sort().values)


@pytest.fixture
def make_classifier(tmp_path):
    return lambda: Classifier(write_classifier(tmp_path / "random", members=1), torch.device("cpu"))


def test_references_know_where_the_liver_is_and_nothing_else():
    volume, organs = make_case((slice(2, 8), slice(8, 30), slice(6, 34)))
    maps = dict(references(volume, organs.liver, 16.0, np.random.default_rng(0)))
    assert maps.keys() == REFERENCES.keys()
    assert all(found.shape == organs.liver.shape for found in maps.values())
    centre = np.unravel_index(maps["near the liver's centre"].argmax(), organs.liver.shape)
    assert centre == pytest.approx((4.5, 18.5, 19.5), abs=0.6)
    share = maps["share of liver"]
    assert share[5, 19, 20] == pytest.approx(1)
    assert 0 < share[5, 8, 6] < 0.5
    assert share[5, 0, 55] == pytest.approx(0, abs=1e-6)


def test_options_arrive_and_the_tables_are_printed(tmp_path, manifest, model):
    given = ["--models", model, "--stages", "layer1", "--methods", "hirescam", "--split", "all", "--device", "cpu"]
    answer = CliRunner().invoke(cli.app, ["evaluate-heat", str(manifest), *given, "-o", str(tmp_path / "out")])
    assert answer.exit_code == 0, answer.output
    assert "| hirescam, layer1 | trained | 3 |" in answer.output
    assert "layer2" not in answer.output
