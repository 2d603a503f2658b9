"""What is shown where: sides, the drawing on the server, labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.browser.conftest import Visitor

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
