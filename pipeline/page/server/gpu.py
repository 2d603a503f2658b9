"""Where the networks of an analysis run: on this machine, or on the GPU that ZeroGPU lends to a Space by the call.

ZeroGPU forks a worker for the call, pickles its arguments into it and its values out of it, and takes the GPU away
after the time that was asked for. So the models are loaded before the page is up, on the CPU, for every worker to
inherit; a worker moves them to its GPU (33 MB); the volume goes in, steps come out, and at last what was found. An
error comes out as a value, since a raised one would lose its sentence. Where no GPU is lent, the same models run on
the Space's processor, and the analysis says so. Reading the images and writing the report take none of the GPU's time.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import gradio as gr
import httpx
import numpy as np

from pipeline.case import CaseWarning, OrganMask, Step, Study, Volume
from pipeline.errors import Cancelled, GpuError, PipelineError

if TYPE_CHECKING:  # torch takes seconds to import, and the page is up before
    from pipeline.analysis import Found, Models

Analyse = Callable[[Study, str, Callable[[], bool]], Iterator[Step]]
"""``analyze_steps`` with its models bound: (study, series key, cancelled) -> steps, the last with the analysis."""
Reclassify = Callable[[Volume, OrganMask, np.ndarray, Callable[[], bool]], Iterator[Step]]
"""``reclassify_steps`` with its models bound: (volume, organs, corrected liver, cancelled) -> steps, as ``Analyse``."""
log = logging.getLogger(__name__)

LENT = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
"""Whether this is a Space on ZeroGPU."""
LONGEST_S = 60
"""Seconds that one call may ask for. A visitor without an account has 120 a day, with a free one 300."""
START_S = 10.0
"""Seconds for the worker, its GPU and the first use of it; an estimate."""
PER_MILLION_VOXELS_S, PER_NETWORK_AND_LITRE_S = 1.5, 0.023
"""Seconds for what stays on the processor, and for the networks: what one core of a processor was measured to take
(1.45 and 6.0 s for 1.1 million voxels, 22 litres and 12 networks), so that a GPU is done before."""


class Choice(NamedTuple):
    """Names of a segmenter and a classifier, as ``models.registry.names`` lists them."""

    segmenter: str
    classifier: str


@dataclass(frozen=True)
class BoundModels:
    """Loaded models, bound to the place where they run. Called, they analyse a series."""

    analyse: Analyse
    reclassify: Reclassify

    def __call__(self, study: Study, key: str, cancelled: Callable[[], bool]) -> Iterator[Step]:
        return self.analyse(study, key, cancelled)


_loaded: dict[Choice, Models] = {}
"""On ZeroGPU: the models on the CPU. A worker inherits what was loaded before it was forked."""
_moved: dict[Choice, Models] = {}
"""In a worker: the models on its GPU."""


def bind(choice: Choice, *, any_input: bool = False) -> BoundModels:
    """Load these models for the place where they run. A corrected mask is classified on this machine, which takes
    seconds on a processor: no visitor's GPU time is spent on it.

    Raises:
        ModelError: a model is missing, damaged or of another kind.
    """
    from pipeline.analysis import analyze_by, analyze_steps, load_models
    from pipeline.reclassify import reclassify_steps

    models = load_models(*choice, device="cpu") if LENT else load_models(*choice)

    def analyse(study: Study, key: str, cancelled: Callable[[], bool]) -> Iterator[Step]:
        if LENT:
            return analyze_by(study, key, partial(lent_steps, choice, any_input=any_input), cancelled)
        return analyze_steps(study, key, models, cancelled, any_input=any_input)

    def reclassify(
        volume: Volume, organs: OrganMask, liver: np.ndarray, cancelled: Callable[[], bool]
    ) -> Iterator[Step]:
        return reclassify_steps(volume, organs, liver, models, cancelled, any_input=any_input)

    if LENT:
        _loaded[choice] = models
    return BoundModels(analyse, reclassify)


def lent_steps(
    choice: Choice, volume: Volume, cancelled: Callable[[], bool], *, any_input: bool = False
) -> Generator[Step, None, Found]:
    """``find_steps`` on a lent GPU; on this processor, with a warning, where none is lent or it fails.

    Raises:
        Cancelled: ``cancelled()`` was true; the worker ends at its next step.
        PipelineError: as ``find_steps``.
    """
    from pipeline.analysis import find_steps

    yield Step("Waiting for a GPU", 0.0)
    try:
        return (yield from _values(on_gpu(choice, volume, any_input), cancelled))
    except (gr.Error, GpuError, httpx.HTTPError, OSError, RuntimeError) as error:
        log.warning("No GPU was lent (%s).", type(error).__name__)
        warning = reason(error)
    yield Step(warning.message.rstrip("."), 0.0)
    found = yield from find_steps(volume, cancelled, _loaded[choice], any_input=any_input)
    return replace(found, warnings=(warning, *found.warnings))


def _values(
    call: Generator[Step | Found | PipelineError, None, None], cancelled: Callable[[], bool]
) -> Generator[Step, None, Found]:
    """The steps of a call, and what it found; its errors are raised here."""
    with closing(call) as values:
        for value in values:
            if isinstance(value, PipelineError):
                raise value
            if cancelled():
                raise Cancelled("The analysis was stopped.")
            if not isinstance(value, Step):
                return value
            yield value
    raise GpuError("The GPU was taken away before the analysis was done.")


def seconds_for(choice: Choice, volume: Volume, any_input: bool = False) -> int:
    """Seconds of GPU that an analysis asks for, from the volume's size and the number of networks.

    Only what is used counts against a visitor's quota, but whoever asks for more than he has left gets none.
    """
    models = _loaded[choice]
    networks = len(models.segmenter.states) + 3 * len(models.classifier.ensemble)
    millions = math.prod(volume.image.GetSize()) / 1e6
    litres = millions * math.prod(volume.spacing_mm_xyz)
    seconds = START_S + PER_MILLION_VOXELS_S * millions + PER_NETWORK_AND_LITRE_S * networks * litres
    return min(math.ceil(seconds), LONGEST_S)


def on_gpu(
    choice: Choice, volume: Volume, any_input: bool = False
) -> Generator[Step | Found | PipelineError, None, None]:
    """Run in the worker: the steps, then what was found or the error. Everything that goes in or out is pickled."""
    from pipeline.analysis import find_steps

    try:
        yield (yield from find_steps(volume, _never, _models(choice), any_input=any_input))
    except PipelineError as error:
        yield error


def _models(choice: Choice) -> Models:
    """The worker's models, without a way to the CPU, whose work would be counted as the GPU's."""
    from models.device import choose_device
    from pipeline.analysis import load_models

    if choice not in _moved:
        models = _loaded.get(choice) or load_models(*choice, device="cpu")
        models.move(choose_device("auto"))
        _moved[choice] = models
    return _moved[choice]


def _never() -> bool:
    return False


_QUOTA = re.compile(r"quota|GPU limit|runs limit|credits", re.IGNORECASE)
_AGAIN_IN = re.compile(r"Try again in ([\w:, ]+?)\.(?:\s|$)")


def reason(error: BaseException) -> CaseWarning:
    """Why no GPU was lent, from what ``spaces`` says: the visitor's time is used up, none was free, or a fault."""
    words = f"{getattr(error, 'title', '')}: {getattr(error, 'message', error)}"
    if "No GPU was available" in words:
        return CaseWarning("gpu_busy", f"No GPU was free: {_TAKES_OVER}.")
    if _QUOTA.search(words):
        again = _AGAIN_IN.search(words)
        when = f"; there is more in {again[1]} h" if again else "; there is more tomorrow"
        return CaseWarning("gpu_quota", f"The free GPU time of your account is used up{when}: {_TAKES_OVER}.")
    return CaseWarning("gpu_failed", f"The lent GPU failed: {_TAKES_OVER}.")


_TAKES_OVER = "the processor takes over, which takes longer"

if LENT:
    import spaces  # before CUDA is touched, which it demands

    on_gpu = spaces.GPU(on_gpu, duration=seconds_for)
