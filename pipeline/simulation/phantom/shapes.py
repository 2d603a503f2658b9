"""Smooth implicit shapes in patient space, the building blocks of the phantom.

A shape is a *level* array in mm: positive inside, zero on the surface, negative outside, and close to the distance
where it matters, near the surface. Arrays are indexed (z, y, x), float32. Points and half axes are (x, y, z) in mm in
patient axes (LPS): +x to the patient's left, +y posterior, +z superior; the origin is the body's centre line at the top
of the liver's dome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.simulation.fields import Array, Box


@dataclass(frozen=True)
class Grid:
    """A regular grid and the position of every voxel in the phantom's own (undeformed) space."""

    x: Array
    """x of every voxel, (z, y, x) mm, including the subject's own smooth deformation."""
    y: Array
    z: Array
    first_mm: tuple[float, float, float]
    """Position (x, y, z) of voxel [0, 0, 0] before the deformation, mm."""
    step_mm: tuple[float, float, float]
    """Voxel spacing (x, y, z), mm."""

    @property
    def shape(self) -> tuple[int, int, int]:
        nz, ny, nx = self.x.shape
        return (nz, ny, nx)

    def box(self, centre: Array, half: Array, margin_mm: float = 14.0) -> Box:
        """The part of the grid that can contain a shape of these half axes, allowing for the deformation.

        Args:
            centre, half: (3,) x, y, z, mm.
        """
        first, step = np.array(self.first_mm), np.array(self.step_mm)
        low = np.floor((np.asarray(centre) - half - margin_mm - first) / step).astype(int)
        high = np.ceil((np.asarray(centre) + half + margin_mm - first) / step).astype(int) + 1
        limits = np.array(self.shape[::-1])
        low, high = np.clip(low, 0, limits), np.clip(high, 0, limits)
        return (slice(low[2], high[2]), slice(low[1], high[1]), slice(low[0], high[0]))

    def part(self, box: Box) -> Grid:
        """The grid restricted to a box."""
        first = tuple(f + (b.start or 0) * s for f, b, s in zip(self.first_mm, box[::-1], self.step_mm, strict=True))
        return Grid(self.x[box], self.y[box], self.z[box], (first[0], first[1], first[2]), self.step_mm)


def ellipsoid(
    x: Array, y: Array, z: Array, centre: Sequence[float] | Array, half: Sequence[float] | Array, power: float = 2.0
) -> Array:
    """Level of a superellipsoid, with the distance along the radius.

    Args:
        x, y, z: positions, mm.
        centre, half: centre and half axes (x, y, z), mm.
        power: 2 is an ellipsoid, more is closer to a box.
    """
    # Plain floats: numpy scalars would turn the whole computation into float64.
    cx, cy, cz = (float(c) for c in centre)
    half = [float(h) for h in half]
    dx, dy, dz = x - cx, y - cy, z - cz
    if power == 2.0:
        r = np.sqrt((dx / half[0]) ** 2 + (dy / half[1]) ** 2 + (dz / half[2]) ** 2)
    else:
        r = (np.abs(dx / half[0]) ** power + np.abs(dy / half[1]) ** power + np.abs(dz / half[2]) ** power) ** (
            1 / power
        )
    length = np.sqrt(dx**2 + dy**2 + dz**2)
    return (length / np.maximum(r, 1e-3) * (1 - r)).astype(np.float32)


def ellipse(x: Array, y: Array, centre: tuple[float, float], half: tuple[Any, Any], power: float = 2.0) -> Array:
    """Level of a superelliptic cylinder along z, with the distance along the radius; half axes may differ by voxel."""
    dx, dy = x - centre[0], y - centre[1]
    r = (np.abs(dx / half[0]) ** power + np.abs(dy / half[1]) ** power) ** (1 / power)
    length = np.sqrt(dx**2 + dy**2)
    return (length / np.maximum(r, 1e-3) * (1 - r)).astype(np.float32)


def join(a: Array, b: Array, blend_mm: float) -> Array:
    """Union of two shapes with a fillet of about ``blend_mm``."""
    h = np.maximum(blend_mm - np.abs(a - b), 0) / blend_mm
    return np.maximum(a, b) + h * h * (blend_mm / 4)


def cut(a: Array, b: Array, blend_mm: float) -> Array:
    """Intersection of two shapes with an edge rounded by about ``blend_mm``."""
    return -join(-a, -b, blend_mm)


def cover(level: Array, softness_mm: float = 1.2) -> Array:
    """Share of each voxel that a shape fills, 0-1: a linear ramp across the surface, like a partial volume."""
    return np.clip(level / softness_mm + np.float32(0.5), 0, 1)


def tube(grid: Grid, points: Array, radii: Array) -> tuple[Box, Array]:
    """Box and level of a chain of balls.

    The grid's deformation is not applied, since the points follow the deformed anatomy.

    Args:
        points: (n, 3) x, y, z, mm.
        radii: (n,) mm.
    """
    reach = float(radii.max()) + 2.5
    box = grid.box((points.min(0) + points.max(0)) / 2, (points.max(0) - points.min(0)) / 2, margin_mm=reach)
    axes = [
        np.float32(grid.first_mm[a]) + np.arange(s.start, s.stop, dtype=np.float32) * np.float32(grid.step_mm[a])
        for a, s in zip((2, 1, 0), box, strict=True)
    ]
    level = np.full([len(a) for a in axes], -2.5, np.float32)
    if level.size == 0:
        return box, level
    first, step = np.array([a[0] for a in axes]), np.array(grid.step_mm[::-1])
    for point, radius in zip(points[:, ::-1].astype(np.float32), radii.astype(np.float32), strict=True):
        low = np.clip(((point - radius - 2.5 - first) // step).astype(int), 0, level.shape)
        high = np.clip(((point + radius + 2.5 - first) // step).astype(int) + 2, 0, level.shape)
        z, y, x = (a[i:j] - p for a, i, j, p in zip(axes, low, high, point, strict=True))
        ball = radius - np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
        part = level[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
        np.maximum(part, ball, out=part)
    return box, level
