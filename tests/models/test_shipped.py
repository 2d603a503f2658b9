"""The models that ship: their files, and what they make of cases that they have not seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import SimpleITK as sitk
import torch

from models import registry
from pipeline.evaluation.segmenter import evaluate_case
from pipeline.intake import open_upload, preselected, read_series
from pipeline.segmentation import Segmenter, segment
from pipeline.statistics.overlap import dice
from tests.shared import shared_path

EXAMPLES = Path(__file__).resolve().parents[2] / "assets" / "examples"
SHIPPED = [("liver_t2", "segmenter"), ("fibrosis_t2", "classifier")]


@pytest.mark.parametrize(("name", "kind"), SHIPPED)
def test_every_member_is_whole_and_small_enough_for_a_space(name, kind):
    model = registry.find(name, kind)
    assert len(model.members) == 3
    for member in model.members:
        assert model.state(member)
        assert all(file.stat().st_size < 10_000_000 for file in (model.folder / member).iterdir())


@pytest.mark.parametrize(("name", "kind"), SHIPPED)
def test_terms_and_figures_are_shipped_with_the_weights(name, kind):
    folder = registry.find(name, kind).folder
    assert registry.find(name, kind).info["trained_on"]
    assert "cc-by-nc-sa-4.0" in (folder / "MODEL_CARD.md").read_text()
    assert json.loads((folder / "folds.json").read_text()).keys() == {"fold0", "fold1", "fold2"}


def test_the_classifier_says_that_its_fibrosis_is_simulated():
    assert "simulated" in registry.find("fibrosis_t2", "classifier").model_info().note


def example_dice(name: str, segmenter: Segmenter, folder: Path) -> float:
    """Liver Dice of a bundled example against its label."""
    study = open_upload(EXAMPLES / name, folder)
    volume = read_series(study, preselected(study).key)
    label = EXAMPLES / "labels" / (name.split(".")[0] + ".nii.gz")
    truth = sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(label), "LPS")) == 1
    return dice(segment(volume, segmenter).liver, truth)


def test_one_member_finds_an_examples_liver(tmp_path):
    member = Segmenter(registry.find("liver_t2/fold0", "segmenter"), torch.device("cpu"))
    assert example_dice("abdomen_t2.nii.gz", member, tmp_path / "case") >= 0.90


@pytest.mark.slow
@pytest.mark.parametrize("name", ["abdomen_t2.nii.gz", "abdomen_t2_dicom.zip"])
def test_the_ensemble_finds_the_examples_livers(name, tmp_path):
    ensemble = Segmenter(registry.find("liver_t2", "segmenter"), torch.device("cpu"))
    assert example_dice(name, ensemble, tmp_path / "case") >= 0.90


@pytest.mark.slow
@pytest.mark.parametrize("name", ["abdomen_t2.nii.gz", "abdomen_t2_dicom.zip"])
def test_one_pass_is_as_good_as_nnunets_tiles(name, tmp_path):
    found = registry.find("liver_t2", "segmenter")
    exact, fast = (
        example_dice(name, Segmenter(found, torch.device("cpu"), exact), tmp_path / str(exact))
        for exact in (True, False)
    )
    assert fast >= exact - 0.002


@pytest.mark.slow
def test_a_member_finds_an_unseen_liver():
    data = shared_path("chaos_t2")
    case = json.loads((registry.SHIPPED / "liver_t2" / "folds.json").read_text())["fold1"][0]
    member = Segmenter(registry.find("liver_t2/fold1", "segmenter"), torch.device("cpu"))
    found = evaluate_case(case, data / "images" / f"{case}_0000.nii.gz", data / "labels" / f"{case}.nii.gz", member)
    assert found["liver"]["dice"] >= 0.88
