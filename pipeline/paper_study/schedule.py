"""How long the rest of a study takes, by what its steps have taken so far."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

REFERENCE_SECONDS = {
    "simulate": 1500.0,
    "segment": 3600.0,
    "train resnet": 600.0,
    "train densenet121": 900.0,
    "train swin_tiny": 900.0,
    "train texture": 120.0,
    "evaluate": 600.0,
}
"""Rough times of the size ``cpu``, until there are measured ones; other networks take as long as ``resnet``."""


def expected_seconds(steps: Iterable[str], seconds: Mapping[str, float]) -> float:
    """Expected time of steps that are to be done.

    A step takes the mean of what it took at other seeds; one that is new takes its reference, times how much longer
    than their references the finished steps have taken here.

    Args:
        steps: names as in ``seconds``.
        seconds: of the finished steps.
    """
    known: dict[str, list[float]] = defaultdict(list)
    for step, taken in seconds.items():
        known[_kind(step)].append(taken)
    means = {kind: sum(taken) / len(taken) for kind, taken in known.items()}
    pace = sum(means.values()) / sum(map(_reference, means)) if sum(means.values()) else 1.0
    return sum(means.get(kind, pace * _reference(kind)) for kind in map(_kind, steps))


def _kind(step: str) -> str:
    """``train resnet`` of ``train resnet_seed2``."""
    return re.sub(r"_seed\d+$", "", step)


def _reference(kind: str) -> float:
    verb = kind.split()[0]
    return REFERENCE_SECONDS.get(kind) or REFERENCE_SECONDS.get(verb) or REFERENCE_SECONDS["train resnet"]
