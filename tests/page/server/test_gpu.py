"""The lent GPU: what goes into the worker and comes out of it, what a visitor without GPU time is told."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import gradio as gr
import httpx
import pytest
import torch

from pipeline.analysis import Found, Models, analyze_by, find_steps
from pipeline.case import Step, run_to_end
from pipeline.classification import Classifier
from pipeline.errors import Cancelled, GpuError, SegmentationError
from pipeline.page.server import gpu
from pipeline.page.server.gpu import Choice, lent_steps, reason, seconds_for
from tests.classification.conftest import write_classifier
from tests.page.server.lent_gpu import lend
from tests.segmentation.conftest import bright_segmenter, make_volume, model_folder  # noqa: F401 - fixtures
from tests.test_analysis import BOX, KEY, study_of

CHOICE = Choice("liver_t2", "fibrosis_t2")
TAKES_OVER = "the processor takes over, which takes longer."


@pytest.fixture
def calls(bright_segmenter, tmp_path, monkeypatch) -> list[bytes]:  # noqa: F811
    """ZeroGPU with small models; the pickled arguments of each call."""
    classifier = Classifier(write_classifier(tmp_path / "classifier"), torch.device("cpu"))
    made: list[bytes] = []
    monkeypatch.setattr(gpu, "_loaded", {CHOICE: Models(bright_segmenter, classifier)})
    monkeypatch.setattr(gpu, "_moved", {})
    monkeypatch.setattr(gpu, "on_gpu", lend(gpu.on_gpu, made))
    return made


def never() -> bool:
    return False


def test_steps_and_result_come_out_of_the_worker(calls, tmp_path):
    find = partial(lent_steps, CHOICE, any_input=True)
    steps = list(analyze_by(study_of(make_volume(BOX), tmp_path / "upload"), KEY, find, never))
    names = " ".join(step.name for step in steps)
    assert all(word in names for word in ("Waiting for a GPU", "Segmenting", "Estimating fibrosis", "Explaining"))
    analysis = steps[-1].analysis
    assert analysis is not None
    assert analysis.organs.liver_ml > 200
    assert not [warning for warning in analysis.warnings if warning.code.startswith("gpu")]
    assert gpu._moved == {}, "the worker computed, not this process"
    assert len(calls) == 1


def test_the_worker_finds_what_this_process_finds(calls):
    volume = make_volume(BOX)
    there = run_to_end(lent_steps(CHOICE, volume, never, any_input=True))
    here = run_to_end(find_steps(volume, never, gpu._loaded[CHOICE], any_input=True))
    assert there.fibrosis == here.fibrosis
    assert (there.organs.liver == here.organs.liver).all()
    assert there.segmenter == here.segmenter


def test_progress_arrives_while_the_worker_computes(calls, monkeypatch, tmp_path):
    """The worker waits after its first step until this process has seen it."""
    seen = tmp_path / "seen"

    def waiting(choice: Choice, *arguments: object) -> Iterator[object]:
        yield Step("one", 0.1)
        for _ in range(200):
            if seen.exists():
                break
            threading.Event().wait(0.05)
        yield GpuError("seen" if seen.exists() else "not seen")

    monkeypatch.setattr(gpu, "on_gpu", lend(waiting))
    steps = gpu._values(gpu.on_gpu(CHOICE, make_volume(BOX)), never)
    assert next(steps).name == "one"
    seen.touch()
    with pytest.raises(GpuError, match=r"^seen$"):
        next(steps)


def test_only_names_and_the_volume_go_in(calls):
    run_to_end(lent_steps(CHOICE, make_volume(BOX), never))
    choice, volume, any_input = pickle.loads(calls[0])
    assert (choice, any_input) == (CHOICE, False)
    assert volume.image.GetSize() == make_volume(BOX).image.GetSize()
    assert len(calls[0]) < volume.voxels.nbytes + 10_000, "no weights"


def test_the_sentence_of_an_error_comes_out(calls):
    empty = make_volume((slice(0, 0), slice(0, 0), slice(0, 0)))
    with pytest.raises(SegmentationError) as here:
        run_to_end(find_steps(empty, never, gpu._loaded[CHOICE]))
    with pytest.raises(SegmentationError) as there:
        run_to_end(gpu._values(gpu.on_gpu(CHOICE, empty), never))
    assert str(there.value) == str(here.value)
    assert len(str(there.value)) > 20


def test_cancelling_ends_the_worker(calls):
    asked = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(Cancelled):
        run_to_end(lent_steps(CHOICE, make_volume(BOX), cancelled))
    assert run_to_end(lent_steps(CHOICE, make_volume(BOX), never, any_input=True)).fibrosis is not None


@pytest.mark.parametrize(
    "task",
    [
        lambda *arguments: iter([Step("one", 0.1), lambda: None]),  # cannot be pickled
        lambda *arguments: os._exit(1),  # the time is up
        lambda *arguments: iter(()),
    ],
    ids=["not pickled", "killed", "nothing"],
)
def test_a_worker_that_fails_is_made_good_here(calls, monkeypatch, task):
    monkeypatch.setattr(gpu, "on_gpu", lend(task))
    found = run_to_end(lent_steps(CHOICE, make_volume(BOX), never))
    assert isinstance(found, Found)
    assert found.warnings[0].code == "gpu_failed"
    assert found.warnings[0].message.endswith(TAKES_OVER)


def test_a_gpu_with_too_little_memory_is_made_good_here_and_not_in_the_worker(calls, monkeypatch):
    models = gpu._loaded[CHOICE]

    def worker(choice: Choice, *arguments: object) -> Iterator[object]:
        if gpu._models(choice).load_on_cpu is not None:
            yield AssertionError("the CPU's work would be counted as the GPU's")
        yield GpuError("The GPU has too little memory for these images.")

    monkeypatch.setattr(gpu, "on_gpu", lend(worker))
    assert models.load_on_cpu is None
    assert run_to_end(lent_steps(CHOICE, make_volume(BOX), never)).warnings[0].code == "gpu_failed"


REFUSALS = {
    "quota": (
        gr.Error(
            "You have exceeded your free ZeroGPU quota (20s requested vs. 3s left). Try again in 5:41:07. ",
            title="ZeroGPU quota exceeded",
        ),
        "gpu_quota",
        f"The free GPU time of your account is used up; there is more in 5:41:07 h: {TAKES_OVER}",
    ),
    "no account": (
        gr.Error("Space app has reached its GPU limit. Try re-running", title="ZeroGPU quota exceeded"),
        "gpu_quota",
        f"The free GPU time of your account is used up; there is more tomorrow: {TAKES_OVER}",
    ),
    "runs": (
        gr.Error("You have exceeded your ZeroGPU runs limit. ", title="ZeroGPU quota exceeded"),
        "gpu_quota",
        f"The free GPU time of your account is used up; there is more tomorrow: {TAKES_OVER}",
    ),
    "busy": (
        gr.Error("No GPU was available after 60s. Try again", title="ZeroGPU quota exceeded"),
        "gpu_busy",
        f"No GPU was free: {TAKES_OVER}",
    ),
    "worker": (
        gr.Error("RuntimeError", title="ZeroGPU worker error"),
        "gpu_failed",
        f"The lent GPU failed: {TAKES_OVER}",
    ),
    "scheduler": (httpx.ConnectError("refused"), "gpu_failed", f"The lent GPU failed: {TAKES_OVER}"),
    "interface": (RuntimeError("ZeroGPU API /schedule error: 500"), "gpu_failed", f"The lent GPU failed: {TAKES_OVER}"),
}


@pytest.mark.parametrize(("error", "code", "message"), REFUSALS.values(), ids=REFUSALS)
def test_who_gets_no_gpu_is_told_why_and_gets_the_processor(calls, monkeypatch, error, code, message):
    def refuse(choice: Choice, *arguments: object) -> Iterator[Step]:
        raise error
        yield

    monkeypatch.setattr(gpu, "on_gpu", refuse)
    steps = lent_steps(CHOICE, make_volume(BOX), never)
    assert [next(steps).name, next(steps).name] == ["Waiting for a GPU", message.rstrip(".")]
    found = run_to_end(steps)
    assert [(warning.code, warning.message) for warning in found.warnings] == [(code, message)]
    assert reason(error).code == code


def test_more_voxels_and_networks_ask_for_more_seconds(calls):
    small, large = make_volume(BOX), make_volume(BOX, size_zyx=(40, 160, 160))
    assert gpu.START_S < seconds_for(CHOICE, small) < seconds_for(CHOICE, large) <= gpu.LONGEST_S
    models = gpu._loaded[CHOICE]
    models.segmenter.states *= 50
    assert seconds_for(CHOICE, large) == gpu.LONGEST_S


def test_outside_of_zerogpu_nothing_is_forked(monkeypatch, tmp_path, bright_segmenter):  # noqa: F811
    classifier = Classifier(write_classifier(tmp_path / "classifier"), torch.device("cpu"))
    models = Models(bright_segmenter, classifier)
    monkeypatch.setattr("pipeline.analysis.load_models", lambda *names: replace(models))
    monkeypatch.setattr(gpu, "on_gpu", None)
    analyse = gpu.bind(CHOICE)
    *_, last = analyse(study_of(make_volume(BOX), tmp_path / "upload"), KEY, never)
    assert last.analysis is not None


@pytest.mark.parametrize("lent", [False, True])
def test_a_corrected_mask_is_classified_here_and_spends_no_gpu_time(calls, monkeypatch, tmp_path, lent):
    models = gpu._loaded[CHOICE]
    monkeypatch.setattr(gpu, "LENT", lent)
    monkeypatch.setattr("pipeline.analysis.load_models", lambda *names, **_: models)
    bound = gpu.bind(CHOICE, any_input=True)
    volume = make_volume(BOX)
    organs = run_to_end(find_steps(volume, never, models)).organs
    *_, last = bound.reclassify(volume, organs, organs.liver, never)
    assert last.analysis is not None
    assert last.analysis.mask_edited
    assert last.analysis.fibrosis is not None
    assert calls == []
