"""Group frames into stacks: which slices belong together, and what keeps a stack from being a regular MR volume."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.uid import (
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)

from pipeline.case import LeftOut
from pipeline.intake import weighting as words
from pipeline.intake.headers import Frame
from pipeline.intake.limits import grid_fault

MR_STORAGE = (MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage)
MIN_SLICES = 3
MIN_SIDE = 16
"""Pixels."""
ORIENTATION_TOLERANCE = 1e-3
"""Largest difference of direction cosines within a stack."""
JITTER = 0.05
"""Positions may be off by this share of the slice distance; a missing slice is off by all of it."""
PERPENDICULAR = 1e-3
"""1 - cos of the angle that the stack may lean off the slice normal (2.6 degrees), as highdicom allows."""

Stack = list[Frame]


@dataclass(frozen=True)
class Geometry:
    """A stack's positions along and across its slice normal."""

    depths_mm: np.ndarray
    """(slices,) position on the normal, ascending."""
    lean: float
    """1 - cos of the angle between the stack's own direction and the normal."""
    normal: np.ndarray
    """(3,) unit vector across the slices, LPS."""

    @property
    def step_mm(self) -> float:
        """Mean distance between slices; 0 for a single one."""
        return float(np.mean(np.diff(self.depths_mm))) if len(self.depths_mm) > 1 else 0.0


def group(frames: Sequence[Frame]) -> tuple[list[Stack], list[LeftOut]]:
    """Split an upload's frames into stacks that can be analysed and what is left out, each with its reason."""
    series: dict[Hashable, Stack] = defaultdict(list)
    for frame in _distinct(frames):
        series[frame.study_uid, frame.series_uid].append(frame)
    usable: list[Stack] = []
    left_out: list[LeftOut] = []
    for members in series.values():
        stacks = _split(members)
        faults = [fault(stack) for stack in stacks]
        if all(faults) and _orientations(members) > 1 and not localizer(members[0]) and is_mr(members[0]):
            left_out.append(LeftOut(describe(members), "its slices point in different directions"))
            continue
        usable += [stack for stack, reason in zip(stacks, faults, strict=True) if reason is None]
        left_out += [LeftOut(describe(stack), why) for stack, why in zip(stacks, faults, strict=True) if why]
    return usable, left_out


def fault(stack: Stack) -> str | None:
    """Why the stack is not a regular MR volume, as a clause ("a slice is missing"); None where it is one.

    The kind of image comes first; for other modalities than MR the fault of the geometry is named as well.
    """
    first = stack[0]
    if first.samples != 1:
        return "it holds colour images, not MR slices"
    wrong_geometry = geometry_fault(stack)
    if not is_mr(first):
        modality = first.modality if first.modality in words.MODALITIES else "another kind of image"
        kind = f"it is {modality}, not MR" if first.modality != "MR" else "it is a screen capture or other copy, not MR"
        return f"{kind}, and {wrong_geometry}" if wrong_geometry else kind
    if localizer(first):
        return "it is a localizer"
    if "MOSAIC" in first.kind:
        return "it is a mosaic, with many slices tiled into one image"
    return wrong_geometry


def geometry_fault(stack: Stack) -> str | None:
    """Why the slices do not form one regular stack, as a clause; None where they do."""
    first = stack[0]
    if any(f.position is None or f.orientation is None for f in stack) or not first.spacing_mm_yx:
        return "its headers do not say where the slices lie"
    if len(stack) < MIN_SLICES:
        return f"it has {('one slice', 'two slices')[len(stack) - 1]} only, and at least three are needed"
    if min(first.rows, first.columns) < MIN_SIDE:
        return "its images are too small for an MR series of the liver"
    if len({f.reference_uid for f in stack if f.reference_uid}) > 1:
        return "its slices do not share one frame of reference"
    geometry = measure(stack)
    steps = np.diff(geometry.depths_mm)
    if geometry.depths_mm[-1] - geometry.depths_mm[0] < 1e-2:
        return "all its slices lie at one position"
    size, step = (first.columns, first.rows, len(stack)), float(np.median(steps))
    if steps.min() < 0.1 * max(step, 1e-2):
        return "it has several images at the same position"
    if geometry.lean > PERPENDICULAR:
        return "its slices are shifted against each other, as by a tilted gantry"
    if wrong_grid := grid_fault(size, (*reversed(first.spacing_mm_yx), step)):
        return wrong_grid
    if np.abs(steps - geometry.step_mm).max() > JITTER * geometry.step_mm:
        missing = np.abs(steps / step - np.round(steps / step)).max() < 2 * JITTER and steps.max() > 1.5 * step
        return "a slice is missing, which leaves a gap" if missing else "the distance between its slices varies"
    return None


