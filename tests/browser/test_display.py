"""What is shown where: sides, the drawing on the server, labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.browser.conftest import Server, Visitor

pytestmark = pytest.mark.browser
BOTH = pytest.mark.parametrize("path", ["/", "/?viewer=server"], ids=["niivue", "server"])


@pytest.fixture(params=["LPS", "RAS", "ASL"])
def marked(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A body with one bright block: on the patient's right, in front, near the head. Stored in several orientations."""
    voxels = np.full((16, 60, 70), 100, np.int16)
    voxels[:, :3] = voxels[:, -3:] = voxels[:, :, :3] = voxels[:, :, -3:] = 0
    voxels[10:14, 8:24, 8:26] = 900  # z up, y to the back, x to the left
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((4.5, 4.5, 12.0))
    file = tmp_path / "marked.nii.gz"
    sitk.WriteImage(sitk.DICOMOrient(image, request.param), str(file))
    return file


def brightest_quarter(picture: np.ndarray) -> tuple[str, str]:
    """(top or bottom, left or right) of the bright block."""
    rows, columns = np.nonzero(picture.mean(axis=2) > 180)
    height, width = picture.shape[:2]
    return "top" if rows.mean() < height / 2 else "bottom", "left" if columns.mean() < width / 2 else "right"


@BOTH
def test_the_patients_right_is_on_the_left(path: str, new_visitor: Callable[..., Visitor], marked: Path) -> None:
    visitor = new_visitor(path)
    visitor.open(marked)
    page = visitor.page
    page.locator(".frv-slider").fill("12")
    page.wait_for_timeout(800)
    assert brightest_quarter(visitor.picture()) == ("top", "left")
    marks = {edge: page.inner_text(f".frv-{edge}") for edge in ("left", "right", "top", "bottom")}
    assert marks == {"left": "R", "right": "L", "top": "A", "bottom": "P"}

    page.click(".frv-coronal-button")
    page.locator(".frv-slider").fill("15")
    page.wait_for_timeout(800)
    assert brightest_quarter(visitor.picture()) == ("top", "left")
    assert (page.inner_text(".frv-left"), page.inner_text(".frv-top")) == ("R", "S")

    page.click(".frv-sagittal-button")
    page.locator(".frv-slider").fill("15")
    page.wait_for_timeout(800)
    assert brightest_quarter(visitor.picture()) == ("top", "left")
    assert (page.inner_text(".frv-left"), page.inner_text(".frv-top")) == ("A", "S")


def test_slices_from_the_server_obey_the_same_controls(new_visitor: Callable[..., Visitor], nifti: Path) -> None:
    visitor = new_visitor("/?viewer=server")
    visitor.open(nifti)
    visitor.analyse()
    page = visitor.page
    assert page.locator(".frv-render-button").is_disabled()

    def settled() -> np.ndarray:
        page.wait_for_function("() => !window.fibroViewer.drawing.busy")
        return visitor.picture()

    seen = [settled()]
    acts: list[Callable[[], None]] = [
        lambda: page.locator(".frv-stage").press("ArrowUp"),
        lambda: page.uncheck(".frv-mask-on"),
        lambda: page.uncheck(".frv-heat-on"),
        lambda: page.click(".frv-inverted-button"),
        lambda: page.click(".frv-coronal-button"),
    ]
    for act in acts:
        act()
        seen.append(settled())
        assert np.abs(seen[-2] - seen[-1]).max() > 20


def test_every_control_has_a_name_and_can_be_reached_by_key(visitor: Visitor, nifti: Path) -> None:
    visitor.open(nifti)
    visitor.analyse()
    nameless = visitor.page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, textarea, [tabindex="0"]')]
        .filter((e) => e.offsetParent && e.type !== 'file')
        .filter((e) => !(e.getAttribute('aria-label') || e.innerText.trim() || e.labels?.[0]?.innerText.trim()
                         || e.title || e.placeholder))
        .map((e) => e.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    visitor.page.locator(".frv-axial-button").focus()
    names = []
    for _ in range(14):
        visitor.page.keyboard.press("Tab")
        names.append(visitor.page.evaluate("() => document.activeElement.className"))
    for wanted in ("frv-stage", "frv-slider", "frv-mask-on", "frv-heat-opacity"):
        assert any(wanted in name for name in names), wanted


@pytest.mark.parametrize("size", [(1280, 800), (820, 1180)], ids=["desk", "tablet"])
def test_nothing_is_cut_off(visitor: Visitor, nifti: Path, size: tuple[int, int]) -> None:
    visitor.page.set_viewport_size({"width": size[0], "height": size[1]})
    visitor.open(nifti)
    visitor.analyse()
    assert visitor.page.evaluate("() => document.documentElement.scrollWidth") <= size[0]
    box = visitor.page.locator(".frv-stage").bounding_box()
    assert box
    assert box["width"] > 480
    assert box["height"] > 400


def test_the_opened_file_is_named_on_the_screen_and_nowhere_else(
    visitor: Visitor, server: Server, nifti: Path, tmp_path: Path
) -> None:
    page = visitor.page
    named = tmp_path / "Doe_Jane.nii.gz"
    named.write_bytes(nifti.read_bytes())
    visitor.open(named)
    assert page.inner_text(".fr-opened") == "Doe_Jane.nii.gz"
    visitor.analyse()
    assert page.inner_text(".fr-opened") == "Doe_Jane.nii.gz"
    visitor.answer_all("R6")
    visitor.save()
    assert not [cell for row in server.rows() for cell in row.values() if "Doe" in cell]
    kept = [file for file in server.reviews.parent.rglob("*") if "Doe" in file.name]
    assert kept == []
    page.click("text=NIfTI example")
    page.wait_for_selector('.fr-viewer[data-state="ready"]')
    assert page.inner_text(".fr-opened") == "NIfTI example"


def test_one_click_brings_the_whole_form_beside_the_slices(visitor: Visitor, nifti: Path) -> None:
    visitor.open(nifti)
    visitor.analyse()
    visitor.page.click(".fr-result >> text=Review")
    visitor.page.wait_for_timeout(500)
    for part in ("#fr-reader", "#fr-save", ".frv-stage"):
        box = visitor.page.locator(part).bounding_box()
        assert box
        assert box["y"] >= 0, part
        assert box["y"] + box["height"] <= 800, part


def test_weak_heat_does_not_darken_the_liver(visitor: Visitor, nifti: Path) -> None:
    """The stand-in's heat fades towards the liver's edge: with and without it the picture differs in warmth, nowhere
    by a step into the dark."""
    visitor.open(nifti)
    visitor.analyse()
    visitor.page.uncheck(".frv-mask-on")
    hot = visitor.picture()
    visitor.page.uncheck(".frv-heat-on")
    plain = visitor.picture()
    assert (hot - plain)[..., 0].max() > 40
    assert (hot.max(axis=2) - plain.max(axis=2)).min() > -12
