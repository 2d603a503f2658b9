"""One way to segment or analyse one volume, in a process of its own: ``python -m benchmarks.one_run WAY IMAGE LABEL``.

Prints JSON: seconds to import and load, of the first run and of each further one, the most memory that the process ever
held in GB of 10^9 bytes, and the liver's Dice against the label.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.machine import run_module

WAYS = ("analyze", "segment", "exact", "nnunet", "nnunet_mirrored")
LIVER_OF = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Run:
    """What a process measured."""

    load_s: float
    first_s: float
    warm_s: list[float]
    """Empty where it ran once."""
    memory_gb: float
    dice: float
    stages: list[dict[str, float]]
    """Seconds by stage of each warm analysis."""


def run(way: str, files: tuple[Path, Path], warm: int) -> Run:
    """Measure ``way`` of ``WAYS`` on an image and its label in a new process, ``warm`` times after the first run."""
    return Run(**json.loads(run_module("benchmarks.one_run", way, *map(str, files), "--warm", str(warm))))


def main(
    way: Annotated[str, typer.Argument(help=", ".join(WAYS))],
    image: Path,
    label: Path,
    warm: Annotated[int, typer.Option(help="Runs after the first.")] = 0,
) -> None:
    """Measure and print."""
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory(prefix="fibroreview-") as folder:
        stages: list[dict[str, float]] = []
        liver = prepared(way, image, Path(folder), stages)
        load_s = time.perf_counter() - start
        seconds = []
        for _ in range(1 + warm):
            start = time.perf_counter()
            found = liver()
            seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    measured = Run(load_s, seconds[0], seconds[1:], peak, against(found, label), stages[1:])
    typer.echo(json.dumps(asdict(measured)))


def prepared(way: str, image: Path, folder: Path, stages: list[dict[str, float]]) -> LIVER_OF:
    """Load models and image; returns what is timed, which gives the liver (z, y, x) in LPS."""
    import torch

    from models import registry
    from pipeline.analysis import analyze, load_models
    from pipeline.intake import open_upload, read_series
    from pipeline.segmentation import Segmenter, segment

    study = open_upload(image, folder / "study")
    key = study.series[0].key
    volume = read_series(study, key)
    if way == "analyze":
        loaded = load_models(device="cpu")

        def analysed() -> np.ndarray:
            analysis = analyze(study, key, loaded)
            stages.append(dict(analysis.timings_s))
            return analysis.organs.liver

        return analysed
    segmenter = Segmenter(registry.find("liver_t2", "segmenter"), torch.device("cpu"), way == "exact")
    if way.startswith("nnunet"):
        return nnunet(segmenter, volume.voxels, volume.spacing_mm_xyz, mirrored=way == "nnunet_mirrored")
    return lambda: segment(volume, segmenter).liver


def nnunet(segmenter: object, voxels: np.ndarray, spacing_mm_xyz: tuple[float, ...], *, mirrored: bool) -> LIVER_OF:
    """nnU-Net's own predictor, as it ships, with the weights of ``segmenter``."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    from pipeline.case import LIVER
    from pipeline.segmentation import Segmenter

    assert isinstance(segmenter, Segmenter)
    ours = segmenter.predictor
    settings = ours.configuration_manager
    network = get_network_from_plans(
        settings.network_arch_class_name,
        settings.network_arch_init_kwargs,
        settings.network_arch_init_kwargs_req_import,
        1,
        ours.label_manager.num_segmentation_heads,
        deep_supervision=False,
    )
    predictor = nnUNetPredictor(use_mirroring=mirrored, device=torch.device("cpu"), allow_tqdm=False)
    states = [{name: value.contiguous() for name, value in state.items()} for state in segmenter.states]
    predictor.manual_initialization(
        network, ours.plans_manager, settings, states, ours.dataset_json, "nnUNetTrainer", (0, 1, 2)
    )
    image = np.ascontiguousarray(voxels[None], np.float32)
    properties = {"spacing": list(spacing_mm_xyz[::-1])}

    def liver() -> np.ndarray:
        labels = predictor.predict_single_npy_array(image, dict(properties), None, None, False)
        return np.asarray(labels) == segmenter.labels[LIVER]

    return liver


def against(found: np.ndarray, label: Path) -> float:
    """Dice of the liver against that of a label file."""
    import SimpleITK as sitk

    from pipeline.case import LIVER
    from pipeline.statistics.overlap import dice

    truth = sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(label)), "LPS"))
    return dice(found, truth == LIVER)


if __name__ == "__main__":
    typer.run(main)
