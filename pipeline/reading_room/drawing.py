"""Slices of a case drawn on the server, for browsers without WebGL2."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pipeline.errors import StudyError
from pipeline.exports.viewer_files import overlay_files
from pipeline.page.view.server_slices import SliceView, draw_slice
from pipeline.reader_study.case_files import CaseFiles


def draw(files: CaseFiles, view: SliceView, *, overlays: bool) -> str:
    """One slice as a ``data:`` address; without ``overlays`` the request's wishes for them are ignored.

    Raises:
        StudyError: the images cannot be read.
    """
    try:
        voxels, spacing_mm_xyz = _read(files.volume)
        layers = {name: _read(path)[0] for name, path in overlay_files(files.folder).items()} if overlays else {}
    except (OSError, RuntimeError) as error:  # SimpleITK's own text holds the path
        raise StudyError("The images of this case cannot be read; tell your coordinator.") from error
    return draw_slice(voxels, spacing_mm_xyz, layers, view)


@lru_cache(maxsize=16)
def _read(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """(z, y, x) voxels and (x, y, z) spacing. Files of a study do not change while it is read."""
    image = sitk.ReadImage(str(path))
    x, y, z = image.GetSpacing()
    return sitk.GetArrayFromImage(image), (x, y, z)
