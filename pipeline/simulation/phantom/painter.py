"""Paints one phantom subject in relative intensities, back to front, and keeps the cover of the labelled organs."""

from __future__ import annotations

import numpy as np

from pipeline.case import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN
from pipeline.simulation.fields import Array
from pipeline.simulation.phantom.canvas import Canvas
from pipeline.simulation.phantom.contents import bowel_loops, colon, hepatic_vessels
from pipeline.simulation.phantom.organs import kidney_frame, kidney_half, liver_level, renal_fossa, spleen_level
from pipeline.simulation.phantom.shapes import cover, cut, ellipse, ellipsoid, tube


def paint_subject(canvas: Canvas) -> None:
    """Paint all tissues of the canvas's subject, and keep the cover of liver, spleen and kidneys."""
    _paint_body_wall(canvas)
    _paint_chest(canvas)
    _paint_gut(canvas)
    _paint_liver(canvas)
    _paint_spleen(canvas)
    _paint_kidneys(canvas)
    _paint_midline(canvas)


def _paint_body_wall(canvas: Canvas) -> None:
    """Skin, fat, muscle, ribs."""
    g, s, o, rng = canvas.grid, canvas.subject, canvas.outline, canvas.rng
    fat = 0.15 * (1 + 0.06 * canvas.texture + 0.25 * np.maximum(canvas.broad, 0))
    canvas.put(o.body, 0.22)
    canvas.put(o.body - 2.2, fat)
    muscle = 0.235 * (1 + 0.06 * canvas.fine + 0.07 * canvas.texture)
    canvas.put(o.cavity + 9, muscle)
    _paint_back_muscles(canvas)
    # Thin bright lines between the muscles' layers, where fluid and vessels run.
    canvas.put(1.0 - np.abs(o.cavity + 4 + 1.5 * canvas.texture), 0.27)
    angle = np.arctan2(g.y - s.y(0), np.abs(g.x))
    phase = (g.z + 34 * angle + rng.uniform(0, 28)) / 27
    rib = 4.2 - np.hypot((phase - np.round(phase)) * 27 * 0.8, o.cavity + 5)
    rib[g.y < s.y(-0.55)] = -9
    canvas.put(rib, 0.1)
    canvas.put(rib - 2.0, 0.3)


def _paint_back_muscles(canvas: Canvas) -> None:
    """Muscles beside the spine, and the psoas."""
    s = canvas.subject
    behind = s.y(s.canal_v)
    r = canvas.region((-66, behind - 40, -999), (66, behind + 45, 999))
    muscle = 0.235 * (1 + 0.06 * r.fine + 0.07 * r.texture)
    for side in (-1, 1):
        back = ellipse(r.grid.x, r.grid.y, (side * 31.0, behind + 17), (30, 19), 2.4)
        canvas.put(cut(back, r.outline.body - 6, 4), muscle, r.box)
        # The psoas begins at the first lumbar vertebra and thickens downwards.
        grown = 10 * np.minimum(-r.grid.z / s.height - 1.0, 0.6)
        canvas.put(ellipse(r.grid.x, r.grid.y, (side * 34.0, behind - 15), (15, 19)) + grown, 0.19, r.box)


def _paint_chest(canvas: Canvas) -> None:
    """Abdominal fat below the diaphragm; lungs with vessels and the heart above it."""
    s, o = canvas.subject, canvas.outline
    mesentery = 0.19 * (1 + 0.12 * canvas.texture + 0.15 * canvas.broad)
    canvas.put(o.cavity, mesentery + 0.35 * np.clip(canvas.fine - 1.3, 0, 1))
    lung = cut(o.cavity, -o.abdomen, 3)
    canvas.put(lung, 0.045 + 0.10 * np.clip(canvas.fine - 1.5, 0, 1.2) + 0.05 * np.clip(canvas.texture - 1.2, 0, 1))
    at = np.array([s.x(0.16), s.y(-0.32), 26.0])
    r = canvas.region((at[0] - 60, at[1] - 54, at[2] - 50), (at[0] + 60, at[1] + 54, at[2] + 50))
    heart = ellipsoid(r.grid.x, r.grid.y, r.grid.z, at, (60, 52, 46))
    heart = cut(cut(heart, r.outline.cavity - 4, 4), -r.outline.abdomen, 4)
    canvas.put(heart, 0.27 * (1 + 0.25 * r.texture), r.box, 9)
    canvas.put(cut(heart - 9, 12 - heart, 4), 0.4 + 0.08 * r.texture, r.box, 8)
    canvas.put(heart - 18, 0.1 + 0.03 * r.texture, r.box, 8)
    canvas.put(1.6 - np.abs(o.abdomen + 1) - np.float32(50) * (o.cavity < 2), 0.18)


