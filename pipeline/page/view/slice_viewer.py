"""The viewer on the page: its component, the value that feeds it, and its slices drawn here where WebGL2 is missing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import SimpleITK as sitk
from fastapi import HTTPException

from pipeline.case import Volume
from pipeline.errors import InputError, PipelineError
from pipeline.exports.colours import DOUBT_COLOUR, HEAT_STOPS, KIDNEY_COLOUR, LIVER_COLOUR, SPLEEN_COLOUR, rgb
from pipeline.exports.viewer_files import VOLUME_FILE, overlay_files, write_viewer_volume
from pipeline.page.state.open_cases import GONE, OpenCase, OpenCases
from pipeline.page.view.server_slices import SliceView, draw_slice

log = logging.getLogger(__name__)

# The template never changes, so Gradio never renders it anew and the canvas inside it lives on.
TEMPLATE = (
    '<div class="fr-viewer" data-library="{library}" '
    'data-liver="{liver}" data-doubt="{doubt}" data-spleen="{spleen}" data-kidney="{kidney}" data-heat="{heat}"></div>'
)
ON_LOAD = """
import(new URL('viewer/viewer.js', document.baseURI).href).then((viewer) => {
  viewer.mount(element.querySelector('.fr-viewer'), server);
  const show = () => viewer.show(props.value);
  watch('value', show);
  show();
});
"""


def viewer_component(cases: OpenCases, *, library: bool) -> gr.HTML:
    """The viewer. ``library``: whether NiiVue is installed; without it, or without WebGL2, slices come from here."""

    # Voxels of a case that is gone do not stay in memory.
    cases.when_deleted.append(_read_version.cache_clear)

    def draw(request: Any = None) -> str:
        try:
            return draw_for(cases, request)
        except InputError as error:
            log.info("A request for a slice was refused.")
            raise HTTPException(422, str(error)) from error

    return gr.HTML(
        value=None,
        html_template=viewer_template(library=library),
        js_on_load=ON_LOAD,
        server_functions=[draw],
        apply_default_css=False,
        elem_id="fr-viewer",
    )


def viewer_template(*, library: bool) -> str:
    """The viewer's element with the colours that it draws in: ``red,green,blue``, and ``value,red,green,blue;...``."""
    plain = {"liver": LIVER_COLOUR, "doubt": DOUBT_COLOUR, "spleen": SPLEEN_COLOUR, "kidney": KIDNEY_COLOUR}
    numbers = {name: ",".join(map(str, rgb(colour))) for name, colour in plain.items()}
    heat = ";".join(",".join(map(str, stop)) for stop in HEAT_STOPS)
    return TEMPLATE.format(library="yes" if library else "no", heat=heat, **numbers)


def volume_value(volume: Volume, case: OpenCase, cases: OpenCases) -> dict[str, Any]:
    """Write the volume into the case's served folder and return the viewer's value: an image without overlays.

    Raises:
        PipelineError: the disk is full, or the case was discarded meanwhile.
    """
    try:
        about = write_viewer_volume(volume, case.served)
    except (OSError, RuntimeError) as error:  # SimpleITK raises RuntimeError where it cannot write
        if cases.find(case.key) is None:
            raise PipelineError(GONE) from error
        raise PipelineError(
            "The images could not be prepared for the viewer: free disk space and open the case again."
        ) from error
    return {
        "case": case.served.name,
        "base": file_address(case.served) + "/",
        "volume": about["file"],
        "size_xyz": about["size_xyz"],
        "spacing_mm_xyz": about["spacing_mm_xyz"],
        "windows": {"full": about["window"]},
        "start_xyz": [n // 2 for n in volume.image.GetSize()],
        "overlays": None,
    }


def with_overlays(value: Mapping[str, Any], overlays: Mapping[str, Any]) -> dict[str, Any]:
    """The viewer's value with overlays, as ``write_viewer_overlays`` describes them.

    Where they hold ``edit``, the liver mask may be corrected: ``case`` names what is kept in the browser, ``turn``
    counts the classifications.
    """
    return {
        **value,
        "overlays": overlays["files"],
        "edit": overlays.get("edit"),
        "heat_note": overlays["heat_note"],
        "doubts": overlays["doubts"],
        "doubt_slices": overlays["doubt_slices"],
        "windows": {**value["windows"], "liver": overlays["liver_window"]},
        "start_xyz": overlays["start_xyz"],
    }


def file_address(path: Path) -> str:
    """Address of a served file. Relative, so that it is valid behind a proxy's prefix."""
    return f"gradio_api/file={path.as_posix()}"


def draw_for(cases: OpenCases, request: object) -> str:
    """One slice as a ``data:`` address, for the visitor who knows the served name; empty once the case is gone.

    Only files in the served folder are drawn: withheld overlays are not there.

    Raises:
        InputError: the request is not what the page sends.
    """
    view = SliceView.from_request(request)
    case = cases.find_served(view.case)
    if case is None or not (case.served / VOLUME_FILE).exists():
        return ""
    try:
        image, spacing = _read(case.served / VOLUME_FILE)
        overlays = {name: _read(path)[0] for name, path in overlay_files(case.served).items()}
    except (OSError, RuntimeError):  # the case was deleted, or its overlays replaced, meanwhile
        log.info("A slice was asked for while its case was deleted.")
        return ""
    return draw_slice(image, spacing, overlays, view)


def _read(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """(z, y, x) voxels and (x, y, z) spacing, read once for all slices."""
    return _read_version(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=12)
def _read_version(path: Path, _written_ns: int) -> tuple[np.ndarray, tuple[float, float, float]]:
    """As ``_read``; keyed by time, since another analysis rewrites its overlays under the same names."""
    image = sitk.ReadImage(str(path))
    x, y, z = image.GetSpacing()
    return sitk.GetArrayFromImage(image), (x, y, z)
