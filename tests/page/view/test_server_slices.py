"""Slices drawn on the server, and the files that both ways of drawing share."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from pipeline.exports.planes import largest_area_xyz, outline_bits
from pipeline.exports.viewer_files import (
    liver_window,
    overlay_files,
    percentile_window,
    write_viewer_overlays,
    write_viewer_volume,
)
from pipeline.page.state.open_cases import OpenCases
from pipeline.page.view.server_slices import SliceView, draw_slice
from pipeline.page.view.slice_viewer import _read_version, draw_for, viewer_component
from tests.builders import make_analysis


def picture(address: str) -> np.ndarray:
    """(rows, columns, 3) of a data address."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGB"), np.float32)


@pytest.mark.parametrize(
    ("plane", "index", "quarter"),
    [("axial", 7, ("top", "left")), ("coronal", 3, ("top", "left")), ("sagittal", 3, ("top", "left"))],
)
def test_right_front_and_head_are_where_a_radiologist_expects_them(plane: str, index: int, quarter: tuple) -> None:
    voxels = np.zeros((10, 12, 14), np.float32)
    voxels[6:9, 2:5, 2:5] = 100  # near the head, in front, on the patient's right
    view = SliceView(plane, index, (0, 100), inverted=False, outline=0, fill=0, heat=0)
    shown = picture(draw_slice(voxels, (2, 2, 5), {}, view)).mean(axis=2)
    rows, columns = np.nonzero(shown > 128)
    upper, left = rows.mean() < shown.shape[0] / 2, columns.mean() < shown.shape[1] / 2
    assert ("top" if upper else "bottom", "left" if left else "right") == quarter


def test_proportions_are_those_in_millimetres() -> None:
    view = SliceView("coronal", 0, (0, 1), inverted=False, outline=0, fill=0, heat=0)
    height, width, _ = picture(draw_slice(np.ones((10, 3, 50)), (1.0, 1.0, 10.0), {}, view)).shape
    assert width / height == pytest.approx(0.5, abs=0.01)


def test_requests_from_the_page_are_not_trusted() -> None:
    view = SliceView.from_request({"plane": "../..", "index": "x", "window": [3], "fill": None, "heat": float("nan")})
    assert view == SliceView("axial", 0, (3.0, 4.0), inverted=False, outline=0.0, fill=0.0, heat=0.0)
    assert draw_slice(np.zeros((2, 3, 4)), (1, 1, 1), {}, SliceView.from_request({"index": 99})).startswith(
        "data:image/png"
    )


def test_the_outline_is_the_border_as_seen_in_each_plane() -> None:
    mask = np.zeros((5, 7, 7), bool)
    mask[1:4, 1:6, 1:6] = True
    bits = outline_bits(mask)
    assert bits[2, 3, 3] == 0
    assert bits[2, 1, 3] == 1 | 4  # the front: border in axial and sagittal slices, not in its coronal one
    assert bits[1, 3, 3] == 2 | 4  # the lowest slice: border in coronal and sagittal slices
    assert not bits[~mask].any()
    full = outline_bits(np.ones((3, 3, 3), bool))
    assert full[1, 1, 1] == 0
    assert full[0, 0, 0] == 7


def test_it_opens_on_the_largest_liver_area() -> None:
    mask = np.zeros((6, 8, 10), bool)
    mask[1:3, 1:3, 1:3] = True
    mask[4, 2:7, 3:9] = True
    mask[2:5, 5, 7] = True
    x, y, z = largest_area_xyz(mask)
    assert z == 4
    assert mask[:, y].sum() == mask.sum(axis=(0, 2)).max()
    assert mask[:, :, x].sum() == mask.sum(axis=(0, 1)).max()
    assert largest_area_xyz(np.zeros((6, 8, 10), bool)) == [5, 4, 3]


def test_windows_are_never_empty() -> None:
    flat = np.full((3, 3, 3), 7.0)
    for low, high in (percentile_window(flat), liver_window(flat, flat > 0), liver_window(flat, flat < 0)):
        assert high > low


def test_viewer_files_lie_on_the_volumes_grid(tmp_path: Path) -> None:
    analysis = make_analysis()
    about = write_viewer_volume(analysis.volume, tmp_path)
    overlays = write_viewer_overlays(analysis, tmp_path)
    volume = sitk.ReadImage(str(tmp_path / str(about["file"])))
    for path in overlay_files(tmp_path).values():
        image = sitk.ReadImage(str(path))
        assert image.GetSize() == volume.GetSize()
        assert image.GetOrigin() == pytest.approx(volume.GetOrigin())
        assert image.GetDirection() == pytest.approx(volume.GetDirection())
    assert np.allclose(sitk.GetArrayFromImage(volume), analysis.volume.voxels, atol=1e-3)
    liver = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "liver.nii.gz")))
    assert np.array_equal(liver == 1, analysis.organs.liver)
    z = overlays["start_xyz"][2]  # type: ignore[index]
    assert analysis.organs.liver[z].sum() == analysis.organs.liver.sum(axis=(1, 2)).max()


def test_only_served_files_are_drawn_and_only_under_their_own_name(tmp_path: Path) -> None:
    cases = OpenCases(keep_s=100)
    case = cases.open("a")
    analysis = make_analysis()
    write_viewer_volume(analysis.volume, case.served)
    write_viewer_overlays(analysis, case.private)
    wish = {"case": case.served.name, "index": 5, "window": [0, 400], "outline": 1.0, "fill": 1.0, "heat": 1.0}
    held_back = draw_for(cases, wish)
    assert held_back == draw_for(cases, {**wish, "outline": 0, "fill": 0, "heat": 0})
    assert draw_for(cases, {**wish, "case": case.key}) == ""
    write_viewer_overlays(analysis, case.served)
    assert draw_for(cases, wish) != held_back
    cases.close()
    assert draw_for(cases, wish) == ""


def test_voxels_of_a_discarded_case_leave_the_memory() -> None:
    cases = OpenCases(keep_s=100)
    with gr.Blocks():
        viewer_component(cases, library=False)
    case = cases.open("a")
    write_viewer_volume(make_analysis().volume, case.served)
    assert draw_for(cases, {"case": case.served.name})
    assert _read_version.cache_info().currsize > 0
    cases.discard(case.key)
    assert _read_version.cache_info().currsize == 0
    cases.close()


def test_an_overlay_that_was_written_anew_is_drawn_anew() -> None:
    cases = OpenCases(keep_s=100)
    case = cases.open("a")
    analysis = make_analysis()
    write_viewer_volume(analysis.volume, case.served)
    write_viewer_overlays(analysis, case.served)
    wish = {"case": case.served.name, "index": 5, "window": [0, 400], "fill": 1.0}
    before = draw_for(cases, wish)
    liver = sitk.ReadImage(str(case.served / "liver.nii.gz"))
    sitk.WriteImage(liver * 0, str(case.served / "new.nii.gz"))
    (case.served / "new.nii.gz").replace(case.served / "liver.nii.gz")
    assert draw_for(cases, wish) != before
    cases.close()
