"""One phantom subject: random sizes and positions, and the outer anatomy that follows from them.

Ranges are population statistics of abdominal T2 series (body 265-315 mm wide and 205-260 mm deep at the liver, liver
145-215 mm tall, organ positions relative to the body's width, depth and the liver's height); no voxel of any real
volume is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.fields import Array, Box, smooth_field
from pipeline.simulation.phantom.shapes import Grid, cut, ellipse, ellipsoid, join


@dataclass(frozen=True)
class Subject:
    """Sizes in mm, volumes in mL.

    Relative positions: ``u`` is x in half body widths, ``v`` is y in half body depths, ``f`` is the distance below the
    liver's dome in liver heights.
    """

    width: float
    """Body width, mm."""
    depth: float
    """Body depth (anterior to posterior), mm."""
    height: float
    """Height of the liver, dome to inferior tip, mm."""
    fat: float
    """Thickness of subcutaneous fat at the flank, mm."""
    canal_v: float
    """``v`` of the spinal canal."""
    liver_ml: float
    spleen_ml: float
    kidney_ml: float
    """Volume of each kidney."""
    left_reach: float
    """Extent of the left lobe beyond the midline, mm."""
    offset_xy: tuple[float, float]
    """Body centre relative to the image centre, mm."""

    @staticmethod
    def draw(rng: np.random.Generator, *, liver_scale: float = 1.0, spleen_scale: float = 1.0) -> Subject:
        """Draw a subject; the scales are factors on liver and spleen volume."""
        width, depth = rng.uniform(285, 312), rng.uniform(208, 250)
        height = rng.uniform(148, 192)
        # Liver volume follows the size of the body, with a residual spread.
        size = width * depth * height / (300 * 228 * 168)
        return Subject(
            width=width,
            depth=depth,
            height=height,
            fat=rng.uniform(10, 18),
            canal_v=rng.uniform(0.36, 0.5),
            liver_ml=float(np.clip(1480 * size * rng.lognormal(0, 0.09) * liver_scale, 1010, 2080)),
            spleen_ml=float(np.clip(205 * rng.lognormal(0, 0.25), 110, 312) * spleen_scale),
            kidney_ml=rng.uniform(140, 205),
            left_reach=rng.uniform(20, 52),
            offset_xy=(rng.uniform(-4, 4), rng.uniform(-4, 8)),
        )

    def x(self, u: float) -> float:
        """mm, from half body widths."""
        return u * self.width / 2

    def y(self, v: float) -> float:
        """mm, from half body depths."""
        return v * self.depth / 2

    def z(self, f: float) -> float:
        """mm, from liver heights below the dome."""
        return -f * self.height


def make_grid(
    rng: np.random.Generator,
    subject: Subject,
    size_xyz: tuple[int, int, int],
    spacing_mm_xyz: tuple[float, float, float],
    above_mm: float,
) -> Grid:
    """The image grid with the subject's own deformation: smooth displacements of a few mm, shared by all organs.

    Args:
        above_mm: extent of the image above the liver's dome.
    """
    step = spacing_mm_xyz
    first = (
        -step[0] * (size_xyz[0] - 1) / 2 - subject.offset_xy[0],
        -step[1] * (size_xyz[1] - 1) / 2 - subject.offset_xy[1],
        above_mm - step[2] * (size_xyz[2] - 0.5),
    )
    shape, steps = size_xyz[::-1], np.array(step[::-1])
    axes = [np.float32(first[a]) + np.arange(size_xyz[a], dtype=np.float32) * np.float32(step[a]) for a in range(3)]
    bend = [smooth_field(rng, shape, steps, 70) * np.float32(mm) for mm in (4.0, 4.0, 6.0)]
    x, y, z = axes[0] + bend[0], axes[1][:, None] + bend[1], axes[2][:, None, None] + bend[2]
    return Grid(x.astype(np.float32), y.astype(np.float32), z.astype(np.float32), first, step)


@dataclass(frozen=True)
class Outline:
    """Levels (z, y, x) in mm of the parts that everything else is fitted into."""

    body: Array
    cavity: Array
    """Inside of the body wall."""
    spine: Array
    """Vertebral bodies with a margin that organs stay out of."""
    abdomen: Array
    """Space below the diaphragm."""
    right_dome: Array
    """Space below the right dome of the diaphragm."""

    def part(self, box: Box) -> Outline:
        """The levels restricted to a box."""
        return Outline(self.body[box], self.cavity[box], self.spine[box], self.abdomen[box], self.right_dome[box])


def outline(g: Grid, s: Subject) -> Outline:
    """Levels of body, cavity, spine and diaphragm of a subject."""
    f = -g.z / np.float32(s.height)
    waist = 1 - 0.10 * ramp(f, 0.55, 1.3)
    flank = 1 - 0.03 * ramp(f, 0.2, 0.9) + 0.06 * ramp(f, 1.0, 1.6)
    half_w, half_d = s.width / 2 * flank, s.depth / 2 * waist
    body = ellipse(g.x, g.y, (0, 0), (half_w, half_d), 2.5)
    groove = np.exp(-((g.x / 16) ** 2)) * 9 * (g.y > 0)
    body = body - groove
    # The wall of fat and muscle is thicker behind, so the cavity's centre lies in front of the body's.
    wall = s.fat + 9
    inner_w, inner_d = half_w - wall, half_d * 0.72 - (s.fat - 14) * 0.5
    cavity = ellipse(g.x, g.y, (0, s.y(-0.06)), (inner_w, inner_d), 2.2)
    behind = ellipse(g.x, g.y, (0, s.y(s.canal_v) + 20), (56, 34), 2.0)
    cavity = cut(cavity, -behind, 18)
    spine = ellipse(g.x, g.y, (0, s.y(s.canal_v) - 19), (27, 27), 2.2)
    right = _dome(g, (s.x(-0.43), s.y(-0.10), -72.0), (66.0, 80.0, 72.0))
    left = _dome(g, (s.x(0.42), s.y(-0.08), -90.0), (68.0, 82.0, 70.0))
    middle = _dome(g, (0.0, s.y(-0.35), -92.0), (60.0, 60.0, 66.0))
    abdomen = join(join(right, left, 12), middle, 12)
    return Outline(body, cavity, spine, abdomen, right)


def _dome(g: Grid, centre: tuple[float, float, float], half: tuple[float, float, float]) -> Array:
    """Level of an upright half ellipsoid that continues downwards as a cylinder, widening into the recess."""
    below = np.maximum(centre[2] - g.z, 0)
    up = np.maximum(g.z - np.float32(centre[2]), 0) + np.float32(centre[2])
    return ellipsoid(g.x, g.y, up, np.array(centre), np.array(half)) + 0.9 * below


def ramp(a: Array, low: float, high: float) -> Array:
    """Smooth step from 0 below ``low`` to 1 above ``high``."""
    t = np.clip((a - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
