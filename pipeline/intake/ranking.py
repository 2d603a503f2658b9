"""Which series is likely the axial T2 of the liver: the doubts about each, and their order in the picker."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.case import Series
from pipeline.intake import weighting as words
from pipeline.intake.series import Stack, measure

MIN_LIKELY_SLICES = 12
REFORMATTED = {"MPR", "MIP", "MINIP", "PROJECTION IMAGE", "REFORMATTED", "SUBTRACTION", "SUB"}
"""Image types of series that were computed rather than acquired."""


def row(key: str, stack: Stack) -> Series:
    """The picker's row for a usable stack."""
    first, geometry = stack[0], measure(stack)
    assert first.spacing_mm_yx is not None  # a usable stack has one
    plane = words.plane_of(geometry.normal)
    y, x = first.spacing_mm_yx
    return Series(
        key=key,
        kind="dicom",
        plane=plane,
        slices=len(stack),
        pixel_mm=(x, y),
        slice_step_mm=geometry.step_mm,
        echo_time_ms=first.echo_ms,
        weighting=first.weighting,
        doubts=_doubts(plane, stack),
    )


def order(series: Sequence[Series]) -> tuple[Series, ...]:
    """Sort by ``rank``, the best first; equal ones keep their order."""
    return tuple(sorted(series, key=rank))


def rank(series: Series) -> tuple[int, ...]:
    """Sort key, smaller is better: fewer doubts, then axial, then T2, then more slices."""
    return (len(series.doubts), series.plane != "axial", series.weighting != "T2", -series.slices)


def _doubts(plane: str, stack: Stack) -> tuple[str, ...]:
    """Why this may not be an axial T2 series of the liver: clauses in order of weight."""
    first = stack[0]
    low, high = words.T2_ECHO_MS
    doubts: list[str] = []
    if plane != "axial":
        doubts.append(f"{plane}, not axial")
    if first.weighting == "unknown":
        doubts.append("the header does not say that it is T2-weighted")
    elif first.weighting != "T2":
        doubts.append(f"{first.weighting}, not T2-weighted")
    elif first.echo_ms is not None and not low <= first.echo_ms <= high:
        doubts.append(f"echo time {first.echo_ms:.0f} ms is unusual for T2 of the liver")
    if len(stack) < MIN_LIKELY_SLICES:
        doubts.append(f"only {len(stack)} slices")
    if first.other_body_part:
        doubts.append("another part of the body by its header")
    if REFORMATTED & set(first.kind):  # DERIVED alone says little: anonymising and compressing set it as well
        doubts.append("computed from other images")
    return tuple(doubts)