def measure(stack: Stack) -> Geometry:
    """Geometry of a stack whose frames all have position and orientation."""
    orientation = np.array(stack[0].orientation)
    normal = np.cross(orientation[:3], orientation[3:])
    normal /= np.linalg.norm(normal)
    positions = np.array([f.position for f in stack])
    depths = positions @ normal
    order = np.argsort(depths)
    along = positions[order[-1]] - positions[order[0]]
    length = float(np.linalg.norm(along))
    lean = 1 - float(along @ normal) / length if length > 0 else 0.0
    return Geometry(depths[order], lean, normal)


def is_mr(frame: Frame) -> bool:
    """Whether the frame is an MR image by its SOP class and modality."""
    return frame.sop_class in MR_STORAGE and frame.modality in ("MR", "")


def localizer(frame: Frame) -> bool:
    """Whether the header calls the frame a localizer."""
    return frame.weighting == "localizer"


def describe(stack: Stack) -> str:
    """Describe a stack in allow-listed words and numbers, for the list of what was left out."""
    first = stack[0]
    modality = first.modality if first.modality in words.MODALITIES | {"MR"} else "other"
    weighting = first.weighting if is_mr(first) and first.weighting not in ("unknown", "localizer") else ""
    images = f"{len(stack)} image{'s' * (len(stack) != 1)} of {first.columns} x {first.rows}"
    return " ".join(word for word in (modality, weighting, images) if word)


def _distinct(frames: Sequence[Frame]) -> list[Frame]:
    """Drop copies of the same slice: the same instance at the same place, as when a folder was zipped twice."""
    seen: dict[Hashable, Frame] = {}
    for number, frame in enumerate(frames):
        instance = (frame.sop_uid, frame.index, frame.position) if frame.sop_uid else number
        seen.setdefault((frame.series_uid, instance), frame)
    return list(seen.values())


def _split(members: Stack) -> list[Stack]:
    """One series may hold several stacks: other orientation, size, spacing, echo, time point or kind of image.

    Not by AcquisitionNumber: one stack may be taken in several breath-holds.
    """
    directions: list[tuple[float, ...]] = []
    stacks: dict[Hashable, Stack] = defaultdict(list)
    for frame in members:
        stacks[
            frame.sop_class,
            frame.modality,
            frame.rows,
            frame.columns,
            frame.samples,
            frame.kind,
            _rounded(frame.spacing_mm_yx, 4),
            _rounded((frame.echo_ms,), 2),
            frame.temporal,
            frame.b_value,
            _direction(frame, directions),
        ].append(frame)
    return list(stacks.values())


def _direction(frame: Frame, known: list[tuple[float, ...]]) -> int:
    """Index of the frame's orientation among those ``known``, within the tolerance; a new one is added."""
    if frame.orientation is None:
        return -1
    for number, direction in enumerate(known):
        if np.abs(np.subtract(direction, frame.orientation)).max() < ORIENTATION_TOLERANCE:
            return number
    known.append(frame.orientation)
    return len(known) - 1


def _orientations(members: Stack) -> int:
    known: list[tuple[float, ...]] = []
    return len(Counter(_direction(f, known) for f in members if f.orientation is not None))


def _rounded(values: Sequence[float | None] | None, digits: int) -> Hashable:
    return None if values is None else tuple(None if v is None else round(v, digits) for v in values)
