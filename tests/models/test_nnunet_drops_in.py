"""A model trained by nnU-Net's own commands is exported, installed, chosen by name and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from pipeline.__main__ import app

pytestmark = pytest.mark.slow
SIZE_ZYX = (12, 48, 48)
FEW_STEPS = """
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class FewSteps(nnUNetTrainer):
    def __init__(self, plans: dict, configuration: str, fold: int, dataset_json: dict,
                 device: torch.device = torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 1, 40, 1

    def perform_actual_validation(self, save_probabilities: bool = False):
        pass
"""


def write_case(raw: Path, number: int) -> Path:
    """A bright box, the liver, in noise; voxels of 6 x 6 x 8 mm. Returns the image."""
    labels = np.zeros(SIZE_ZYX, np.uint8)
    labels[2:10, 8 + number : 30, 6:26] = 1
    voxels = np.random.default_rng(number).normal(100, 10, SIZE_ZYX) + 150 * labels
    files = (raw / "imagesTr" / f"case{number}_0000.nii.gz", raw / "labelsTr" / f"case{number}.nii.gz")
    for file, array in zip(files, (voxels.astype(np.float32), labels), strict=True):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((6.0, 6.0, 8.0))
        file.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(file))
    return files[0]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("nnunet") / "raw" / "Dataset001_Boxes"
    images = [write_case(raw, number) for number in range(4)]
    dataset = {
        "channel_names": {"0": "T2"},
        "labels": {"background": 0, "liver": 1},
        "numTraining": len(images),
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(dataset))
    return images[0]


@pytest.fixture(scope="module")
def result(image: Path) -> Path:
    """nnU-Net's result folder after 40 steps of a network with a quarter of the features that it planned."""
    work = image.parents[3]
    (work / "trainers").mkdir()
    (work / "trainers" / "few_steps.py").write_text(FEW_STEPS)
    environment = os.environ | {f"nnUNet_{name}": str(work / name) for name in ("raw", "preprocessed", "results")}
    environment |= {"nnUNet_extTrainer": str(work / "trainers"), "nnUNet_compile": "false", "MPLBACKEND": "Agg"}
    environment |= {"nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "1"}

    def nnunet(command: str, *arguments: str) -> None:
        program = Path(sys.executable).parent / f"nnUNetv2_{command}"
        ended = subprocess.run([program, *arguments], env=environment, cwd=work, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]

    nnunet("plan_and_preprocess", "-d", "1", "-c", "3d_fullres", "-np", "1", "-npfp", "1", "--no_pbar")
    plans = work / "preprocessed" / "Dataset001_Boxes" / "nnUNetPlans.json"
    content = json.loads(plans.read_text())
    arguments = content["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    arguments["features_per_stage"] = [features // 4 for features in arguments["features_per_stage"]]
    plans.write_text(json.dumps(content))
    environment["nnUNet_n_proc_DA"] = "0"  # augmentation in the process itself; planning takes no 0
    nnunet("train", "1", "3d_fullres", "all", "-tr", "FewSteps", "-device", "cpu")
    return work / "results" / "Dataset001_Boxes" / "FewSteps__nnUNetPlans__3d_fullres"


def run(*arguments: object) -> str:
    """Standard output of one of our commands, which must not fail."""
    ended = CliRunner().invoke(app, list(map(str, arguments)))
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def test_a_model_of_nnunet_is_exported_installed_chosen_and_used(result, image, tmp_path):
    run("models", "export", result, "-o", tmp_path / "boxes", "--trained-on", "boxes in noise", "--simulated")
    run("models", "install", tmp_path / "boxes")
    rows = {row["name"]: row for row in json.loads(run("models", "list", "--json"))}
    assert (rows["boxes"]["members"], rows["boxes"]["simulated"]) == (["foldall"], True)
    answer = run("analyze", image, "--segmenter", "boxes", "-o", tmp_path / "out", "--json", "--device", "cpu")
    found = json.loads(answer)
    assert found["models"]["segmenter"]["name"] == "boxes"
    assert found["models"]["segmenter"]["sha256"] == rows["boxes"]["sha256"]
    label = image.parents[1] / "labelsTr" / image.name.replace("_0000", "")
    files = (label, tmp_path / "out" / "liver_mask.nii.gz")
    truth, mask = (sitk.GetArrayFromImage(sitk.ReadImage(str(file))) == 1 for file in files)
    assert 2 * (truth & mask).sum() / (truth.sum() + mask.sum()) > 0.5