def _paint_gut(canvas: Canvas) -> None:
    """Stomach, pancreas, duodenum, colon and small bowel, kept inside the abdomen by their own boxes."""
    g, s, rng = canvas.grid, canvas.subject, canvas.rng
    room = cut(canvas.outline.cavity - 3, canvas.outline.abdomen - 2, 3)
    lowest = g.first_mm[2]
    for path, radii in colon(s, rng, lowest):
        box, level = tube(g, path, radii)
        level = cut(level + 0.8 * canvas.texture[box], room[box], 3)
        canvas.put(level, 0.3, box)
        stool = 0.16 + 0.09 * canvas.texture[box] + 0.08 * canvas.fine[box]
        canvas.put(level - 2.2, np.maximum(stool, 0.03), box, 2.5)
    for path, radii, content in bowel_loops(s, rng, lowest):
        box, level = tube(g, path, radii)
        level = cut(level + 0.5 * canvas.texture[box], room[box], 3)
        canvas.put(level, 0.4, box)
        canvas.put(level - 1.8, content * (1 + 0.07 * canvas.texture[box] + 0.05 * canvas.broad[box]), box, 2.5)
    _paint_pancreas(canvas, room)
    _paint_stomach(canvas, room)


def _paint_pancreas(canvas: Canvas, room: Array) -> None:
    """Pancreas and duodenum."""
    s, rng, t = canvas.subject, canvas.rng, np.linspace(0, 1, 30)
    path = np.stack([s.x(-0.2) + t * s.x(0.62), s.y(-0.04) - 18 * np.sin(np.pi * t) + 10 * t, s.z(0.66) + 34 * t], 1)
    box, level = tube(canvas.grid, path, 11 - 4 * t)
    canvas.put(cut(level + 1.5 * canvas.fine[box], room[box], 3), 0.42 * (1 + 0.09 * canvas.fine[box]), box)
    down = np.stack([s.x(-0.3) + 4 * np.sin(4 * t), s.y(0.0) - 0 * t, s.z(0.56) - 62 * t], 1)
    box, level = tube(canvas.grid, down, np.full(30, rng.uniform(8, 11)))
    canvas.put(level, 0.4, box)
    canvas.put(level - 2, rng.uniform(0.55, 0.95) * (1 + 0.1 * canvas.texture[box]), box, 2.5)


def _paint_stomach(canvas: Canvas, room: Array) -> None:
    """Stomach with fluid and a bubble of gas in front."""
    s, rng, t = canvas.subject, canvas.rng, np.linspace(0, 1, 26)
    full = rng.uniform(0.75, 1.1)
    path = np.stack(
        [
            s.x(0.46) - s.x(0.56) * t**2.2,
            s.y(0.02) - s.y(0.62) * np.sin(np.minimum(t * 1.5, 1) * np.pi / 2),
            s.z(0.16) - s.height * 0.46 * t,
        ],
        1,
    )
    box, level = tube(canvas.grid, path, full * (36 - 20 * t))
    level = cut(level + 1.5 * canvas.texture[box], room[box], 4)
    content = rng.uniform(0.45, 0.95) * (1 + 0.16 * canvas.texture[box] + 0.12 * canvas.fine[box])
    canvas.put(level, 0.38, box)
    canvas.put(level - 3.5, content, box, 5)
    gas = level - rng.uniform(5, 14) - 0.5 * np.maximum(canvas.grid.y[box] - s.y(-0.42), -8)
    canvas.put(gas, 0.04, box, 5)


def _paint_liver(canvas: Canvas) -> None:
    """Liver with its vessels, and the gall bladder."""
    g, s, rng = canvas.grid, canvas.subject, canvas.rng
    r = canvas.region((s.x(-1), s.y(-1), s.z(1.15)), (s.left_reach + 35, s.y(0.8), 12))
    level = liver_level(r.grid, s, r.outline, renal_fossa(r.grid, s, canvas.kidney_at["right"]), rng)
    bright = rng.uniform(0.38, 0.52)
    canvas.label(
        LIVER, canvas.put(level, bright * (1 + 0.022 * r.texture + 0.02 * r.fine + 0.05 * r.broad), r.box), r.box
    )
    inside = np.zeros(g.shape, bool)
    inside[r.box] = level > 3
    vessel = bright + rng.uniform(0.24, 0.38)
    for box, tree in hepatic_vessels(g, s, inside, rng):
        # Vessels are part of the liver's label.
        visible = cover(tree, 1.6) * inside[box]
        canvas.blend(visible, vessel, box)
    neck = (-rng.uniform(0.22, 0.34), -rng.uniform(0.3, 0.48), rng.uniform(0.6, 0.7))
    size = rng.uniform(0.8, 1.15)
    gall, box = canvas.blob(neck, (11 * size, 16 * size, 21 * size))
    canvas.put(gall, 0.5, box)
    canvas.put(gall - 1.5, rng.uniform(1.15, 1.5), box, 2.0)


