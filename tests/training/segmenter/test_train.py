"""Training on boxes: resumption, initial weights, folds in parallel, evaluation; augmentation and schedule."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch

from models import registry
from models.files import file_sha256
from models.install import check_files
from pipeline.case import Source, Volume
from pipeline.cohort.out_of_fold import out_of_fold_members
from pipeline.errors import ManifestError, ModelError
from pipeline.evaluation.segmenter import compare, evaluate_segmenter
from pipeline.segmentation import Segmenter, segment
from pipeline.training.segmenter import augmentation
from pipeline.training.segmenter import fold as segmenter_fold
from pipeline.training.segmenter import plan as nnunet_plan
from pipeline.training.segmenter import train as segmenter
from pipeline.training.segmenter import trainer as nnunet_trainer
from pipeline.training.segmenter.augmentation import PADDING, Corruption, Fluid, OrganContrast
from pipeline.training.segmenter.options import SegmenterTraining
from tests.training.segmenter.boxes import write_case


def training(steps: int, **settings: object) -> SegmenterTraining:
    return SegmenterTraining(steps=steps, device="cpu", **settings)


def test_training_leaves_a_model_that_the_app_loads(trained, data):
    model = registry.find(trained, "segmenter")
    assert model.members == ("fold0", "fold1")
    folds = json.loads((trained / "folds.json").read_text())
    assert folds == {"fold0": ["case1"], "fold1": ["case3"], "seen by all": ["case0", "case2"]}
    for case in ("case0", "case2"):
        assert out_of_fold_members(model, {}).unseen_members({case}) is None
    assert out_of_fold_members(model, {}).unseen_members({"case1"}).members == ("fold0",)
    loaded = Segmenter(model, torch.device("cpu"))
    for state in loaded.states:  # three steps need not find a liver: favour its label everywhere
        for name in [name for name in state if name.endswith("seg_layers.2.bias")]:
            state[name][1] += 100
    image = sitk.ReadImage(data / "imagesTr" / "case0_0000.nii.gz", sitk.sitkFloat32)
    organs = segment(Volume(image, Source("nifti", "x")), loaded)
    assert organs.labels.GetSize() == image.GetSize()
    assert organs.liver.all()


def test_a_trained_model_holds_nothing_that_an_installation_refuses(trained, tmp_path):
    assert (trained / "learning_curve.png").is_file()
    check_files(trained)


def test_model_json_records_the_training(trained):
    record = registry.find(trained, "segmenter").info["training"]
    assert list(record) == [
        "steps",
        "hours",
        "device",
        "seed",
        "parameters",
        "folds",
        "planner",
        "degraded",
        "blended",
        "anatomies",
    ]
    assert (record["steps"], record["device"], record["folds"], record["planner"]) == (3, "cpu", 2, "small")
    assert (record["degraded"], record["blended"]) == (True, False)


def test_a_longer_training_resumes_at_the_last_step(trained, data):
    heard: list[str] = []
    before = registry.find(trained, "segmenter").state("fold0")
    segmenter.train_segmenter(data, trained, training(4, folds=2), report=heard.append)
    assert sum("resuming at step 3" in line for line in heard) == 2
    after = registry.find(trained, "segmenter").state("fold0")
    assert any(not torch.equal(before[name], after[name]) for name in before)
    checkpoint = torch.load(trained.with_name("mini.work") / "fold0.pt", weights_only=True)
    assert checkpoint.keys() == {"network", "optimizer", "average", "step", "seconds"}
    assert checkpoint["step"] == 4


def test_training_starts_from_a_model_of_the_same_folds_only(trained, data, tmp_path):
    work, further = trained.with_name("mini.work"), tmp_path / "further"
    segmenter.train_segmenter(data, further, training(0, work=work, resume=False, start_from=str(trained)))
    old, new = (registry.find(folder, "segmenter") for folder in (trained, further))
    assert all(torch.equal(value, new.state("fold1")[name]) for name, value in old.state("fold1").items())
    assert new.info["training"]["steps"] == old.info["training"]["steps"] == 3
    assert new.info["training"]["hours"] == pytest.approx(old.info["training"]["hours"])
    assert new.info["training"]["blended"]
    (further / "folds.json").write_text(json.dumps({"fold0": ["case0"], "fold1": ["case1"]}))
    with pytest.raises(ModelError, match="other folds"):
        segmenter.train_segmenter(
            data, tmp_path / "third", training(0, work=work, resume=False, start_from=str(further))
        )


def test_weights_end_between_those_before_and_after():
    old, new = {"weight": torch.tensor([0.0, 2.0])}, {"weight": torch.tensor([1.0, 4.0])}
    assert torch.equal(segmenter_fold.blended(old, new)["weight"], torch.tensor([0.75, 3.5]))


def test_folds_trained_alone_are_gathered_and_their_hours_summed(trained, data, tmp_path):
    """A process that trains in parallel knows its own fold only; the last call has no fold and trains nothing."""
    out, work, heard = tmp_path / "gathered", trained.with_name("mini.work"), []
    for fold, hours in ((0, 1.5), (1, 2.25)):
        segmenter.train_segmenter(data, out, training(3, work=work), fold=fold)
        checkpoint = torch.load(work / f"fold{fold}.pt", weights_only=True)
        torch.save(checkpoint | {"seconds": 3600 * hours}, work / f"fold{fold}.pt")
    assert not out.exists()
    segmenter.train_segmenter(data, out, training(3, work=work), report=heard.append)
    assert not any("/3" in line for line in heard)
    assert registry.find(out, "segmenter").info["training"]["hours"] == pytest.approx(3.75, abs=0.03)
    assert "3.8 hours on cpu summed over the members" in (out / "MODEL_CARD.md").read_text()


def test_a_fold_that_is_not_there_and_a_file_to_write_into_are_refused(data, tmp_path):
    with pytest.raises(ModelError, match="from 0 to 1"):
        segmenter.train_segmenter(data, tmp_path / "out", training(3, folds=2), fold=2)
    (tmp_path / "taken").touch()
    with pytest.raises(ModelError, match="name a folder"):
        segmenter.train_segmenter(data, tmp_path / "taken", training(3))
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_work_folder_of_other_cases_is_refused(data, prepared, tmp_path):
    lines = ["patient_id,image,mask,split"]
    for case in range(4):
        files = f"{data}/imagesTr/case{case}_0000.nii.gz,{data}/labelsTr/case{case}.nii.gz"
        lines.append(f"case{case},{files},{'test' if case == 0 else 'train'}")
    (tmp_path / "cohort.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(ManifestError, match="work was prepared for other cases, files or folds"):
        segmenter.train_segmenter(tmp_path / "cohort.csv", tmp_path / "out", training(4, work=prepared))


@pytest.mark.slow
def test_planning_by_processes_gives_what_threads_give(data, prepared, tmp_path):
    nnunet_plan.prepare(*nnunet_plan.divide(data), tmp_path / "work", planner="small", processes=2)
    cases = sorted((prepared / "preprocessed" / nnunet_plan.DATASET / "nnUNetPlans_3d_fullres").glob("*.b2nd"))
    assert len(cases) == 8
    for file in cases:
        assert file_sha256(file) == file_sha256(tmp_path / "work" / file.relative_to(prepared))


@pytest.mark.slow
def test_a_residual_encoder_is_planned_trained_and_loaded(data, tmp_path):
    out = tmp_path / "residual"
    segmenter.train_segmenter(data, out, training(1, planner="residual"))
    network = Segmenter(registry.find(out, "segmenter"), torch.device("cpu")).predictor.network
    assert type(network).__name__ == "ResidualEncoderUNet"


def test_evaluation_predicts_each_case_by_the_member_that_has_not_seen_it(trained, data, tmp_path):
    write_case(tmp_path, "new", 9)
    for folder in ("imagesTr", "labelsTr"):
        shutil.copytree(data / folder, tmp_path / folder, dirs_exist_ok=True)
    heard: list[str] = []
    table = evaluate_segmenter(tmp_path, trained, device="cpu", report=heard.append)
    assert "2 cases are left out, since every member has seen them" in heard
    livers = table[table.organ == "liver"].set_index("case")
    assert livers["member"].to_dict() == {"case1": "fold0", "case3": "fold1", "new": "all"}
    assert set(pd.read_csv(trained / "evaluation.csv")["case"]) == {"case1", "case3"}
    card = (trained / "MODEL_CARD.md").read_text()
    assert f"{livers['dice'].drop('new').mean():.3f}" in card
    assert "| case1 | fold0 |" in card
    assert "worst" in card


def test_data_that_every_member_has_seen_are_not_evaluated(trained, data, tmp_path):
    for folder in ("imagesTr", "labelsTr"):
        shutil.copytree(data / folder, tmp_path / folder, ignore=shutil.ignore_patterns("case[123]*"))
    with pytest.raises(ManifestError, match="has seen every case"):
        evaluate_segmenter(tmp_path, trained, device="cpu")


def test_measures_of_a_shifted_box():
    truth, found = np.zeros((8, 20, 20), bool), np.zeros((8, 20, 20), bool)
    truth[2:6, 5:15, 5:15] = True
    found[2:6, 5:15, 7:17] = True
    values = compare(found, truth, (5.0, 1.0, 1.5))
    assert values["dice"] == pytest.approx(0.8)
    assert values["iou"] == pytest.approx(2 / 3)
    assert values["hd95_mm"] == pytest.approx(3.0)
    assert 0 < values["assd_mm"] < 3
    assert values["volume_error_percent"] == 0


def test_an_empty_mask_is_infinitely_far():
    truth = np.zeros((4, 8, 8), bool)
    truth[1:3, 2:6, 2:6] = True
    values = compare(np.zeros_like(truth), truth, (1.0, 1.0, 1.0))
    assert values["dice"] == 0
    assert values["hd95_mm"] == np.inf
    assert values["volume_error_percent"] == -100


def test_organ_contrast_redraws_organs_and_keeps_the_samples_statistics():
    torch.manual_seed(3)
    labels = torch.zeros(1, 6, 32, 32, dtype=torch.int16)
    labels[:, :, 8:24, 8:24] = 1
    image = torch.randn(1, 6, 32, 32) * 0.1 + labels.float()
    contrasts = []
    for _ in range(12):
        sample = {"image": image.clone(), "segmentation": labels.clone()}
        out = OrganContrast(probability=1.0, organ_probability=1.0)(**sample)["image"]
        assert out.mean() == pytest.approx(float(image.mean()), abs=1e-3)
        assert out.std() == pytest.approx(float(image.std()), abs=1e-3)
        contrasts.append(float(out[labels == 1].mean() - out[labels == 0].mean()))
    assert min(contrasts) < 0 < max(contrasts)
    assert np.std(contrasts) > 0.2


def test_fluid_pools_brightly_around_the_organs_and_never_in_them():
    torch.manual_seed(0)
    labels = torch.zeros(1, 6, 48, 48, dtype=torch.int16)
    labels[:, :, 16:32, 16:32] = 1
    body = torch.zeros(1, 6, 48, 48)
    body[:, :, 4:44, 4:44] = 1.0
    image = body + 0.5 * labels + 0.02 * torch.randn(body.shape)
    shares = []
    for _ in range(8):
        out = Fluid(probability=1.0)(image=image.clone(), segmentation=labels.clone())["image"]
        inside = out[labels == 1]
        scale = inside.mean() - out[body == 0].mean()
        assert inside.std() < 0.2 * scale  # the organ keeps its texture but for the soft edge of the pool
        shares.append(float((out[(labels == 0) & (body > 0)] > inside.mean() + 0.1 * scale).float().mean()))
    assert max(shares) > 0.02
    untouched = Fluid(probability=0.0)(image=image, segmentation=labels)["image"]
    assert torch.equal(untouched, image)


def test_corruption_degrades_what_was_scanned_and_leaves_the_padding():
    torch.manual_seed(1)
    labels = torch.zeros(1, 8, 48, 48, dtype=torch.int16)
    labels[:, 2:6, 16:32, 16:32] = 1
    image = torch.randn(1, 8, 48, 48) * 0.1 + labels.float() + 0.5
    image[:, :2] = PADDING
    corruption = Corruption((7.7, 1.9, 1.9), probability=1.0)
    distances = []
    for _ in range(20):
        out = corruption(image=image.clone(), segmentation=labels.clone())["image"]
        assert (out[:, :2] == PADDING).all()
        assert torch.isfinite(out).all()
        assert out[:, 2:].mean() == pytest.approx(float(image[:, 2:].mean()), abs=1e-3)
        distances.append(float((out - image).abs().mean()))
    assert max(distances) > 0.1 > min(distances) > 0  # mild and severe ones
    corruption.probability = 0.0
    assert torch.equal(corruption(image=image.clone(), segmentation=labels)["image"], image)


@pytest.mark.parametrize(
    ("pretrained", "highest"), [(False, nnunet_trainer.LEARNING_RATE), (True, nnunet_trainer.CONTINUED_RATE)]
)
def test_learning_rate_rises_holds_and_ends_at_zero(pretrained, highest):
    rates = [nnunet_trainer.learning_rate(step, 1000, pretrained=pretrained) for step in (0, 100, 300, 800, 999)]
    assert rates[0] < rates[1] == rates[2] == highest
    assert rates[2] > rates[3] > rates[4] > 0


def test_folds_hold_each_case_once():
    folds = nnunet_plan.make_folds({f"c{i}": f"c{i}" for i in range(7)}, 3)
    assert sorted(case for fold in folds for case in fold) == [f"c{i}" for i in range(7)]
    assert {len(fold) for fold in folds} == {2, 3}


@pytest.mark.parametrize("axis", [0, 2])
def test_a_cut_field_of_view_cuts_the_liver_and_leaves_the_rest_true(axis, monkeypatch):
    torch.manual_seed(0)
    draws = iter([axis == 0, False])  # axis, start or end
    monkeypatch.setattr(augmentation, "chance", lambda probability: next(draws))
    monkeypatch.setattr(augmentation, "uniform", lambda low, high: 0.5)
    labels = torch.zeros(20, 24, 28)
    labels[4:16, 6:18, 8:24] = 1
    image = torch.randn(labels.shape) + labels
    cut_labels = labels.clone()
    cut = augmentation._cut_field_of_view(image, cut_labels)
    kept = cut_labels == 1
    assert kept.sum() == labels.sum() / 2
    places = kept.nonzero()[:, axis]
    assert (places.min(), places.max()) == ((4, 9) if axis == 0 else (16, 23))
    outside = cut.movedim(axis, 0)[10:] if axis == 0 else cut.movedim(axis, 0)[:16]
    assert (outside == PADDING).all()
    assert torch.corrcoef(torch.stack([cut[kept], image[kept]]))[0, 1] > 0.999
