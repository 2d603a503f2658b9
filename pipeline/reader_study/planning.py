"""Size of a study from a pilot: the results of ``mrmc`` or of ``study report``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from pipeline.errors import ReadingsError
from pipeline.statistics.mrmc_power import Pilot, cases_needed, power
from pipeline.statistics.obuchowski_rockette import Covariances, VarianceComponents
from pipeline.statistics.reader_figures import FigureOfMerit

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Cases(BaseModel):
    positive: Annotated[int, Field(ge=1)]
    negative: Annotated[int, Field(ge=1)]


class _Covariances(BaseModel):
    var: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    cov1: Finite
    cov2: Finite
    cov3: Finite


class _Components(BaseModel):
    reader: Finite
    reader_modality: Finite


class _Results(BaseModel):
    """What planning needs of a multi-reader analysis in JSON."""

    fom: FigureOfMerit
    readers: Annotated[list[str], Field(min_length=2)]
    modalities: Annotated[list[str], Field(min_length=2)]
    cases: _Cases
    cov: _Covariances
    variance_components: _Components


@dataclass(frozen=True)
class PilotStudy:
    """A pilot with what it measured."""

    fom: FigureOfMerit
    readers: int
    positives: int
    negatives: int
    pilot: Pilot


@dataclass(frozen=True)
class PlanRow:
    """What a number of readers reaches."""

    readers: int
    powers: tuple[float, ...]
    """Power by number of cases."""
    cases_needed: int | None
    """Fewest cases for the wanted power; None where no number reaches it."""


def read_pilot(file: Path) -> PilotStudy:
    """Read ``mrmc``'s JSON, or a report's ``results.json``, whose primary analysis is taken.

    Raises:
        ReadingsError: the file is neither, or its variances are not estimable (one reader, one arm).
    """
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReadingsError("The pilot cannot be read; name the JSON of `mrmc` or of `study report`.") from error
    if isinstance(content, dict) and "primary" in content:
        content = content["primary"]
    try:
        found = _Results.model_validate(content)
    except ValidationError as error:
        raise ReadingsError(
            "The pilot has no variances to plan from: it needs an analysis of at least two readers who read cases in "
            "two arms, as `mrmc` or `study report` writes it."
        ) from error
    cov, parts = found.cov, found.variance_components
    pilot = Pilot(
        VarianceComponents(parts.reader, parts.reader_modality),
        Covariances(cov.var, cov.cov1, cov.cov2, cov.cov3),
        found.cases.positive + found.cases.negative,
    )
    return PilotStudy(found.fom, len(found.readers), found.cases.positive, found.cases.negative, pilot)


def plan(pilot: Pilot, difference: float, readers: Sequence[int], cases: Sequence[int], wanted: float) -> list[PlanRow]:
    """Power of the test with random readers and cases at 0.05, by readers and cases.

    Raises:
        ReadingsError: fewer than two readers or four cases, or nothing to plan from.
    """
    if not 0 < abs(difference) < 1 or not 0.05 < wanted < 1:
        raise ReadingsError("The difference must lie between 0 and 1, and the power between 0.05 and 1.")
    return [
        PlanRow(
            count,
            tuple(power(pilot, difference, count, n).power for n in cases),
            _needed(pilot, difference, count, wanted),
        )
        for count in readers
    ]


def _needed(pilot: Pilot, difference: float, readers: int, wanted: float) -> int | None:
    try:
        return cases_needed(pilot, difference, readers, wanted=wanted)
    except ReadingsError:  # no number of cases is enough
        return None
