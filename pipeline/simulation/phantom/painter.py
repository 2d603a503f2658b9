"""Paints one phantom subject in relative intensities, back to front, and keeps the cover of the labelled organs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.case import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN
from pipeline.simulation.fields import Array, smooth_field
from pipeline.simulation.phantom.contents import bowel_loops, colon, hepatic_vessels
from pipeline.simulation.phantom.organs import (
    kidney_centres,
    kidney_frame,
    kidney_half,
    liver_level,
    renal_fossa,
    spleen_level,
)
from pipeline.simulation.phantom.shapes import Box, Grid, cover, cut, ellipse, ellipsoid, tube
from pipeline.simulation.phantom.subject import Outline, Subject, outline

WHOLE: Box = (slice(None), slice(None), slice(None))


@dataclass(frozen=True)
class Region:
    """A box of the canvas with what is needed to paint in it; all arrays are views of the painter's."""

    box: Box
    g: Grid
    o: Outline
    texture: Array
    """Smooth noise of about 9, 4 and 30 mm, shared by all tissues: zero mean, unit deviation."""
    fine: Array
    broad: Array


class Painter:
    """Paints one subject back to front: what is painted later lies in front of, or cuts into, what is there."""

    def __init__(self, grid: Grid, subject: Subject, rng: np.random.Generator) -> None:
        self.g, self.s, self.rng = grid, subject, rng
        self.o: Outline = outline(grid, subject)
        self.spacing_mm_zyx = np.array(grid.step_mm[::-1])
        self.canvas = np.zeros(grid.shape, np.float32)
        self.organs: dict[int, Array] = {}
        self.texture = self.noise(9)
        self.fine = self.noise(4)
        self.broad = self.noise(30)
        self.kidney_at = kidney_centres(subject, rng)

    def noise(self, length_mm: float) -> Array:
        return smooth_field(self.rng, self.g.shape, self.spacing_mm_zyx, length_mm)

    def put(self, level: Array, value: Array | float, box: Box = WHOLE, softness_mm: float = 1.2) -> Array:
        """Blend ``value`` in where the shape is; return the cover. Organs painted before lose what it hides."""
        part = cover(level, softness_mm)
        self.canvas[box] += part * (value - self.canvas[box])
        for organ in self.organs.values():
            organ[box] *= 1 - part
        return part

    def region(self, low: tuple[float, float, float], high: tuple[float, float, float]) -> Region:
        """The part of the canvas between two corners (x, y, z) in mm; most shapes need far less than the whole."""
        a, b = np.array(low), np.array(high)
        box = self.g.box((a + b) / 2, (b - a) / 2)
        return Region(box, self.g.part(box), self.o.part(box), self.texture[box], self.fine[box], self.broad[box])

    def label(self, value: int, part: Array, box: Box = WHOLE) -> None:
        organ = np.zeros(self.g.shape, np.float32)
        organ[box] = part
        self.organs[value] = organ

    def blob(self, centre: tuple[float, float, float], half: tuple[float, float, float], power: float = 2.0) -> tuple:
        """An ellipsoid at (u, v, f) of the subject with half axes in mm: its level and its box."""
        at = np.array([self.s.x(centre[0]), self.s.y(centre[1]), self.s.z(centre[2])])
        box = self.g.box(at, np.array(half))
        return ellipsoid(self.g.x[box], self.g.y[box], self.g.z[box], at, np.array(half), power), box

    def paint(self) -> tuple[Array, dict[int, Array]]:
        self.wall()
        self.chest()
        self.gut()
        self.liver()
        self.spleen()
        self.kidneys()
        self.midline()
        return self.canvas, self.organs

    def wall(self) -> None:
        """Skin, fat, muscle, ribs."""
        g, s, o, rng = self.g, self.s, self.o, self.rng
        fat = 0.15 * (1 + 0.06 * self.texture + 0.25 * np.maximum(self.broad, 0))
        self.put(o.body, 0.22)
        self.put(o.body - 2.2, fat)
        muscle = 0.235 * (1 + 0.06 * self.fine + 0.07 * self.texture)
        self.put(o.cavity + 9, muscle)
        self.back_muscles()
        # Thin bright lines between the muscles' layers, where fluid and vessels run.
        self.put(1.0 - np.abs(o.cavity + 4 + 1.5 * self.texture), 0.27)
        angle = np.arctan2(g.y - s.y(0), np.abs(g.x))
        phase = (g.z + 34 * angle + rng.uniform(0, 28)) / 27
        rib = 4.2 - np.hypot((phase - np.round(phase)) * 27 * 0.8, o.cavity + 5)
        rib[g.y < s.y(-0.55)] = -9
        self.put(rib, 0.1)
        self.put(rib - 2.0, 0.3)

    def back_muscles(self) -> None:
        s = self.s
        behind = s.y(s.canal_v)
        r = self.region((-66, behind - 40, -999), (66, behind + 45, 999))
        muscle = 0.235 * (1 + 0.06 * r.fine + 0.07 * r.texture)
        for side in (-1, 1):
            back = ellipse(r.g.x, r.g.y, (side * 31.0, behind + 17), (30, 19), 2.4)
            self.put(cut(back, r.o.body - 6, 4), muscle, r.box)
            # The psoas begins at the first lumbar vertebra and thickens downwards.
            grown = 10 * np.minimum(-r.g.z / s.height - 1.0, 0.6)
            self.put(ellipse(r.g.x, r.g.y, (side * 34.0, behind - 15), (15, 19)) + grown, 0.19, r.box)

    def chest(self) -> None:
        """Abdominal fat below the diaphragm; lungs with vessels and the heart above it."""
        s, o = self.s, self.o
        mesentery = 0.19 * (1 + 0.12 * self.texture + 0.15 * self.broad)
        self.put(o.cavity, mesentery + 0.35 * np.clip(self.fine - 1.3, 0, 1))
        lung = cut(o.cavity, -o.abdomen, 3)
        self.put(lung, 0.045 + 0.10 * np.clip(self.fine - 1.5, 0, 1.2) + 0.05 * np.clip(self.texture - 1.2, 0, 1))
        at = np.array([s.x(0.16), s.y(-0.32), 26.0])
        r = self.region((at[0] - 60, at[1] - 54, at[2] - 50), (at[0] + 60, at[1] + 54, at[2] + 50))
        heart = ellipsoid(r.g.x, r.g.y, r.g.z, at, (60, 52, 46))
        heart = cut(cut(heart, r.o.cavity - 4, 4), -r.o.abdomen, 4)
        self.put(heart, 0.27 * (1 + 0.25 * r.texture), r.box, 9)
        self.put(cut(heart - 9, 12 - heart, 4), 0.4 + 0.08 * r.texture, r.box, 8)
        self.put(heart - 18, 0.1 + 0.03 * r.texture, r.box, 8)
        self.put(1.6 - np.abs(o.abdomen + 1) - np.float32(50) * (o.cavity < 2), 0.18)

    def gut(self) -> None:
        """Stomach, pancreas, duodenum, colon and small bowel, kept inside the abdomen by their own boxes."""
        g, s, rng = self.g, self.s, self.rng
        room = cut(self.o.cavity - 3, self.o.abdomen - 2, 3)
        lowest = g.first_mm[2]
        for path, radii in colon(s, rng, lowest):
            box, level = tube(g, path, radii)
            level = cut(level + 0.8 * self.texture[box], room[box], 3)
            self.put(level, 0.3, box)
            stool = 0.16 + 0.09 * self.texture[box] + 0.08 * self.fine[box]
            self.put(level - 2.2, np.maximum(stool, 0.03), box, 2.5)
        for path, radii, content in bowel_loops(s, rng, lowest):
            box, level = tube(g, path, radii)
            level = cut(level + 0.5 * self.texture[box], room[box], 3)
            self.put(level, 0.4, box)
            self.put(level - 1.8, content * (1 + 0.07 * self.texture[box] + 0.05 * self.broad[box]), box, 2.5)
        self.pancreas(room)
        self.stomach(room)

    def pancreas(self, room: Array) -> None:
        s, rng, t = self.s, self.rng, np.linspace(0, 1, 30)
        path = np.stack(
            [s.x(-0.2) + t * s.x(0.62), s.y(-0.04) - 18 * np.sin(np.pi * t) + 10 * t, s.z(0.66) + 34 * t], 1
        )
        box, level = tube(self.g, path, 11 - 4 * t)
        self.put(cut(level + 1.5 * self.fine[box], room[box], 3), 0.42 * (1 + 0.09 * self.fine[box]), box)
        down = np.stack([s.x(-0.3) + 4 * np.sin(4 * t), s.y(0.0) - 0 * t, s.z(0.56) - 62 * t], 1)
        box, level = tube(self.g, down, np.full(30, rng.uniform(8, 11)))
        self.put(level, 0.4, box)
        self.put(level - 2, rng.uniform(0.55, 0.95) * (1 + 0.1 * self.texture[box]), box, 2.5)

    def stomach(self, room: Array) -> None:
        s, rng, t = self.s, self.rng, np.linspace(0, 1, 26)
        full = rng.uniform(0.75, 1.1)
        path = np.stack(
            [
                s.x(0.46) - s.x(0.56) * t**2.2,
                s.y(0.02) - s.y(0.62) * np.sin(np.minimum(t * 1.5, 1) * np.pi / 2),
                s.z(0.16) - s.height * 0.46 * t,
            ],
            1,
        )
        box, level = tube(self.g, path, full * (36 - 20 * t))
        level = cut(level + 1.5 * self.texture[box], room[box], 4)
        content = rng.uniform(0.45, 0.95) * (1 + 0.16 * self.texture[box] + 0.12 * self.fine[box])
        self.put(level, 0.38, box)
        self.put(level - 3.5, content, box, 5)
        gas = level - rng.uniform(5, 14) - 0.5 * np.maximum(self.g.y[box] - s.y(-0.42), -8)
        self.put(gas, 0.04, box, 5)

    def liver(self) -> None:
        g, s, rng = self.g, self.s, self.rng
        r = self.region((s.x(-1), s.y(-1), s.z(1.15)), (s.left_reach + 35, s.y(0.8), 12))
        level = liver_level(r.g, s, r.o, renal_fossa(r.g, s, self.kidney_at["right"]), rng)
        bright = rng.uniform(0.38, 0.52)
        self.label(
            LIVER, self.put(level, bright * (1 + 0.022 * r.texture + 0.02 * r.fine + 0.05 * r.broad), r.box), r.box
        )
        inside = np.zeros(g.shape, bool)
        inside[r.box] = level > 3
        vessel = bright + rng.uniform(0.24, 0.38)
        for box, tree in hepatic_vessels(g, s, inside, rng):
            # Vessels stay in the label: they run through the organ.
            seen = cover(tree, 1.6) * inside[box]
            self.canvas[box] += seen * (vessel - self.canvas[box])
        neck = (-rng.uniform(0.22, 0.34), -rng.uniform(0.3, 0.48), rng.uniform(0.6, 0.7))
        size = rng.uniform(0.8, 1.15)
        gall, box = self.blob(neck, (11 * size, 16 * size, 21 * size))
        self.put(gall, 0.5, box)
        self.put(gall - 1.5, rng.uniform(1.15, 1.5), box, 2.0)

    def spleen(self) -> None:
        s = self.s
        r = self.region((0, s.y(-0.8), s.z(1.0)), (s.x(1), s.y(0.9), 5))
        level = spleen_level(r.g, s, r.o, renal_fossa(r.g, s, self.kidney_at["left"]), self.rng)
        value = self.rng.uniform(0.8, 0.95) * (1 + 0.015 * r.texture + 0.03 * r.broad)
        self.label(SPLEEN, self.put(level, value, r.box), r.box)

    def kidneys(self) -> None:
        """Bright cortex, brighter pyramids, a sinus of dark fat with a bright pelvis, a dark rim of fat around."""
        g, rng = self.g, self.rng
        half = kidney_half(self.s)
        bright = rng.uniform(0.82, 0.95)
        for centre, value in ((self.kidney_at["right"], RIGHT_KIDNEY), (self.kidney_at["left"], LEFT_KIDNEY)):
            box = g.box(centre, half, 22)
            a, b, c = kidney_frame(g.part(box), centre)
            origin = np.zeros(3)
            notch = ellipsoid(a, b, c, np.array([-half[0] * 1.05, 0, 0]), np.array([14.0, 8, 17]))
            level = cut(ellipsoid(a, b, c, origin, half, 2.2) + 0.8 * self.texture[box], -notch, 4)
            self.put(level + 2, 0.14, box, 2)
            sinus = ellipsoid(a, b, c, np.array([-half[0] * 0.45, 0, 0]), np.array([15.0, 8, 28]))
            pyramids = 0.12 * np.clip(self.texture[box] + 0.3, 0, 1) * cover(level - 6, 4) * cover(-sinus - 1, 3)
            part = self.put(level, bright * (1 + 0.03 * self.texture[box] + 0.035 * self.fine[box]) + pyramids, box)
            self.label(value, part, box)
            fat = np.clip(0.6 + 0.6 * self.fine[box], 0.1, 1)
            seen = cover(sinus, 4) * cover(level, 1.2)
            self.canvas[box] += 0.6 * seen * fat * (0.3 - self.canvas[box])
            pelvis = ellipsoid(a, b, c, np.array([-half[0] * 0.5, 0, -3]), np.array([10.0, 3.2, 9]))
            self.canvas[box] += cover(pelvis, 2) * (1.15 - self.canvas[box])

    def midline(self) -> None:
        """Great vessels, vertebrae with discs, canal with cerebrospinal fluid, cord and spinous process."""
        rng, back = self.rng, self.s.y(self.s.canal_v)
        r = self.region((-40, back - 62, -999), (40, back + 48, 999))

        def column(x: float, y: float, half: tuple[float, float], power: float = 2.0) -> Array:
            return ellipse(r.g.x, r.g.y, (x, back + y), half, power)

        aorta = column(9, -46, (9.5, 9.5))
        self.put(aorta, 0.3, r.box)
        self.put(aorta - 1.8, float(rng.choice([0.06, 0.12, 0.4])), r.box, 2)
        cava = cut(column(-21, -44, (11.5, 8.5)), 2 - r.g.z, 4)
        self.put(cava, 0.32, r.box)
        self.put(cava - 1.6, float(rng.choice([0.07, 0.14, 0.3])), r.box, 2)
        for side in (-1, 1):
            crus = column(side * 17, -32, (6, 12)) + np.minimum(0, r.g.z + 150) * np.float32(0.1)
            self.put(crus, 0.17, r.box)
        vertebra = column(0, -19, (20.5, 15.5), 2.3)
        disc = np.abs(((r.g.z + rng.uniform(0, 33)) / 33) % 1 - 0.5)
        marrow = np.where(disc > 0.42, np.float32(0.2), np.float32(0.26)) * (1 + 0.06 * r.fine)
        self.put(vertebra, 0.1, r.box)
        self.put(vertebra - 1.6, marrow, r.box)
        self.put(column(0, 2, (15, 13)), 0.11, r.box)
        self.put(column(0, 24, (3.5, 17)), 0.13 + 0.03 * r.texture, r.box)
        self.put(column(0, 0, (8.8, 7.2)), rng.uniform(1.05, 1.3), r.box)
        cord = column(0, 0.5, (4.2, 3.4)) + np.minimum(0, r.g.z + 110) * np.float32(0.2)
        self.put(cord, 0.8, r.box)
