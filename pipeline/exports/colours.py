"""Colours of outlines, heat and doubt, for the report, the slices drawn on the server and the viewer in the browser.

Plain numbers: the page needs them at its start, where a plotting library takes long to load.
"""

from __future__ import annotations

import numpy as np

LIVER_COLOUR, SPLEEN_COLOUR, KIDNEY_COLOUR, DOUBT_COLOUR = "#2ee6c5", "#f7b267", "#b9a3ff", "#ffc53d"
HEAT_STOPS = (
    (0, 126, 30, 108),
    (32, 160, 42, 98),
    (64, 191, 57, 81),
    (128, 239, 109, 33),
    (160, 250, 145, 7),
    (192, 251, 183, 28),
    (224, 243, 224, 86),
    (255, 252, 254, 164),
)
"""Heat values with their red, green and blue, all 0-255; in between it is interpolated.

Matplotlib's inferno without its darkest third: weak heat tints the liver and does not darken it.
"""


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green, blue, 0-255, of ``#rrggbb``."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return (red, green, blue)


def heat_table() -> np.ndarray:
    """(256, 3) uint8: the colour of each heat value."""
    values, *channels = np.array(HEAT_STOPS).T
    return np.stack([np.rint(np.interp(np.arange(256), values, c)) for c in channels], axis=1).astype(np.uint8)
