"""Where a GPU fails: smaller tiles, then the CPU, and a warning; nothing else is caught. No GPU is needed here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from models.device import gpu_fault
from pipeline import networks
from pipeline.analysis import analyze, analyze_steps
from pipeline.classification import Classifier
from pipeline.errors import GpuError
from pipeline.networks import Models, load_models
from tests.classification.conftest import write_classifier
from tests.segmentation.conftest import (
    BrightIsLiver,
    bright_segmenter,  # noqa: F401 - a fixture
    make_volume,
    model_folder,  # noqa: F401 - a fixture
    write_model,
)
from tests.test_analysis import BOX, KEY, study_of

BROKEN = {
    "no kernel": RuntimeError("CUDA error: no kernel image is available for execution on the device"),
    "lost": RuntimeError("CUDA error: unspecified launch failure"),
    "driver": RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU."),
    "old driver": RuntimeError("The NVIDIA driver on your system is too old (found version 11040)."),
    "not compiled": AssertionError("Torch not compiled with CUDA enabled"),
    "cudnn": RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    "accelerator": torch.AcceleratorError("device-side assert triggered")
    if hasattr(torch, "AcceleratorError")
    else RuntimeError("CUDA error: device-side assert triggered"),
}
MEMORY = {
    "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    "old": RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 8.00 GiB total capacity)"),
    "driver": RuntimeError("CUDA error: out of memory"),
    "cudnn": RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
}
NEITHER = [
    RuntimeError("shape '[2]' is invalid for input of size 3"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
    ValueError("CUDA"),
]


class FakeGpu(nn.Module):
    """A network on a GPU that fails, by ``fault``, on inputs of more than ``most`` voxels."""

    def __init__(self, fault: Exception, most: int = 0) -> None:
        super().__init__()
        self.network, self.fault, self.most, self.calls = BrightIsLiver(5), fault, most, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if x.numel() > self.most:
            raise self.fault
        return self.network(x)


@pytest.fixture
def study(tmp_path: Path):
    return study_of(make_volume(BOX), tmp_path / "upload")


@pytest.fixture
def on_gpu(bright_segmenter, tmp_path) -> Callable[..., Models]:  # noqa: F811
    """Models that say that they are on a GPU, and whose segmenter fails as one does."""
    folder = write_classifier(tmp_path / "classifier")

    def load_on_cpu() -> Models:
        segmenter = networks.copy.copy(bright_segmenter)
        segmenter.predictor = networks.copy.copy(bright_segmenter.predictor)
        segmenter.predictor.network = BrightIsLiver(5)
        segmenter.device = torch.device("cpu")
        return Models(segmenter, Classifier(folder, torch.device("cpu")))

    def make(fault: Exception, most: int = 0) -> Models:
        bright_segmenter.predictor.network = FakeGpu(fault, most)
        bright_segmenter.device = torch.device("cuda")
        return Models(bright_segmenter, Classifier(folder, torch.device("cpu")), networks.cache(load_on_cpu))

    return make


def calls(models: Models) -> int:
    return models.segmenter.predictor.network.calls


def codes(found) -> list[str]:
    return [warning.code for warning in found.warnings if warning.code.startswith("gpu")]


@pytest.mark.parametrize("error", MEMORY.values(), ids=MEMORY)
def test_lack_of_memory_is_told_from_other_faults(error):
    assert gpu_fault(error) == "memory"


@pytest.mark.parametrize("error", BROKEN.values(), ids=BROKEN)
def test_a_broken_gpu_is_known_by_its_errors(error):
    assert gpu_fault(error) == "broken"


@pytest.mark.parametrize("error", NEITHER[:2], ids=["shape", "memory of the CPU"])
def test_other_errors_are_no_faults_of_a_gpu(error):
    assert gpu_fault(error) is None


@pytest.mark.parametrize("error", [MEMORY["torch"], MEMORY["cudnn"]], ids=["torch", "cudnn"])
def test_little_memory_falls_back_to_tiles(on_gpu, study, error):
    models = on_gpu(error, most=8 * 32 * 32)
    found = analyze(study, KEY, models, any_input=True)
    assert codes(found) == ["gpu_tiles"]
    assert found.organs.liver_ml > 200
    assert not models.gpu_failed, "the next case may fit"
    assert codes(analyze(study, KEY, models, any_input=True)) == ["gpu_tiles"]


@pytest.mark.parametrize("error", [MEMORY["torch"], MEMORY["driver"]], ids=["torch", "driver"])
def test_too_little_memory_for_a_tile_falls_back_to_the_cpu(on_gpu, study, error):
    models = on_gpu(error)
    found = analyze(study, KEY, models, any_input=True)
    assert codes(found) == ["gpu_memory"]
    assert "processor" in found.warnings[-1].message
    assert not models.gpu_failed


@pytest.mark.parametrize("error", [BROKEN["no kernel"], BROKEN["not compiled"]], ids=["no kernel", "not compiled"])
def test_a_broken_gpu_falls_back_to_the_cpu_and_is_not_asked_again(on_gpu, study, error):
    models = on_gpu(error)
    found = analyze(study, KEY, models, any_input=True)
    assert codes(found) == ["gpu_failed"]
    assert calls(models) == 1
    again = analyze(study, KEY, models, any_input=True)
    assert calls(models) == 1
    assert codes(again) == ["gpu_failed"]
    assert again.fibrosis == found.fibrosis


def test_the_fallback_gives_the_answer_of_the_cpu(on_gpu, study):
    models = on_gpu(MEMORY["torch"])
    assert models.load_on_cpu is not None
    on_cpu = analyze(study, KEY, models.load_on_cpu(), any_input=True)
    assert analyze(study, KEY, models, any_input=True).fibrosis == on_cpu.fibrosis


def test_a_fault_of_the_classifier_falls_back_too(on_gpu, study):
    models = on_gpu(MEMORY["torch"], most=10**9)

    def fail(case):
        raise BROKEN["lost"]

    object.__setattr__(models.classifier.ensemble, "input_of", fail)
    assert codes(analyze(study, KEY, models, any_input=True)) == ["gpu_failed"]


def test_the_page_is_told_while_it_falls_back(on_gpu, study):
    names = [step.name for step in analyze_steps(study, KEY, on_gpu(MEMORY["torch"]))]
    assert [name for name in names if "GPU" in name] == [
        "The GPU has too little memory for these images at once: starting again",
        "The GPU has too little memory for these images: starting again",
    ]


@pytest.mark.parametrize("error", NEITHER[:2], ids=["shape", "memory of the CPU"])
def test_a_bug_is_not_taken_for_a_fault_of_the_gpu(on_gpu, study, error):
    models = on_gpu(error)
    with pytest.raises(RuntimeError, match=r"shape|alloc_cpu"):
        analyze(study, KEY, models)
    assert calls(models) == 1


def test_without_a_way_to_the_cpu_the_fault_is_one_sentence(on_gpu, study):
    models = on_gpu(BROKEN["lost"])
    models.load_on_cpu = None
    with pytest.raises(GpuError, match=r"^The GPU failed\.$"):
        analyze(study, KEY, models)


def test_a_gpu_that_takes_no_networks_leaves_the_page_up(tmp_path, monkeypatch):
    """The driver's own error: this computer has no GPU, or the test proves nothing and skips."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    monkeypatch.setattr(networks, "choose_device", lambda name: torch.device("cuda"))
    folders = str(write_model(tmp_path / "tiny")), str(write_classifier(tmp_path / "classifier").folder)
    models = load_models(*folders)
    assert models.gpu_failed
    assert models.device.type == "cpu"


def test_a_model_that_does_not_load_is_not_taken_for_a_fault_of_the_gpu(monkeypatch):
    monkeypatch.setattr(networks, "choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(networks, "_load", partial(fail_with, NEITHER[0]))
    with pytest.raises(RuntimeError, match="shape"):
        load_models()


def fail_with(error: Exception, *arguments: object) -> None:
    raise error
