"""Slices drawn on the server, and the files that both ways of drawing share."""

from __future__ import annotations

import base64
import io
import tracemalloc
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import SimpleITK as sitk
from fastapi.testclient import TestClient
from PIL import Image

from pipeline.case import LEFT_KIDNEY, RIGHT_KIDNEY, SPLEEN
from pipeline.errors import InputError
from pipeline.exports.colours import KIDNEY_COLOUR, SPLEEN_COLOUR, rgb
from pipeline.exports.planes import largest_area_xyz, outline_bits
from pipeline.exports.viewer_files import (
    liver_window,
    overlay_files,
    percentile_window,
    write_viewer_overlays,
    write_viewer_volume,
)
from pipeline.intake import grid_limits
from pipeline.page.state.open_cases import OpenCases
from pipeline.page.view.server_slices import MAX_DRAWN_SIDE, SliceView, draw_slice, drawn_size
from pipeline.page.view.slice_viewer import _read_version, draw_for, viewer_component
from tests.abdomen import as_image
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
    view = SliceView(plane=plane, index=index, window=(0, 100), inverted=False, outline=0, fill=0, heat=0)
    shown = picture(draw_slice(voxels, (2, 2, 5), {}, view)).mean(axis=2)
    rows, columns = np.nonzero(shown > 128)
    upper, left = rows.mean() < shown.shape[0] / 2, columns.mean() < shown.shape[1] / 2
    assert ("top" if upper else "bottom", "left" if left else "right") == quarter


def test_proportions_are_those_in_millimetres() -> None:
    view = SliceView(plane="coronal", index=0, window=(0, 1), inverted=False, outline=0, fill=0, heat=0)
    height, width, _ = picture(draw_slice(np.ones((10, 3, 50)), (1.0, 1.0, 10.0), {}, view)).shape
    assert width / height == pytest.approx(0.5, abs=0.01)


ODD = [
    None,
    [],
    "axial",
    7,
    {"plane": "../.."},
    {"plane": 3},
    {"plane": ["axial"]},
    {"index": "3"},
    {"index": -1},
    {"index": 1.5},
    {"index": 10**30},
    {"index": float("nan")},
    {"index": True},
    {"index": [1]},
    {"window": [3]},
    {"window": [1, 2, 3]},
    {"window": "ab"},
    {"window": [0, float("inf")]},
    {"window": [float("nan"), 1]},
    {"window": [-1e300, 1e300]},
    {"window": {"low": 1}},
    {"heat": float("nan")},
    {"heat": -0.1},
    {"fill": 1.1},
    {"outline": "1"},
    {"doubt": None},
    {"inverted": "yes"},
    {"case": 5},
    {"case": "x" * 201},
    {"case": {"a": []}},
    {"unknown": 1},
    {1: object()},
]


@pytest.mark.parametrize("request_", ODD, ids=[str(number) for number in range(len(ODD))])
def test_odd_requests_are_refused(request_: object) -> None:
    with pytest.raises(InputError, match="cannot be drawn"):
        draw_for(OpenCases(keep_s=100), request_)


def test_what_the_page_sends_is_drawn() -> None:
    sent = {
        "case": "a", "plane": "coronal", "index": 99, "window": [3, 3], "inverted": False,
        "outline": 1, "fill": 0.5, "heat": 0, "doubt": 0,
    }  # fmt: skip
    assert draw_slice(np.zeros((2, 3, 4)), (1, 1, 1), {}, SliceView.from_request(sent)).startswith("data:image/png")


def test_an_odd_request_is_answered_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with gr.Blocks() as page:
        viewer = viewer_component(OpenCases(keep_s=100), library=False)
    client = TestClient(gr.routes.App.create_app(page), raise_server_exceptions=False)
    for odd in ODD[:8]:
        body = {"session_hash": "s", "component_id": viewer._id, "fn_name": "draw", "data": odd}
        answer = client.post("/gradio_api/component_server", json=body)
        assert answer.status_code == 422
        assert "cannot be drawn" in answer.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("spacing", [(5, 5, 0.02), (0.02, 5, 5), (5, 0.001, 5), (1, 1, 1), (1e-9, 1e9, 1)])
def test_every_picture_has_a_budget_of_pixels(plane: str, spacing: tuple[float, ...]) -> None:
    view = SliceView.from_request({"plane": plane, "index": 1, "outline": 1})
    voxels = np.zeros((40, 300, 20), np.float32)
    tracemalloc.start()
    drawn = picture(draw_slice(voxels, spacing, {"outline": np.ones(voxels.shape, np.uint8)}, view))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert drawn.shape[0] * drawn.shape[1] <= grid_limits().max_drawn_pixels
    assert max(drawn.shape) <= MAX_DRAWN_SIDE
    assert most < 100e6


def test_a_large_slice_is_drawn_smaller_and_true() -> None:
    assert drawn_size((4000, 3000), (1.0, 1.0)) == (1536, 2048)
    assert drawn_size((100, 200), (1.0, 2.0)) == (200, 200)


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


def test_the_other_organs_are_drawn_in_their_colours_and_only_when_asked_for(tmp_path: Path) -> None:
    analysis = make_analysis()
    write_viewer_overlays(analysis, tmp_path)
    codes = sitk.GetArrayFromImage(sitk.ReadImage(str(overlay_files(tmp_path)["organs"])))
    labels = sitk.GetArrayFromImage(analysis.organs.labels)
    for code, organs in ((8, (RIGHT_KIDNEY, LEFT_KIDNEY)), (16, (SPLEEN,))):
        mask = np.isin(labels, organs)
        assert mask.any()
        np.testing.assert_array_equal(np.where(codes & 24 == code, codes & 7, 0), outline_bits(mask))
    z = int((labels == SPLEEN).sum(axis=(1, 2)).argmax())
    voxels = np.zeros(labels.shape)
    drawn = [
        picture(draw_slice(voxels, (1, 1, 1), {"organs": codes}, SliceView(index=z, organs=opacity)))
        for opacity in (0.0, 1.0)
    ]
    assert not drawn[0].any()
    colours = {tuple(pixel) for pixel in drawn[1].reshape(-1, 3).tolist() if any(pixel)}
    assert rgb(SPLEEN_COLOUR) in colours
    assert colours <= {rgb(SPLEEN_COLOUR), rgb(KIDNEY_COLOUR)}


def test_without_other_organs_there_is_no_file_of_them(tmp_path: Path) -> None:
    analysis = make_analysis()
    write_viewer_overlays(analysis, tmp_path)
    liver = as_image(analysis.organs.liver.astype(np.uint8))
    alone = replace(analysis, organs=replace(analysis.organs, labels=liver, spleen_ml=None))
    assert "organs" not in write_viewer_overlays(alone, tmp_path)["files"]  # type: ignore[operator]
    assert "organs" not in overlay_files(tmp_path)
