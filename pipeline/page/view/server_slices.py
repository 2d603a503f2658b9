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
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from pipeline.exports.colours import LIVER_COLOUR
from pipeline.exports.pictures import show_heat
from pipeline.exports.viewer_files import PLANE_AXES, PLANE_BITS

HEIGHT_PX = 640


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
        )


def draw_slice(
    voxels: np.ndarray,
    spacing_mm_xyz: tuple[float, float, float],
    overlays: Mapping[str, np.ndarray],
    view: SliceView,
) -> str:
    """The slice as a ``data:image/png`` address.

    ``overlays`` may hold ``liver`` (0 or 1), ``outline`` (bits by plane) and ``heat`` (0-255), on the volume's grid.
    """
    picture = _cut(voxels, view)
    across, down = _pixel_mm(spacing_mm_xyz, view.plane)
    height, width = picture.shape[0] * down, picture.shape[1] * across
    figure = Figure(figsize=(HEIGHT_PX / 100 * width / height, HEIGHT_PX / 100), dpi=100, facecolor="black")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    low, high = view.window
    grey = "gray_r" if view.inverted else "gray"
    axes.imshow(picture, cmap=grey, vmin=low, vmax=high, interpolation="bilinear", aspect="auto")
    _lay_mask(axes, overlays, "liver", view, view.fill)
    if "heat" in overlays and view.heat > 0:
        show_heat(axes, _cut(overlays["heat"], view) / 255.0, view.heat)
    _lay_mask(axes, overlays, "outline", view, view.outline)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _lay_mask(axes: Axes, overlays: Mapping[str, np.ndarray], name: str, view: SliceView, opacity: float) -> None:
    """Lay the liver's fill or outline over the slice in the liver's colour."""
    if name not in overlays or opacity <= 0:
        return
    mask = _cut(overlays[name], view)
    shown = mask & PLANE_BITS[view.plane] if name == "outline" else mask
    coloured = np.empty((*shown.shape, 4))
    coloured[..., :3] = to_rgb(LIVER_COLOUR)
    coloured[..., 3] = (shown > 0) * min(opacity, 1.0)
    axes.imshow(coloured, interpolation="bilinear", aspect="auto")


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
