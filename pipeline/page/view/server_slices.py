"""Slices drawn on the server for browsers without WebGL2: same appearance, same radiological display.

Arrays are (z, y, x) in LPS. The patient's right is on the left of the screen; a sagittal slice shows the front on the
left; coronal and sagittal slices have the head on top.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import InputError
from pipeline.exports.colours import DOUBT_COLOUR, KIDNEY_COLOUR, LIVER_COLOUR, SPLEEN_COLOUR, heat_table, rgb
from pipeline.exports.planes import PLANE_AXES, PLANE_BITS
from pipeline.exports.viewer_files import SPLEEN_CODE
from pipeline.intake import grid_limits

MAX_DRAWN_SIDE = 2048
"""Longest side of a picture, pixels."""
LARGEST = 1e12
"""Largest edge of a grey window; no volume holds larger values."""
OPACITY = {"liver": "fill", "doubt": "doubt", "heat": "heat", "organs": "organs", "outline": "outline"}
"""Overlays from the lowest to the uppermost, with the name of their opacity in ``SliceView``."""


Opacity = Annotated[float, Field(ge=0, le=1)]
Edge = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
"""Edge of a grey window, in the image's units."""


class SliceView(BaseModel):
    """PageSettings of the viewer's controls for one slice; what the browser sends, checked. 0 hides an overlay."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    case: Annotated[str, Field(max_length=200)] = ""
    """Name of the case's served folder."""
    plane: Literal["axial", "coronal", "sagittal"] = "axial"
    index: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Slice, from 0; the last one where there are fewer."""
    window: tuple[Edge, Edge] = (0.0, 1.0)
    inverted: bool = False
    outline: Opacity = 0.0
    fill: Opacity = 0.0
    heat: Opacity = 0.0
    doubt: Opacity = 0.0
    organs: Opacity = 0.0

    @classmethod
    def from_request(cls, request: object) -> SliceView:
        """The page's JSON.

        Raises:
            InputError: it is not what the page sends.
        """
        try:
            return cls.model_validate_json(json.dumps(request))  # as JSON: a list may stand for a pair
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError("The slice cannot be drawn: reload the page.") from error


def draw_slice(
    voxels: np.ndarray,
    spacing_mm_xyz: tuple[float, float, float],
    overlays: Mapping[str, np.ndarray],
    view: SliceView,
) -> str:
    """The slice as a ``data:image/png`` address: one pixel a voxel along its finer side, true in millimetres.

    ``overlays`` may hold ``liver`` (0 or 1), ``outline`` and ``doubt`` (bits by plane), ``organs`` (bits by plane and
    the organ's code) and ``heat`` (0-255), on the volume's grid. The browser enlarges the picture.
    """
    grey = _grey(_cut(voxels, view), view)
    layers = [name for name in overlays if getattr(view, OPACITY[name]) > 0]
    picture = np.repeat(grey[..., np.newaxis], 3, axis=2) if layers else grey
    for name in (name for name in OPACITY if name in layers):
        _lay(picture, name, _cut(overlays[name], view), view)
    size = drawn_size(picture.shape[:2], _pixel_mm(spacing_mm_xyz, view.plane))
    image = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "png", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def drawn_size(shape: tuple[int, ...], pixel_mm: tuple[float, float]) -> tuple[int, int]:
    """(columns, rows) of the picture of a (rows, columns) slice with (across, down) mm pixels, true in millimetres.

    One pixel a voxel along the finer side, or fewer where that is more than the budget: ``MAX_DRAWN_SIDE`` along a side
    and ``max_drawn_pixels`` of the limits in total.
    """
    finer = min(pixel_mm)
    width, height = shape[1] * (pixel_mm[0] / finer), shape[0] * (pixel_mm[1] / finer)
    shrink = min(1.0, MAX_DRAWN_SIDE / max(width, height), math.sqrt(grid_limits().max_drawn_pixels / (width * height)))
    return max(1, int(shrink * width + 0.5)), max(1, int(shrink * height + 0.5))


def _grey(cut: np.ndarray, view: SliceView) -> np.ndarray:
    """(rows, columns) uint8 of MR units in the window."""
    low, high = view.window
    high = high if high > low else low + max(1.0, 1e-6 * abs(low))
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
        if name == "organs":
            is_kidney = (overlay[where] < SPLEEN_CODE)[:, np.newaxis]
            colours = np.where(is_kidney, rgb(KIDNEY_COLOUR), rgb(SPLEEN_COLOUR))
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
