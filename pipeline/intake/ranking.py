"""Which series is likely the axial T2 of the liver, and why: one sentence that the picker shows."""

from __future__ import annotations

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
    doubts = _doubts(plane, stack)
    y, x = first.spacing_mm_yx
    return Series(
        key=key,
        plane=plane,
        slices=len(stack),
        spacing_mm_xyz=(x, y, geometry.step_mm),
        echo_time_ms=first.echo_ms,
        weighting=first.weighting,
        likely=not doubts,
        why=_because(stack) if not doubts else f"Less likely: {'; '.join(doubts)}.",
    )


def order(series: list[Series]) -> tuple[Series, ...]:
    """The best first: likely ones, then axial, T2, with more slices; equal ones as they came."""

    def rank(s: Series) -> tuple[int, ...]:
        doubts = 0 if s.likely else s.why.count(";") + 1
        return (doubts, s.plane != "axial", s.weighting != "T2", -s.slices)

    return tuple(sorted(series, key=rank))


def _because(stack: Stack) -> str:
    echo = "" if stack[0].echo_ms is None else f", echo time {stack[0].echo_ms:.0f} ms"
    return f"Likely the axial T2: axial slices, T2-weighted by its header{echo}, {len(stack)} slices."


def _doubts(plane: str, stack: Stack) -> list[str]:
    first = stack[0]
    low, high = words.T2_ECHO_MS
    doubts = []
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
    return doubts
