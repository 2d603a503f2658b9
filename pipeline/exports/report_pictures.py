"""The rows of pictures on the report: organ outlines on axial slices, and the heat map.

Lengths on the page are in inches from its top left corner.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable

from pipeline.case import SPLEEN, Analysis, view
from pipeline.exports import pictures
from pipeline.exports.a4_page import MUTED, Page
from pipeline.exports.colours import LIVER_COLOUR, SPLEEN_COLOUR
from pipeline.exports.wording import heat_words

NEIGHBOUR_MM = 20.0
"""Distance of the neighbouring slices shown beside the one with the largest liver."""
TOP_AXIAL, TOP_HEAT, PICTURE = 3.56, 6.32, 2.38
"""Upper edge of each row, and side of a picture, inches."""
COLUMNS = (0.5, 2.945, 5.39)
"""Left edge of each picture, inches."""


def axial_row(page: Page, analysis: Analysis) -> None:
    """Draw three axial slices with the outlines of liver and spleen."""
    liver, voxels = analysis.organs.liver, analysis.volume.voxels
    spleen = view(analysis.organs.labels) == SPLEEN
    sx, sy, sz = analysis.volume.spacing_mm_xyz
    limits = pictures.window(voxels)
    title = "Liver outline, corrected by a reader" if analysis.mask_edited else "Segmentation"
    page.heading(COLUMNS[0], TOP_AXIAL - 0.14, title, "slice with the largest liver in the middle")
    drawn = [("liver", LIVER_COLOUR), ("spleen", SPLEEN_COLOUR)]
    page.legend(7.77, TOP_AXIAL - 0.14, drawn if spleen.any() else drawn[:1])
    for left, z in zip(COLUMNS, shown_slices(liver, sz), strict=True):
        axes = page.axes(left, TOP_AXIAL, PICTURE, PICTURE)
        pictures.show_slice(axes, voxels[z], spacing_mm=(sy, sx), limits=limits)
        pictures.outline(axes, spleen[z], SPLEEN_COLOUR, 0.8)
        pictures.outline(axes, liver[z], LIVER_COLOUR, 1.1)
        pictures.mark_sides(axes)
        pictures.caption(axes, f"axial, slice {z + 1} / {len(voxels)}")


def shown_slices(liver: np.ndarray, spacing_z_mm: float) -> tuple[int, int, int]:
    """Indices z of the slice with the largest liver area and of its neighbours, lower and upper.

    The neighbours lie about 20 mm away, at least one slice, and never beyond the liver's or the volume's ends.
    """
    area = liver.sum(axis=(1, 2))
    middle = int(area.argmax())
    inside = np.flatnonzero(area)
    step = max(1, round(NEIGHBOUR_MM / spacing_z_mm))
    lowest, highest = (int(inside[0]), int(inside[-1])) if len(inside) else (0, len(area) - 1)
    return max(middle - step, lowest), middle, min(middle + step, highest)


def heat_row(page: Page, analysis: Analysis) -> None:
    """Draw the heat map on the axial slice and the coronal row with the most heat; without heat, the most liver."""
    voxels, liver, why_none = analysis.volume.voxels, analysis.organs.liver, heat_words(analysis)
    sx, sy, sz = analysis.volume.spacing_mm_xyz
    limits = pictures.window(voxels)
    heat = None if analysis.heatmap is None or analysis.heatmap.empty else view(analysis.heatmap.image)
    shown = liver if heat is None else heat
    z, y = int(shown.sum(axis=(1, 2)).argmax()), int(shown.sum(axis=(0, 2)).argmax())
    if analysis.heatmap is None:
        page.heading(COLUMNS[0], TOP_HEAT - 0.14, "Liver outline", why_none)
    else:
        method = "Grad-CAM of the classifier, cut around the liver; one scale for every case"
        page.heading(COLUMNS[0], TOP_HEAT - 0.14, "Heat map", method)
    axial = page.axes(COLUMNS[0], TOP_HEAT, PICTURE, PICTURE)
    pictures.show_slice(axial, voxels[z], spacing_mm=(sy, sx), limits=limits)
    coronal = page.axes(COLUMNS[1], TOP_HEAT, PICTURE, PICTURE)
    pictures.show_slice(coronal, voxels[::-1, y], spacing_mm=(sz, sx), limits=limits)  # head on top
    for axes, plane in ((axial, np.s_[z]), (coronal, np.s_[::-1, y])):
        if heat is not None:
            pictures.show_heat(axes, heat[plane])
        pictures.outline(axes, liver[plane], LIVER_COLOUR, 0.9)
        pictures.mark_sides(axes)
    pictures.caption(axial, f"axial, slice {z + 1} / {voxels.shape[0]}")
    pictures.caption(coronal, f"coronal, row {y + 1} / {voxels.shape[1]}")
    if analysis.heatmap is None:
        return
    if why_none:
        pictures.say(axial, why_none)
    _heat_bar(page, page.axes(COLUMNS[0], TOP_HEAT + PICTURE + 0.08, 2 * PICTURE + 0.065, 0.08))


def _heat_bar(page: Page, axes: Axes) -> None:
    bar = page.figure.colorbar(
        ScalarMappable(norm=pictures.HEAT_SCALE, cmap=pictures.HEAT_COLOURS), cax=axes, orientation="horizontal"
    )
    bar.set_ticks([0.0, 0.25, 0.5, 0.75, 1.0], labels=["0", "0.25", "0.5", "0.75", "1"])
    bar.outline.set_visible(False)  # type: ignore[operator]
    axes.tick_params(labelsize=6.5, length=0, pad=3, colors=MUTED)
    first, *_, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
