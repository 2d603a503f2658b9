from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from models import registry
from pipeline.case import Source, Volume
from pipeline.errors import ModelError, SegmentationError
from pipeline.segmentation import Segmenter, segment
from pipeline.training import nnunet_plan, segmenter, segmenter_card, segmenter_export
from pipeline.training.organ_contrast import Fluid, OrganContrast
from pipeline.training.segmenter_evaluation import compare, evaluate_segmenter

SIZE_ZYX = (12, 48, 48)


def write_case(folder, case: str, seed: int) -> None:
    """A bright box (liver) and a smaller one (spleen) on noise; voxels of 6 x 6 x 8 mm."""
    generator = np.random.default_rng(seed)
    labels = np.zeros(SIZE_ZYX, np.uint8)
    labels[2:10, 10:30, 6:26] = 1
    labels[3:8, 30:40, 30:42] = 4
    voxels = generator.normal(100, 10, SIZE_ZYX) + 150 * (labels == 1) + 300 * (labels == 4)
    for name, array, suffix in (("imagesTr", voxels.astype(np.float32), "_0000"), ("labelsTr", labels, "")):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((6.0, 6.0, 8.0))
        (folder / name).mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, folder / name / f"{case}{suffix}.nii.gz")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for seed in range(4):
        write_case(folder, f"case{seed}", seed)
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "mini"
    segmenter.train_segmenter(data, out, folds=2, steps=3, trained_on="boxes", licence="CC BY 4.0")
    return out


def test_training_leaves_a_model_that_the_app_loads(trained, data):
    model = registry.find(trained, "segmenter")
    assert model.members == ("fold0", "fold1")
    folds = json.loads((trained / "folds.json").read_text())
    assert sorted(folds["fold0"] + folds["fold1"]) == [f"case{i}" for i in range(4)]
    loaded = Segmenter(model, torch.device("cpu"))
    assert loaded.predictor.configuration_manager.patch_size
    image = sitk.ReadImage(data / "imagesTr" / "case0_0000.nii.gz", sitk.sitkFloat32)
    try:
        organs = segment(Volume(image, Source("nifti", "x")), loaded)
    except SegmentationError:
        return  # three steps need not find a liver
    assert organs.labels.GetSize() == image.GetSize()


def test_training_goes_on_where_it_ended(trained, data):
    heard: list[str] = []
    before = registry.find(trained, "segmenter").state("fold0")
    segmenter.train_segmenter(data, trained, folds=2, steps=4, report=heard.append)
    assert any("going on at step 3" in line for line in heard)
    after = registry.find(trained, "segmenter").state("fold0")
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_training_starts_from_a_model_of_the_same_folds_only(trained, data, tmp_path):
    work = trained.with_name("mini.work")
    heard: list[str] = []
    segmenter.train_segmenter(
        data, tmp_path / "further", folds=2, steps=0, work=work, resume=False, start_from=str(trained),
        report=heard.append,
    )  # fmt: skip
    old, new = (registry.find(folder, "segmenter").state("fold1") for folder in (trained, tmp_path / "further"))
    assert all(torch.equal(old[name], new[name]) for name in old)
    (tmp_path / "further" / "folds.json").write_text(json.dumps({"fold0": ["case0"], "fold1": ["case1"]}))
    with pytest.raises(ModelError, match="other folds"):
        segmenter.train_segmenter(
            data, tmp_path / "third", folds=2, steps=0, work=work, resume=False, start_from=str(tmp_path / "further")
        )


def test_evaluation_predicts_each_case_by_the_member_that_has_not_seen_it(trained, data):
    folds = json.loads((trained / "folds.json").read_text())
    table = evaluate_segmenter(data, trained, device="cpu")
    livers = table[table.organ == "liver"].set_index("case")
    assert {case: member for member, cases in folds.items() for case in cases} == livers["member"].to_dict()
    card = (trained / "MODEL_CARD.md").read_text()
    assert f"{livers['dice'].mean():.3f}" in card
    assert "worst" in card


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


def test_learning_rate_rises_holds_and_ends_at_zero():
    rates = [segmenter.learning_rate(step, 1000) for step in (0, 100, 300, 800, 999)]
    assert rates[0] < rates[1] == rates[2] == segmenter.LEARNING_RATE
    assert rates[2] > rates[3] > rates[4] > 0


def test_folds_hold_each_case_once():
    folds = nnunet_plan.make_folds([f"c{i}" for i in range(7)], 3)
    assert sorted(case for fold in folds for case in fold) == [f"c{i}" for i in range(7)]
    assert {len(fold) for fold in folds} == {2, 3}


def write_checkpoint(folder, trained, **extra):
    """A result folder as nnU-Net leaves it, from the trained member's own plan and weights."""
    result = folder / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (result / "fold_0").mkdir(parents=True)
    for name in ("plans.json", "dataset.json"):
        (result / name).write_bytes((trained / name).read_bytes())
    weights = Segmenter(registry.find(trained, "segmenter"), torch.device("cpu")).states[0]
    content = {"network_weights": weights, "init_args": {"configuration": "3d_fullres"}, "_best_ema": np.float64(0.9)}
    torch.save(content | extra, result / "fold_0" / "checkpoint_final.pth")
    return result


def test_a_result_folder_of_nnunet_becomes_a_model(trained, tmp_path):
    result = write_checkpoint(tmp_path, trained)
    segmenter_export.convert(result, tmp_path / "converted", trained_on="elsewhere", orientation="RAS")
    model = registry.find(tmp_path / "converted", "segmenter")
    loaded = Segmenter(model, torch.device("cpu"))
    original = Segmenter(registry.find(trained, "segmenter"), torch.device("cpu"))
    assert loaded.orientation == "RAS"
    assert all(torch.allclose(a, original.states[0][n], atol=1e-3) for n, a in loaded.states[0].items())


class Evil:
    def __reduce__(self):
        return (print, ("code from a checkpoint runs",))


def test_a_checkpoint_with_code_in_it_is_not_loaded(trained, tmp_path, capsys):
    result = write_checkpoint(tmp_path, trained, logging=Evil())
    with pytest.raises(ModelError, match="more than weights"):
        segmenter_export.convert(result, tmp_path / "converted", trained_on="elsewhere")
    assert "runs" not in capsys.readouterr().out


def test_the_card_says_nothing_was_unseen_without_folds(tmp_path):
    assert segmenter_card.unseen_by(tmp_path) == {}
