"""The page as on a ZeroGPU Space, by the ``spaces`` package itself: ``python -m tests.page.server.zero_space FOLDER``.

Its scheduler is on loopback, given by ``SPACES_ZERO_DEVICE_API_URL``. No GPU is here: what ``spaces`` does to reach it
in the worker is left out, everything before and after is its own. Prints one JSON object.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from pathlib import Path

from pipeline.page.server import gpu  # first, as app.py imports it before torch

# isort: split
import gradio as gr
import spaces
from spaces.zero import torch as emulation

from pipeline.analysis import Models, analyze_by
from pipeline.case import Step
from pipeline.classification import Classifier
from pipeline.errors import PipelineError
from pipeline.segmentation import Segmenter
from tests.classification.conftest import write_classifier
from tests.segmentation.conftest import LABELS, BrightIsLiver, make_volume, write_model
from tests.test_analysis import BOX, KEY, study_of


def main(folder: Path) -> None:
    import torch

    from models import registry

    emulation.init = lambda uuid: None
    emulation.move = lambda callback=None: None
    cpu = torch.device("cpu")
    segmenter = Segmenter(registry.find(write_model(folder / "tiny"), "segmenter"), cpu)
    segmenter.predictor.network = BrightIsLiver(len(LABELS))
    segmenter.states = [{}, {}]
    choice = gpu.Choice("liver_t2", "fibrosis_t2")
    gpu._loaded[choice] = Models(segmenter, Classifier(write_classifier(folder / "classifier"), cpu))

    from spaces.zero import client

    client.startup_report()
    good = make_volume(BOX)
    empty = make_volume((slice(0, 0), slice(0, 0), slice(0, 0)))
    found = {
        "lent": gpu.LENT,
        "wrapped": hasattr(gpu.on_gpu, "zerogpu"),
        "blocks": gr.Blocks.launch.__module__,
        "spaces": spaces.__name__,
        "runs": [run(volume, choice, folder / str(number)) for number, volume in enumerate((good, empty, good))],
        "moved_here": len(gpu._moved),
    }
    print("ANSWER " + json.dumps(found), flush=True)  # noqa: T201 - read by the test
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(0)


def run(volume: object, choice: object, folder: Path) -> dict[str, object]:
    """One analysis: the names of its steps, its warnings, or its error."""
    steps: list[Step] = []
    try:
        find = gpu.partial(gpu.lent_steps, choice, any_input=True)
        for step in analyze_by(study_of(volume, folder), KEY, find, gpu._never):
            steps.append(step)
    except PipelineError as error:
        return {"error": f"{type(error).__name__}: {error}", "steps": [step.name for step in steps]}
    analysis = steps[-1].analysis
    assert analysis is not None
    return {
        "steps": [step.name for step in steps],
        "warnings": [warning.message for warning in analysis.warnings if warning.code.startswith("gpu")],
        "liver_ml": analysis.organs.liver_ml,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
