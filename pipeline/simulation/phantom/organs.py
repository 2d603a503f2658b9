"""The labelled organs of the phantom as levels: liver, spleen, kidneys, fitted to one another and to the body."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipeline.simulation.fields import Array, smooth_field
from pipeline.simulation.phantom.shapes import Grid, cut, ellipse, ellipsoid, join
from pipeline.simulation.phantom.subject import Outline, Subject


def liver_level(g: Grid, s: Subject, o: Outline, fossa: Array, rng: np.random.Generator) -> Array:
    """Liver: a right lobe under its dome, cut by a plane that runs laterally towards the tip, and a left lobe."""
    f, v = -g.z / np.float32(s.height), g.y / np.float32(s.depth / 2)
    edge = (
        -4
        - 168 * np.maximum(f - rng.uniform(0.3, 0.38), 0)
        - 70 * np.maximum(v, 0)
        + 18 * np.maximum(-v, 0)
        + 4 * smooth_field(rng, g.shape, np.array(g.step_mm[::-1]), 40)
    )
    right = cut(o.right_dome, (edge - g.x) * np.float32(0.78), 16)
    right = cut(right, 0.6 * s.height * (1.05 - f), 14)
    left = _left_lobe(g, s)
    caudate = ellipsoid(g.x, g.y, g.z, np.array([-12, s.y(0.02), s.z(0.36)]), np.array([17, 13, 26]))
    level = join(join(right, left, 18), caudate, 8)
    hilum = ellipsoid(g.x, g.y, g.z, np.array([s.x(-0.2), s.y(-0.08), s.z(0.5)]), np.array([24, 10, 13]))
    level = cut(level, -hilum, 6) + 1.5 * smooth_field(rng, g.shape, np.array(g.step_mm[::-1]), 24)
    inside = cut(cut(cut(o.cavity - 2.5, o.abdomen - 1, 6), -o.spine, 8), -fossa, 10)
    return largest(grown_inside(level, inside, g.step_mm, s.liver_ml))


def _left_lobe(g: Grid, s: Subject) -> Array:
    """An anterior wedge, thinner towards the patient's left and further forwards towards its lower edge."""
    centre = np.array([-18.0, s.y(-0.42), s.z(0.32)])
    reach = s.left_reach + 18
    thin = 1 - 0.55 * np.clip((g.x - centre[0]) / reach, 0, 1)
    y = (g.y - centre[1] + 0.3 * (centre[2] - g.z)) / thin + centre[1]
    z = (g.z - centre[2]) / thin + centre[2]
    return ellipsoid(g.x, y, z, centre, np.array([reach, 40.0, 46.0]))


def grown_inside(level: Array, inside: Array, step_mm: tuple[float, float, float], volume_ml: float) -> Array:
    """Grow or shrink a shape by up to 14 mm until its volume inside its limits is ``volume_ml``."""
    voxel_ml = float(np.prod(step_mm)) / 1000
    low, high = -14.0, 14.0
    for _ in range(9):
        shift = (low + high) / 2
        if np.count_nonzero((level > shift) & (inside > 0)) * voxel_ml > volume_ml:
            low = shift
        else:
            high = shift
    return cut(level - np.float32((low + high) / 2), inside, 4)


def largest(level: Array) -> Array:
    """The largest connected component of a shape."""
    parts, count = ndimage.label(level > 0)
    sizes = np.bincount(parts.ravel(), minlength=2)[1:]
    if count > 1:
        level = np.where((parts > 0) & (parts != np.argmax(sizes) + 1), np.float32(-5), level)
    return level.astype(np.float32)


def spleen_level(g: Grid, s: Subject, o: Outline, fossa: Array, rng: np.random.Generator) -> Array:
    """Spleen: a crescent along the left posterolateral wall, thickest in its middle."""
    angle = np.arctan2((g.y - s.y(0.0)) / s.depth, g.x / s.width)
    middle, spread = np.float32(rng.uniform(0.46, 0.6)), np.float32(rng.uniform(0.74, 0.86))
    tall = rng.uniform(54, 64) * (s.spleen_ml / 205) ** (1 / 3)
    centre_z = s.z(rng.uniform(0.36, 0.46)) - 6
    t = ((angle - middle) / spread) ** 2 + ((g.z - centre_z) / np.float32(tall)) ** 2
    thick = 32 * np.sqrt(np.maximum(1 - t, 0)) - 14 * np.maximum(t - 1, 0)
    level = (thick - np.maximum(o.cavity - 3, 0)) * np.float32(0.8)
    level = level + 2.0 * smooth_field(rng, g.shape, np.array(g.step_mm[::-1]), 22)
    away = ellipse(g.x, g.y, (0.0, s.y(0.2)), (34, 60))
    inside = cut(cut(cut(o.cavity - 2, o.abdomen + 4, 8), -away, 8), -fossa, 8)
    level[g.x < 0] = -50  # the right wall is as near
    return largest(grown_inside(level, inside, g.step_mm, s.spleen_ml))


def kidney_centres(s: Subject, rng: np.random.Generator) -> dict[str, Array]:
    """Centres (x, y, z) of both kidneys, mm; the right one is lower in most subjects, below the liver."""
    down = rng.uniform(0.78, 0.92)
    v = s.canal_v - rng.uniform(0.13, 0.21)
    return {
        "right": np.array([s.x(-rng.uniform(0.41, 0.47)), s.y(v), s.z(down)]),
        "left": np.array([s.x(rng.uniform(0.38, 0.46)), s.y(v + 0.01), s.z(down - rng.uniform(-0.02, 0.12))]),
    }


def kidney_frame(g: Grid, centre: Array) -> tuple[Array, Array, Array]:
    """Kidney coordinates (lateral, posterior, superior), each (z, y, x) in mm.

    The upper pole is tilted towards the spine and backwards, the hilum turned forwards.
    """
    side = np.sign(centre[0])
    dz = g.z - centre[2]
    lateral = (g.x - centre[0]) * side + 0.22 * dz
    back = g.y - centre[1] + 0.12 * dz
    turn = np.deg2rad(28)
    return (
        (lateral * np.cos(turn) + back * np.sin(turn)).astype(np.float32),
        (-lateral * np.sin(turn) + back * np.cos(turn)).astype(np.float32),
        dz.astype(np.float32),
    )


def renal_fossa(g: Grid, s: Subject, centre: Array) -> Array:
    """Level of the kidney with its fat, open towards the spine; liver and spleen stay outside."""
    side = np.sign(centre[0])
    half = kidney_half(s) + 5
    lateral, back, up = (g.x - centre[0]) * side + 0.22 * (g.z - centre[2]), g.y - centre[1], g.z - centre[2]
    # Inwards and backwards the fossa is much wider than the kidney.
    lateral = np.where(lateral < 0, lateral * 0.65, lateral)
    back = np.where(back > 0, back * 0.7, back)
    return ellipsoid(lateral, back, up, np.zeros(3), half)


def kidney_half(s: Subject) -> Array:
    """Half axes (lateral, posterior, superior) of a kidney, mm."""
    scale = (s.kidney_ml / (4 / 3 * np.pi * 29 * 24 * 54 / 1000)) ** (1 / 3)
    return np.array([29.0, 24.0, 54.0]) * scale
