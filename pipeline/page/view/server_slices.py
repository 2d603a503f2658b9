"""Slices drawn on the server for browsers without WebGL2: same appearance, same radiological display.

Arrays are (z, y, x) in LPS. The patient's right is on the left of the screen; a sagittal slice shows the front on the
left; coronal and sagittal slices have the head on top.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from pipeline.exports.colours import DOUBT_COLOUR, LIVER_COLOUR, heat_table, rgb
from pipeline.exports.planes import PLANE_AXES, PLANE_BITS

OPACITY = {"liver": "fill", "doubt": "doubt", "heat": "heat", "outline": "outline"}
"""Overlays from the lowest to the uppermost, with the name of their opacity in ``SliceView``."""


@dataclass(frozen=True)
class SliceView:
    """PageSettings of the viewer's controls for one slice. Opacities are 0-1; 0 hides."""

    plane: str
    index: int
    window: tuple[float, float]
    inverted: bool
    outline: float
    fill: float
    heat: float
    doubt: float = 0.0

    @classmethod
    def from_request(cls, request: Mapping[str, Any]) -> SliceView:
        """Parse the page's JSON; missing or invalid values fall back to the plain axial slice."""
        plane = request.get("plane")
        low, high = (_number(edge, 0.0) for edge in (*(request.get("window") or ()), None, None)[:2])
        return cls(
            plane=plane if plane in PLANE_AXES else "axial",
            index=int(_number(request.get("index"), 0.0)),
            window=(low, high if high > low else low + 1.0),
            inverted=request.get("inverted") is True,
            outline=_number(request.get("outline"), 0.0),
            fill=_number(request.get("fill"), 0.0),
            heat=_number(request.get("heat"), 0.0),
            doubt=_number(request.get("doubt"), 0.0),
        )


def draw_slice(
    voxels: np.ndarray,
    spacing_mm_xyz: tuple[float, float, float],
    overlays: Mapping[str, np.ndarray],
    view: SliceView,
) -> str:
    """The slice as a ``data:image/png`` address: one pixel a voxel along its finer side, true in millimetres.

    ``overlays`` may hold ``liver`` (0 or 1), ``outline`` and ``doubt`` (bits by plane) and ``heat`` (0-255), on the
    volume's grid. The browser enlarges the picture.
    """
    grey = _grey(_cut(voxels, view), view)
    layers = [name for name in overlays if getattr(view, OPACITY[name]) > 0]
    picture = np.repeat(grey[..., np.newaxis], 3, axis=2) if layers else grey
    for name in (name for name in OPACITY if name in layers):
        _lay(picture, name, _cut(overlays[name], view), view)
    across, down = _pixel_mm(spacing_mm_xyz, view.plane)
    rows, columns = picture.shape[:2]
    size = (round(columns * across / min(across, down)), round(rows * down / min(across, down)))
    image = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "png", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _grey(cut: np.ndarray, view: SliceView) -> np.ndarray:
    """(rows, columns) uint8 of MR units in the window."""
    low, high = view.window
    grey = np.clip((cut.astype(np.float32) - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)
    return 255 - grey if view.inverted else grey


def _lay(picture: np.ndarray, name: str, overlay: np.ndarray, view: SliceView) -> None:
    """Lay one overlay over the (rows, columns, 3) picture: its values are bits by plane, 0 or 1, or heat."""
    opacity = min(getattr(view, OPACITY[name]), 1.0)
    values = overlay if name in ("liver", "heat") else overlay & PLANE_BITS[view.plane]
    where = np.nonzero(values)
    if name == "heat":
        shares = np.square(np.arange(256, dtype=np.float32) / 255)[values[where]] * opacity
        colours = heat_table()[values[where]]
    else:
        shares = np.full(len(where[0]), opacity, np.float32)
        colours = np.array(rgb(DOUBT_COLOUR if name == "doubt" else LIVER_COLOUR))
    below = picture[where]
    picture[where] = np.rint(below + shares[:, np.newaxis] * (colours - below.astype(np.float32)))


def _cut(array: np.ndarray, view: SliceView) -> np.ndarray:
    """(rows, columns), first row on top of the screen. x runs right to left, so no flip gives radiological display."""
    axis = PLANE_AXES[view.plane]
    index = min(max(view.index, 0), array.shape[axis] - 1)
    cut = np.take(array, index, axis=axis)
    return cut if view.plane == "axial" else cut[::-1]


def _pixel_mm(spacing_mm_xyz: tuple[float, float, float], plane: str) -> tuple[float, float]:
    """(across, down) in mm."""
    x, y, z = spacing_mm_xyz
    return {"axial": (x, y), "coronal": (x, z), "sagittal": (y, z)}[plane]


def _number(value: object, otherwise: float) -> float:
    return float(value) if isinstance(value, (int, float)) and np.isfinite(value) else otherwise
