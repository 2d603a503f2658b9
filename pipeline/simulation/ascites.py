"""Ascites of a supine patient: free fluid where it settles first, with smooth edges.

The fluid is a level set in mm, the union of four spaces: Morison's pouch between liver and right kidney, the
perihepatic and perisplenic spaces, and the paracolic gutters. It lies behind and at the sides first; more fluid also
covers the liver's front. Beside liver and spleen it takes the place of their outer layer, since the organs shrink away
from the wall; it never enters the kidneys, and keeps away from them.

Arrays are (z, y, x); z runs from the feet to the head, y to the back, x to the patient's left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipeline.case import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN
from pipeline.simulation.body import skin_depth
from pipeline.simulation.fibrosis_signs import FibrosisSigns
from pipeline.simulation.fields import Array, padded_box, signed_distance, smooth_field

FAR_MM = 60.0
"""Distance beyond which nothing is computed."""
GAP_MM = 9.0
"""Widest gap between an organ and the wall that fluid fills."""
PERIRENAL_MM = 4.0
"""Thickness of the fat around a kidney that fluid does not enter."""
BINS = 48
"""Sectors around the body's axis in which the depth of the abdominal wall is measured."""


@dataclass(frozen=True)
class _Abdomen:
    """What the spaces are defined by, on the case's grid."""

    labels: Array
    spacing_mm_zyx: Array
    angle: Array
    """(y, x) direction from the body's axis, radians: 0 the patient's left, pi / 2 the back, pi the right."""
    cavity_mm: Array
    """(z, y, x) depth below the abdominal wall's inner surface, mm; negative within the wall."""
    kidney_mm: Array
    """(z, y, x) distance from the nearest kidney, mm, at most ``FAR_MM``."""
    right_kidney_mm: Array


def add_ascites(
    image: Array, labels: Array, signs: FibrosisSigns, spacing_mm_zyx: Array, rng: np.random.Generator
) -> Array:
    """Add fluid of a greatest depth of about ``signs.ascites_mm`` to image and labels, in place.

    Returns:
        Share of fluid in every voxel, (z, y, x) float32, 0-1. Where it exceeds a half the label becomes background.
    """
    if not signs.ascites_mm or not (labels == LIVER).any():
        return np.zeros(image.shape, np.float32)
    abdomen = _abdomen(image, labels, spacing_mm_zyx)
    uneven = 1 + 0.35 * smooth_field(rng, image.shape, spacing_mm_zyx, 45)
    nodular = 0.6 * signs.surface_mm * smooth_field(rng, image.shape, spacing_mm_zyx, max(5.0, signs.nodule_mm))
    level = np.full(image.shape, -FAR_MM, np.float32)
    for organ, share in ((LIVER, 1.0), (SPLEEN, 0.6)):
        mask = labels == organ
        if mask.any():
            _raise_to(level, *_around_organ(abdomen, mask, share * signs.ascites_mm, uneven, nodular))
    level = np.maximum(level, _gutters(abdomen, signs.ascites_mm * uneven))
    level = ndimage.gaussian_filter(level, (0, *(2.0 / spacing_mm_zyx[1:])))
    fluid = np.clip(level / np.float32(1.6 * spacing_mm_zyx[1]) + 0.5, 0, 1)
    fluid *= ~np.isin(labels, (RIGHT_KIDNEY, LEFT_KIDNEY))
    bright = np.percentile(image, 99.3) * rng.uniform(0.85, 1.1)
    image += fluid * (np.float32(bright) - image)
    labels[fluid > 0.5] = 0
    return fluid


def _raise_to(level: Array, box: tuple[slice, slice, slice], part: Array) -> None:
    level[box] = np.maximum(level[box], part)