def _paint_spleen(canvas: Canvas) -> None:
    """Spleen, nearly homogeneous."""
    s = canvas.subject
    r = canvas.region((0, s.y(-0.8), s.z(1.0)), (s.x(1), s.y(0.9), 5))
    level = spleen_level(r.grid, s, r.outline, renal_fossa(r.grid, s, canvas.kidney_at["left"]), canvas.rng)
    value = canvas.rng.uniform(0.8, 0.95) * (1 + 0.015 * r.texture + 0.03 * r.broad)
    canvas.label(SPLEEN, canvas.put(level, value, r.box), r.box)


def _paint_kidneys(canvas: Canvas) -> None:
    """Bright cortex, brighter pyramids, a sinus of dark fat with a bright pelvis, a dark rim of fat around."""
    g, rng = canvas.grid, canvas.rng
    half = kidney_half(canvas.subject)
    bright = rng.uniform(0.82, 0.95)
    for centre, value in ((canvas.kidney_at["right"], RIGHT_KIDNEY), (canvas.kidney_at["left"], LEFT_KIDNEY)):
        box = g.box(centre, half, 22)
        a, b, c = kidney_frame(g.part(box), centre)
        origin = np.zeros(3)
        notch = ellipsoid(a, b, c, np.array([-half[0] * 1.05, 0, 0]), np.array([14.0, 8, 17]))
        level = cut(ellipsoid(a, b, c, origin, half, 2.2) + 0.8 * canvas.texture[box], -notch, 4)
        canvas.put(level + 2, 0.14, box, 2)
        sinus = ellipsoid(a, b, c, np.array([-half[0] * 0.45, 0, 0]), np.array([15.0, 8, 28]))
        pyramids = 0.12 * np.clip(canvas.texture[box] + 0.3, 0, 1) * cover(level - 6, 4) * cover(-sinus - 1, 3)
        part = canvas.put(level, bright * (1 + 0.03 * canvas.texture[box] + 0.035 * canvas.fine[box]) + pyramids, box)
        canvas.label(value, part, box)
        fat = np.clip(0.6 + 0.6 * canvas.fine[box], 0.1, 1)
        visible = cover(sinus, 4) * cover(level, 1.2)
        canvas.blend(0.6 * visible * fat, 0.3, box)
        pelvis = ellipsoid(a, b, c, np.array([-half[0] * 0.5, 0, -3]), np.array([10.0, 3.2, 9]))
        canvas.blend(cover(pelvis, 2), 1.15, box)


def _paint_midline(canvas: Canvas) -> None:
    """Great vessels, vertebrae with discs, canal with cerebrospinal fluid, cord and spinous process."""
    rng, back = canvas.rng, canvas.subject.y(canvas.subject.canal_v)
    r = canvas.region((-40, back - 62, -999), (40, back + 48, 999))

    def column(x: float, y: float, half: tuple[float, float], power: float = 2.0) -> Array:
        return ellipse(r.grid.x, r.grid.y, (x, back + y), half, power)

    aorta = column(9, -46, (9.5, 9.5))
    canvas.put(aorta, 0.3, r.box)
    canvas.put(aorta - 1.8, float(rng.choice([0.06, 0.12, 0.4])), r.box, 2)
    cava = cut(column(-21, -44, (11.5, 8.5)), 2 - r.grid.z, 4)
    canvas.put(cava, 0.32, r.box)
    canvas.put(cava - 1.6, float(rng.choice([0.07, 0.14, 0.3])), r.box, 2)
    for side in (-1, 1):
        crus = column(side * 17, -32, (6, 12)) + np.minimum(0, r.grid.z + 150) * np.float32(0.1)
        canvas.put(crus, 0.17, r.box)
    vertebra = column(0, -19, (20.5, 15.5), 2.3)
    disc = np.abs(((r.grid.z + rng.uniform(0, 33)) / 33) % 1 - 0.5)
    marrow = np.where(disc > 0.42, np.float32(0.2), np.float32(0.26)) * (1 + 0.06 * r.fine)
    canvas.put(vertebra, 0.1, r.box)
    canvas.put(vertebra - 1.6, marrow, r.box)
    canvas.put(column(0, 2, (15, 13)), 0.11, r.box)
    canvas.put(column(0, 24, (3.5, 17)), 0.13 + 0.03 * r.texture, r.box)
    canvas.put(column(0, 0, (8.8, 7.2)), rng.uniform(1.05, 1.3), r.box)
    cord = column(0, 0.5, (4.2, 3.4)) + np.minimum(0, r.grid.z + 110) * np.float32(0.2)
    canvas.put(cord, 0.8, r.box)
