"""Slices for the report: radiological display, organ outlines, heat map on a fixed scale.

Arrays are (z, y, x) in LPS: x runs from the patient's right to the left and y from anterior to posterior. Drawn with x
to the right and y downwards, a slice is in radiological display without any flip: patient's right on the left.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize

from pipeline.exports.colours import heat_table

HEAT_COLOURS = ListedColormap(heat_table() / 255.0, "heat")
HEAT_SCALE = Normalize(0.0, 1.0)
"""The same for every case: a weak map looks weak."""
MARK = {"color": "#e8eef2", "fontsize": 7.5, "fontweight": "bold", "va": "center", "ha": "center"}


def window(voxels: np.ndarray) -> tuple[float, float]:
    """Darkest and brightest value to show of (z, y, x) voxels: 1st and 99th percentile, since MR has no unit."""
    low, high = np.percentile(voxels, (1, 99))
    return float(low), float(max(high, low + 1e-6))


def show_slice(
    axes: Axes, picture: np.ndarray, *, spacing_mm: tuple[float, float], limits: tuple[float, float]
) -> None:
    """Draw one slice on black with true proportions, filling ``axes`` without changing its size.

    ``picture`` is (rows, columns), first row on top; ``spacing_mm`` is (between rows, between columns).
    """
    axes.set_facecolor("black")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.imshow(picture, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="bilinear", aspect="auto")
    rows, columns = picture.shape
    height_mm, width_mm = rows * spacing_mm[0], columns * spacing_mm[1]
    scale = max(height_mm / axes.bbox.height, width_mm / axes.bbox.width)  # mm per pixel of the page
    # The shorter side gets a black margin: proportions in millimetres stay true and the box keeps its size.
    margin_y = (scale * axes.bbox.height / spacing_mm[0] - rows) / 2
    margin_x = (scale * axes.bbox.width / spacing_mm[1] - columns) / 2
    axes.set_xlim(-0.5 - margin_x, columns - 0.5 + margin_x)
    axes.set_ylim(rows - 0.5 + margin_y, -0.5 - margin_y)


def mark_sides(axes: Axes, left_of_screen: str = "R", right_of_screen: str = "L") -> None:
    """Write the patient's sides on the edges of the picture."""
    axes.text(0.035, 0.5, left_of_screen, transform=axes.transAxes, **MARK)  # type: ignore[arg-type]
    axes.text(0.965, 0.5, right_of_screen, transform=axes.transAxes, **MARK)  # type: ignore[arg-type]


def caption(axes: Axes, text: str) -> None:
    """One short line in the lower left corner of the picture."""
    shade = {"facecolor": "black", "alpha": 0.55, "linewidth": 0, "pad": 1.5}
    axes.text(
        0.03, 0.035, text, transform=axes.transAxes, color="#e8eef2", fontsize=6.5, va="bottom", ha="left", bbox=shade
    )


def say(axes: Axes, text: str) -> None:
    """One short line in the middle of the upper edge of the picture."""
    axes.text(0.5, 0.95, text, transform=axes.transAxes, color="white", fontsize=8, va="top", ha="center")


def outline(axes: Axes, mask: np.ndarray, colour: str, width: float = 1.0) -> None:
    """Draw the border of a (rows, columns) bool mask."""
    if mask.any():
        axes.contour(mask.astype(np.float32), levels=[0.5], colors=[colour], linewidths=width)


def show_heat(axes: Axes, heat: np.ndarray, opacity: float = 0.8) -> None:
    """Lay a (rows, columns) heat map, 0-1, over the slice, as opaque as its square times ``opacity``."""
    coloured = HEAT_COLOURS(HEAT_SCALE(heat))
    coloured[..., 3] = np.clip(heat, 0.0, 1.0) ** 2 * min(opacity, 1.0)
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(coloured, interpolation="bilinear", aspect="auto")
    axes.set(xlim=limits[0], ylim=limits[1])
