"""A picture of a simulated cohort: one row per stage, a few cases each, to judge the signs by eye."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import SimpleITK as sitk
from matplotlib.figure import Figure

from pipeline.case import LIVER
from pipeline.training.simulation import read_rows

STAGE_NAMES = ("F0", "F1", "F2", "F3", "F4")


def contact_sheet(manifest: Path, path: Path, *, columns: int = 5) -> Path:
    """Draw the slice with the largest liver area of up to ``columns`` cases per stage, radiological display.

    Args:
        manifest: of a cohort made by ``simulate``; stages come from the truth.csv beside it.
        path: the picture to write (PNG or PDF).
    """
    rows = {row["patient_id"]: row for row in read_rows(manifest)}
    truth = list(read_rows(manifest.parent / "truth.csv"))
    figure = Figure(figsize=(3.2 * columns, 2.6 * len(STAGE_NAMES)), facecolor="black")
    axes = figure.subplots(len(STAGE_NAMES), columns, squeeze=False)
    for stage, line in zip(STAGE_NAMES, axes, strict=True):
        chosen = [t["patient_id"] for t in truth if t["stage"] == stage][:columns]
        for axis in line:
            axis.axis("off")
        for axis, name in zip(line, chosen, strict=False):
            _draw(axis, manifest.parent, rows[name], stage)
    figure.subplots_adjust(0, 0, 1, 1, 0.01, 0.01)
    with matplotlib.rc_context({"savefig.facecolor": "black"}):
        figure.savefig(path, dpi=90, facecolor="black")
    return path


def _draw(axis: matplotlib.axes.Axes, folder: Path, row: dict[str, str], stage: str) -> None:
    image = sitk.ReadImage(str(folder / row["image"]))
    liver = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / row["mask"]))) == LIVER
    z = int(np.argmax(liver.sum((1, 2))))
    slice_yx = sitk.GetArrayFromImage(image)[z]
    y, x = np.nonzero(liver[z])
    high = 2.4 * float(np.median(slice_yx[liver[z]])) if y.size else float(slice_yx.max())
    axis.imshow(slice_yx, cmap="gray", vmin=0, vmax=high, aspect=image.GetSpacing()[1] / image.GetSpacing()[0])
    if y.size:
        axis.set_xlim(x.min() - 12, x.max() + 30)
        axis.set_ylim(y.max() + 12, y.min() - 12)
    caption = f"{stage}  {row['lsm_kpa']} kPa  {row['site']}"
    axis.text(0.02, 0.03, caption, color="white", fontsize=9, transform=axis.transAxes)
