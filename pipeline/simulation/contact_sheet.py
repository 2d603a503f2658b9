"""Contact sheet of a simulated cohort: a row per stage with a few cases each, to judge the signs by eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.case import LIVER
from pipeline.errors import ManifestError
from pipeline.simulation.tables import read_rows

STAGE_NAMES = ("F0", "F1", "F2", "F3", "F4")
VIEW_MM = (270.0, 205.0)
"""Width and height of each picture, mm: liver, spine and usually the spleen."""


def contact_sheet(manifest: Path, path: Path, *, columns: int = 5) -> Path:
    """Draw the slice with the largest liver area of up to ``columns`` cases per stage, radiological display.

    All share one field of view in mm and one window, from zero to 2.4 times the liver's median.

    Args:
        manifest: cohort made by ``simulate``; stages and true masks come from its truth.csv.
        path: PNG or PDF to write.
        columns: largest number of cases per stage.

    Raises:
        ManifestError: there is no manifest or no truth.csv of its cases, or ``path`` is neither PNG nor PDF.
    """
    if not manifest.is_file():
        raise ManifestError("There is no such manifest; check the path.")
    if not (manifest.parent / "truth.csv").is_file():
        raise ManifestError("There is no truth.csv beside the manifest; give the manifest of a simulated cohort.")
    if path.suffix.lower() not in (".png", ".pdf"):
        raise ManifestError("The contact sheet must be named .png or .pdf.")
    rows = {row["patient_id"]: row for row in read_rows(manifest)}
    truth = list(read_rows(manifest.parent / "truth.csv"))
    if not all("stage" in case and case.get("patient_id") in rows for case in truth):
        raise ManifestError("truth.csv gives no stages for the manifest's cases; give that of a simulated cohort.")
    by_stage = [[case for case in truth if case["stage"] == stage][:columns] for stage in STAGE_NAMES]
    columns = max(1, *(len(chosen) for chosen in by_stage))
    figure = Figure(figsize=(3.6 * columns, 2.75 * len(STAGE_NAMES) + 0.3), facecolor="black")
    axes = figure.subplots(len(STAGE_NAMES), columns, squeeze=False)
    figure.suptitle("Simulated fibrosis: no patient", color="white", fontsize=11, y=0.995, va="top")
    for chosen, line in zip(by_stage, axes, strict=True):
        for axis in line:
            axis.axis("off")
        for axis, case in zip(line, chosen, strict=False):
            _draw(axis, manifest.parent, rows[case["patient_id"]], case)
    figure.subplots_adjust(0, 0, 1, 1 - 0.3 / figure.get_size_inches()[1], 0.01, 0.01)
    figure.savefig(path, dpi=110, facecolor="black")
    return path


def _draw(axis: Axes, folder: Path, row: dict[str, str], case: dict[str, str]) -> None:
    image = sitk.ReadImage(str(folder / row["image"]))
    liver = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / case["true_mask"]))) == LIVER
    z = int(np.argmax(liver.sum((1, 2))))
    slice_yx = sitk.GetArrayFromImage(image)[z]
    y, x = np.nonzero(liver[z])
    dx, dy, _ = image.GetSpacing()
    high = 2.4 * float(np.median(slice_yx[liver[z]])) if y.size else float(slice_yx.max())
    axis.imshow(slice_yx, cmap="gray", vmin=0, vmax=high, aspect=dy / dx)
    if y.size:
        left, middle = x.min() - 20 / dx, (y.min() + y.max()) / 2
        axis.set_xlim(left, left + VIEW_MM[0] / dx)
        axis.set_ylim(middle + VIEW_MM[1] / 2 / dy, middle - VIEW_MM[1] / 2 / dy)
    caption = f"{case['stage']}  {row['lsm_kpa']} kPa  site {row['site']}  {row['source_anatomy']}"
    axis.text(0.02, 0.03, caption, color="white", fontsize=9, transform=axis.transAxes)
