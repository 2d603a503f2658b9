"""Which corrupted images of a case are predicted, and by which member."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from models.registry import ModelFolder
from pipeline.simulation import corruptions

UNCORRUPTED = "none"
SEVERITIES = (0.35, 0.7, 1.0)


@dataclass(frozen=True)
class CorruptionPlan:
    """Which predictions to make of each case, besides that of the uncorrupted image."""

    per_corruption: int = 1
    """Severities per corruption, 1 to 3: with the uncorrupted image 12, 23 or 34 predictions a case."""
    pairs: int = 0
    """Further predictions, each under two corruptions at once."""
    without: Collection[str] = ()
    """Splits of a manifest that are left out."""


SINGLE_CORRUPTIONS = CorruptionPlan()


@dataclass(frozen=True)
class PlannedPrediction:
    """One prediction to make."""

    case: str
    anatomy: str
    member: str
    """The member that predicts; it has not seen the anatomy."""
    corruption: str
    severity: float


def plan_predictions(
    cases: Mapping[str, ModelFolder], anatomy_of: Mapping[str, str], plan: CorruptionPlan
) -> list[PlannedPrediction]:
    """Every case uncorrupted and as ``plan`` says, ordered by member and case.

    With fewer than all, severities are dealt out in turn, so that each corruption is measured at each severity by about
    as many cases. Pairs of corruptions are drawn for each case, the worst severity and the next in turn.

    Args:
        cases: the model with the members that have not seen the case; where there are several, cases take turns.
    """
    planned = []
    for number, (case, unseen) in enumerate(cases.items()):
        member, anatomy = unseen.members[number % len(unseen.members)], anatomy_of[case]
        planned.append(PlannedPrediction(case, anatomy, member, UNCORRUPTED, 0.0))
        for place, name in enumerate(corruptions.NAMES):
            dealt = [SEVERITIES[(number + place + turn) % len(SEVERITIES)] for turn in range(plan.per_corruption)]
            planned += [PlannedPrediction(case, anatomy, member, name, severity) for severity in sorted(dealt)]
        rng = np.random.default_rng(zlib.crc32(case.encode()))
        for turn, pair in enumerate(rng.choice(list(combinations(corruptions.NAMES, 2)), plan.pairs, replace=False)):
            severity = SEVERITIES[-1 - turn % 2]
            planned.append(PlannedPrediction(case, anatomy, member, corruptions.AND.join(pair), severity))
    return sorted(planned, key=lambda one: (one.member, one.case))  # each member is loaded once
