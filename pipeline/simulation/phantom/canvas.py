"""The canvas that a phantom subject is painted on: signal, cover of the labelled organs, shared texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.fields import Array, Box, smooth_field
from pipeline.simulation.phantom.organs import kidney_centres
from pipeline.simulation.phantom.shapes import Grid, cover, ellipsoid
from pipeline.simulation.phantom.subject import Outline, Subject, outline

WHOLE: Box = (slice(None), slice(None), slice(None))


@dataclass(frozen=True)
class Region:
    """A box of the canvas with what is needed to paint in it; arrays are views of the canvas's own."""

    box: Box
    grid: Grid
    outline: Outline
    texture: Array
    """(z, y, x) smooth noise with a correlation length of about 9 mm, zero mean and unit deviation."""
    fine: Array
    """The same with about 4 mm."""
    broad: Array
    """The same with about 30 mm."""


class Canvas:
    """One subject, painted back to front: each shape lies in front of, or cuts into, those painted before.

    ``signal`` is (z, y, x) float32 in relative intensities; ``organs`` maps a label value to the organ's cover (z, y,
    x), 0-1. ``texture``, ``fine`` and ``broad`` are as in ``Region``, shared by all tissues.
    """

    def __init__(self, grid: Grid, subject: Subject, rng: np.random.Generator) -> None:
        self.grid, self.subject, self.rng = grid, subject, rng
        self.outline: Outline = outline(grid, subject)
        self.signal = np.zeros(grid.shape, np.float32)
        self.organs: dict[int, Array] = {}
        self.texture = self._noise(9)
        self.fine = self._noise(4)
        self.broad = self._noise(30)
        self.kidney_at = kidney_centres(subject, rng)

    def _noise(self, length_mm: float) -> Array:
        return smooth_field(self.rng, self.grid.shape, np.array(self.grid.step_mm[::-1]), length_mm)

    def put(self, level: Array, value: Array | float, box: Box = WHOLE, softness_mm: float = 1.2) -> Array:
        """Blend ``value`` in where the shape is and return its cover; it hides the organs painted before."""
        part = cover(level, softness_mm)
        self.blend(part, value, box)
        for organ in self.organs.values():
            organ[box] *= 1 - part
        return part

    def blend(self, share: Array, value: Array | float, box: Box) -> None:
        """Mix ``value`` into the signal by ``share`` (0-1) and leave the organs' cover as it is."""
        self.signal[box] += share * (value - self.signal[box])

    def region(self, low: tuple[float, float, float], high: tuple[float, float, float]) -> Region:
        """The part of the canvas between two corners (x, y, z) in mm, to save time on small shapes."""
        a, b = np.array(low), np.array(high)
        box = self.grid.box((a + b) / 2, (b - a) / 2)
        return Region(
            box, self.grid.part(box), self.outline.part(box), self.texture[box], self.fine[box], self.broad[box]
        )

    def label(self, value: int, part: Array, box: Box) -> None:
        """Keep the cover (z, y, x) of a labelled organ."""
        organ = np.zeros(self.grid.shape, np.float32)
        organ[box] = part
        self.organs[value] = organ

    def blob(self, centre_uvf: tuple[float, float, float], half_mm: tuple[float, float, float]) -> tuple[Array, Box]:
        """Level and box of an ellipsoid; its centre is relative to the subject, as (u, v, f) of ``Subject``."""
        u, v, f = centre_uvf
        at = np.array([self.subject.x(u), self.subject.y(v), self.subject.z(f)])
        box = self.grid.box(at, np.array(half_mm))
        return ellipsoid(self.grid.x[box], self.grid.y[box], self.grid.z[box], at, np.array(half_mm)), box
