"""Colours of outlines and heat, for the report, the slices drawn on the server and the viewer in the browser."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap, to_rgb

LIVER_COLOUR, SPLEEN_COLOUR = "#2ee6c5", "#f7b267"
HEAT_COLOURS = ListedColormap(colormaps["inferno"](np.linspace(0.35, 1.0, 256)), "heat")
"""Without inferno's darkest third: weak heat tints the liver and does not darken it."""
HEAT_STOPS = (32, 64, 128, 192, 255)
"""Heat values, 0-255, at which the browser takes its colours; in between it interpolates."""


def liver_rgb() -> tuple[int, int, int]:
    """The liver's colour as red, green, blue, 0-255."""
    red, green, blue = (round(255 * share) for share in to_rgb(LIVER_COLOUR))
    return (red, green, blue)


def heat_stops() -> list[tuple[int, int, int, int]]:
    """``HEAT_STOPS`` with their colours: value, red, green, blue, 0-255 each."""
    colours = HEAT_COLOURS(np.array(HEAT_STOPS) / 255, bytes=True)[:, :3].tolist()
    return [(value, red, green, blue) for value, (red, green, blue) in zip(HEAT_STOPS, colours, strict=True)]