def _abdomen(image: Array, labels: Array, spacing_mm_zyx: Array) -> _Abdomen:
    organs = np.isin(labels, (LIVER, SPLEEN))
    skin = skin_depth(image, spacing_mm_zyx)
    inside = (skin > 0).any(0)
    centre = np.argwhere(inside).mean(0)
    y, x = (np.arange(n) for n in labels.shape[1:])
    angle = np.arctan2((y - centre[0])[:, None] * spacing_mm_zyx[1], (x - centre[1])[None] * spacing_mm_zyx[2]).astype(
        np.float32
    )
    radius = np.hypot((y - centre[0])[:, None] * spacing_mm_zyx[1], (x - centre[1])[None] * spacing_mm_zyx[2])
    wall = _by_direction(skin, organs, angle, 0.02)
    reach = -_by_direction(-radius, organs, angle, 0.005)
    cavity = np.minimum(skin - wall, reach + 2 - radius)
    kidneys = [_distance(labels == value, spacing_mm_zyx) for value in (RIGHT_KIDNEY, LEFT_KIDNEY)]
    return _Abdomen(labels, spacing_mm_zyx, angle, cavity, np.minimum(*kidneys), kidneys[0])


def _distance(mask: Array, spacing_mm_zyx: Array) -> Array:
    """Distance (z, y, x) in mm from a mask, computed near it and ``FAR_MM`` elsewhere."""
    result = np.full(mask.shape, FAR_MM, np.float32)
    if mask.any():
        box = padded_box(mask, spacing_mm_zyx, FAR_MM / 2)
        result[box] = np.minimum(ndimage.distance_transform_edt(~mask[box], spacing_mm_zyx), FAR_MM)
    return result


def _by_direction(values: Array, organs: Array, angle: Array, share: float) -> Array:
    """Low quantile of values (z, y, x) within the organs in each direction (y, x), interpolated where there is none.

    Of the depth below the skin it is the thickness of the abdominal wall, which the organs touch.
    """
    sector = ((angle + np.pi) / (2 * np.pi) * BINS).astype(int) % BINS
    levels = np.flatnonzero(organs.any((1, 2)))
    lower = organs & (np.arange(len(organs)) <= np.quantile(levels, 0.7))[:, None, None]
    _, y, x = np.nonzero(lower)
    at, found = sector[y, x], np.broadcast_to(values, organs.shape)[lower]
    lowest = np.array([np.quantile(found[at == k], share) if (at == k).sum() > 20 else np.nan for k in range(BINS)])
    known = np.flatnonzero(np.isfinite(lowest))
    if not known.size:
        return np.zeros(angle.shape, np.float32)
    filled = np.interp(np.arange(BINS), known, lowest[known], period=BINS)
    smooth = ndimage.gaussian_filter1d(ndimage.minimum_filter1d(filled, 5, mode="wrap"), 2.0, mode="wrap")
    middles = (np.arange(BINS) + 0.5) * 2 * np.pi / BINS - np.pi
    return np.interp(angle, middles, smooth, period=2 * np.pi).astype(np.float32)


def _around_organ(
    abdomen: _Abdomen, mask: Array, depth_mm: float, uneven: Array, nodular: Array
) -> tuple[tuple[slice, slice, slice], Array]:
    """Fluid beside liver or spleen, within the box that is returned first: at the wall, and towards the right kidney.

    Inwards it ends at the organ's smooth hull less the fluid's depth there, outwards at the wall or the renal fat.
    """
    spacing = abdomen.spacing_mm_zyx
    box = padded_box(mask, spacing, 16)
    inside, kidney = mask[box], abdomen.right_kidney_mm[box]
    raw = signed_distance(inside, spacing).astype(np.float32)
    hull = ndimage.gaussian_filter(raw, (0.5, *(5 / spacing[1:])))
    facing = _facing_the_wall(hull, abdomen.angle[box[1:]], spacing)
    cavity, renal = abdomen.cavity_mm[box], abdomen.kidney_mm[box] - PERIRENAL_MM
    free = (abdomen.labels[box] == 0) | inside
    near_wall = np.clip((60 - cavity) / 25, 0, 1)
    at_wall = depth_mm * facing * near_wall * _dependent(inside, depth_mm)
    at_kidney = 0.9 * depth_mm * np.clip((24 - kidney) / 14, 0, 1) * _within_levels(kidney == 0)
    levels = []
    for depth, outer in (
        (at_wall, np.minimum(np.minimum(cavity, renal), hull + GAP_MM)),
        (at_kidney, np.minimum(np.minimum(cavity, renal), hull + 0.6 * GAP_MM)),
    ):
        depth = depth * uneven[box]
        inner = depth + nodular[box] * np.clip(depth / 3, 0, 1) - hull
        part = np.minimum(np.minimum(inner, np.maximum(raw, outer)), 3 * depth - 2)
        levels.append(np.where(free, part, -FAR_MM))
    return box, np.maximum(*levels)


