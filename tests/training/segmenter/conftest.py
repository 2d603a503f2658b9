"""Boxes that nnU-Net has planned and preprocessed, and a model of two members trained on them for three steps."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace

import pytest
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor

from pipeline.training.segmenter import plan as nnunet_plan
from pipeline.training.segmenter import train as segmenter
from pipeline.training.segmenter.options import SegmenterTraining
from tests.training.segmenter.boxes import SPLIT, write_case


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four cases with a split; tests only read them."""
    folder = tmp_path_factory.mktemp("boxes")
    for seed in range(4):
        write_case(folder, f"case{seed}", seed)
    (folder / "splits_final.json").write_text(json.dumps(SPLIT))
    return folder


@pytest.fixture(scope="session")
def prepared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder before the first step, with an eighth of the features that nnU-Net planned; for copying.

    For speed, nnU-Net's processes are threads here, and it samples 10 thousand intensities instead of 100 million.
    """
    work = tmp_path_factory.mktemp("prepared") / "work"
    threads, run = SimpleNamespace(Pool=ThreadPool), DatasetFingerprintExtractor.run

    def run_on_few_voxels(extractor: DatasetFingerprintExtractor, overwrite_existing: bool = False) -> dict:
        extractor.num_foreground_voxels_for_intensitystats = 1e4
        return run(extractor, overwrite_existing)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatasetFingerprintExtractor, "run", run_on_few_voxels)
        patch.setattr("nnunetv2.utilities.utils.Pool", ThreadPool)
        patch.setenv("nnUNet_n_proc_DA", "0")  # as an earlier training in this process leaves it
        patch.setattr(multiprocessing, "get_context", lambda method=None: threads)
        nnunet_plan.prepare(*nnunet_plan.divide(data), work, planner="small", processes=1)
    file = work / "preprocessed" / nnunet_plan.DATASET / "nnUNetPlans.json"
    plans = json.loads(file.read_text())
    network = plans["configurations"][nnunet_plan.CONFIGURATION]["architecture"]["arch_kwargs"]
    network["features_per_stage"] = [features // 8 for features in network["features_per_stage"]]
    file.write_text(json.dumps(plans))
    return work


@pytest.fixture(scope="session")
def three_steps(data: Path, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model with its work folder beside it; for copying."""
    out = tmp_path_factory.mktemp("trained") / "mini"
    shutil.copytree(prepared, out.with_name("mini.work"))
    training = SegmenterTraining(steps=3, device="cpu", trained_on="boxes", licence="CC BY 4.0")
    segmenter.train_segmenter(data, out, training)
    return out


@pytest.fixture
def trained(three_steps: Path, tmp_path: Path) -> Path:
    """The trained model, its work folder beside it, in a place of the test's own."""
    return shutil.copytree(three_steps.parent, tmp_path / "models") / "mini"
