"""The models of an analysis on their device; where a GPU fails, smaller tiles and then the CPU take over."""

from __future__ import annotations

import copy
import gc
import logging
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import NamedTuple

import torch

from models import registry
from models.device import choose_device, gpu_fault
from pipeline.case import Answer, CaseWarning, Step
from pipeline.classification import Classifier
from pipeline.errors import GpuError, ModelError
from pipeline.segmentation import Segmenter

log = logging.getLogger(__name__)

FAILED = "The GPU failed: the processor takes over, which takes longer; tell the site's administrator."
TOO_SMALL = "The GPU has too little memory for these images: the processor takes over, which takes longer."
IN_TILES = "The GPU has too little memory for these images at once: the liver is segmented in smaller parts."
_WARNINGS = {"gpu_failed": FAILED, "gpu_memory": TOO_SMALL, "gpu_tiles": IN_TILES}


@dataclass
class Models:
    """A segmenter and a classifier, loaded on one device."""

    segmenter: Segmenter
    classifier: Classifier
    load_on_cpu: Callable[[], Models] | None = field(default=None, repr=False)
    """Loads them on the CPU, where a GPU fails; None where that is not wanted."""
    gpu_failed: bool = False
    """Whether the GPU failed once: CUDA can then be used no more before the process starts anew."""

    @property
    def device(self) -> torch.device:
        return self.segmenter.device

    def by_tiles(self) -> Models:
        """The same networks; the segmenter predicts by tiles, which takes less memory."""
        segmenter = copy.copy(self.segmenter)
        segmenter.exact = True
        return replace(self, segmenter=segmenter)

    def move(self, device: torch.device) -> None:
        """Move the networks, in place."""
        self.segmenter.move(device)
        self.classifier.move(device)


def load_models(
    segmenter: str = "liver_t2", classifier: str = "fibrosis_t2", device: str = "auto", *, exact: bool = False
) -> Models:
    """Load by name or path; ``liver_t2/fold1`` names one member.

    Args:
        device: as ``choose_device`` takes it. A GPU that does not take the networks is logged and left out.
        exact: segment by overlapping tiles, as ``Segmenter`` says.

    Raises:
        ModelError: a model is missing, damaged or of another kind, or there is no such device.
    """
    chosen = choose_device(device)
    load = partial(_load, segmenter, classifier, exact)
    if chosen.type == "cpu":
        return load(chosen)
    on_cpu = cache(partial(load, torch.device("cpu")))
    try:
        return replace(load(chosen), load_on_cpu=on_cpu)
    except (RuntimeError, AssertionError) as error:
        if gpu_fault(error) is None:
            raise
        log.warning("The GPU took no networks (%s): the CPU is used.", type(error).__name__)
        return replace(on_cpu(), load_on_cpu=on_cpu, gpu_failed=True)


def _load(segmenter: str, classifier: str, exact: bool, device: torch.device) -> Models:
    return Models(
        Segmenter(registry.find(segmenter, "segmenter"), device, exact),
        Classifier(registry.find(classifier, "classifier"), device),
    )


class _Attempt(NamedTuple):
    models: Models
    warning: str
    """Code of the warning that comes with its result; empty for the first."""


def run_somewhere(
    models: Models, run: Callable[[Models], Generator[Step, None, Answer]]
) -> Generator[Step, None, tuple[Answer, tuple[CaseWarning, ...]]]:
    """Run on the models' device; after a fault of the GPU in smaller tiles, then on the CPU.

    Args:
        run: as often as it takes, from its beginning; equal results on every device but for rounding.

    Returns:
        The value of ``run``, and a warning where the first attempt was not the last.

    Raises:
        GpuError: the GPU failed, and the models have no way to the CPU.
        Whatever ``run`` raises that is no fault of a GPU.
    """
    attempt: _Attempt | None = _on_cpu(models, "gpu_failed") if models.gpu_failed else _Attempt(models, "")
    while attempt:
        if attempt.warning:
            yield Step(_WARNINGS[attempt.warning].split(":")[0] + ": starting again", 0.0)
        try:
            answer = yield from run(attempt.models)
            return answer, (CaseWarning(attempt.warning, _WARNINGS[attempt.warning]),) if attempt.warning else ()
        except (RuntimeError, AssertionError) as error:
            fault = gpu_fault(error)
            if fault is None or (attempt.models.device.type == "cpu"):
                raise
            log.warning("A fault of the GPU (%s, %s).", fault, type(error).__name__)
        # Outside the handler: its traceback holds the tensors that filled the memory.
        attempt = _next(models, attempt, fault)
    raise AssertionError("every attempt has a next one or raises")


def _next(models: Models, failed: _Attempt, fault: str) -> _Attempt:
    """What to try after a fault. Raises GpuError as ``run_somewhere``."""
    if fault == "memory":
        _free()
        if not failed.models.segmenter.exact:
            return _Attempt(models.by_tiles(), "gpu_tiles")
        return _on_cpu(models, "gpu_memory")
    models.gpu_failed = True
    return _on_cpu(models, "gpu_failed")


def _on_cpu(models: Models, warning: str) -> _Attempt:
    if models.load_on_cpu is None:
        raise GpuError(_WARNINGS[warning].split(":")[0] + ".")
    try:
        return _Attempt(models.load_on_cpu(), warning)
    except RuntimeError as error:
        raise ModelError(
            "The GPU failed, and the models cannot be loaded on the processor: restart the app."
        ) from error


def _free() -> None:
    gc.collect()
    with suppress(RuntimeError):
        torch.cuda.empty_cache()