def _facing_the_wall(hull: Array, angle: Array, spacing_mm_zyx: Array) -> Array:
    """Weight (z, y, x), 0-1, of an organ's surface that looks away from the body's axis, its bare back excepted."""
    slope = np.gradient(hull, *spacing_mm_zyx[1:], axis=(1, 2))
    length = np.hypot(*slope) + 0.2
    outwards = -(slope[0] * np.sin(angle) + slope[1] * np.cos(angle)) / length
    back = np.abs(np.arctan2(np.cos(angle), np.sin(angle)))  # radians from straight behind
    weight = np.clip((outwards - 0.25) / 0.4, 0, 1) * np.clip((back - 0.4) / 0.7, 0, 1)
    return ndimage.gaussian_filter(weight, (0, *(4 / spacing_mm_zyx[1:])))


def _within_levels(mask: Array) -> Array:
    """Weight (z, 1, 1) of the slices that show a mask, a third as much in the next ones."""
    shown = mask.any((1, 2)).astype(np.float32)
    return np.maximum(shown, 0.33 * ndimage.maximum_filter1d(shown, 3))[:, None, None]


def _dependent(inside: Array, depth_mm: float) -> Array:
    """Share (y, 1) of the full depth by height above the couch: fluid fills from behind."""
    rows = np.flatnonzero(inside.any((0, 2)))
    height = (rows[-1] - np.arange(inside.shape[1])) / max(len(rows), 1)  # 0 at the organ's back, 1 at its front
    filled = np.clip(depth_mm / 11, 0.25, 1.2)
    return np.clip((filled - height) / 0.5 + 0.25, 0, 1)[:, None].astype(np.float32)


def _gutters(abdomen: _Abdomen, depth_mm: Array) -> Array:
    """Fluid (z, y, x) along the posterolateral wall beside and below liver and spleen, as a level set in mm."""
    level = np.full(abdomen.labels.shape, -FAR_MM, np.float32)
    off_midline = np.abs(abdomen.angle - np.pi / 2)  # radians from straight behind
    z = np.arange(len(level))[:, None, None] * abdomen.spacing_mm_zyx[0]
    for organ, direction in ((LIVER, np.pi * 0.88), (SPLEEN, np.pi * 0.12)):
        levels = np.flatnonzero((abdomen.labels == organ).any((1, 2))) * abdomen.spacing_mm_zyx[0]
        if not levels.size:
            continue
        below = np.clip((np.quantile(levels, 0.35) - z) / 25, 0, 1)
        beside = np.exp(-(((abdomen.angle - direction) / 0.36) ** 2)) * np.clip((off_midline - 0.75) / 0.5, 0, 1)
        depth = 1.5 * depth_mm * below * beside
        part = np.minimum(depth - abdomen.cavity_mm, abdomen.cavity_mm)
        level = np.maximum(level, np.minimum(part, 3 * depth - 4))
    level = np.minimum(level, abdomen.kidney_mm - 1.5 * PERIRENAL_MM)
    return np.where(abdomen.labels == 0, level, -FAR_MM).astype(np.float32)
