"""Outlines of spleen and kidneys in the slices, and the liver's surface seen through the body in 3-D."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser


def liver_pixels(picture: np.ndarray) -> int:
    """Pixels in a shade of the liver's colour, which is green and blue."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    return int(((green > red + 25) & (blue > red + 15)).sum())


@pytest.mark.parametrize("path", ["/", "/?viewer=server"], ids=["niivue", "server"])
def test_spleen_and_kidneys_are_switched_on(new_visitor: Callable[..., Visitor], nifti: Path, path: str) -> None:
    visitor = new_visitor(path)
    page = visitor.page
    visitor.open(nifti)
    assert page.locator(".frv-organs-on").is_hidden()
    visitor.analyse()
    page.wait_for_timeout(500)
    before = visitor.picture()
    page.check(".frv-organs-on")
    page.wait_for_timeout(1500)
    shown = np.abs(visitor.picture() - before).max(axis=-1) > 20
    assert shown.any()
    columns = np.nonzero(shown)[1] / shown.shape[1]
    assert columns.min() > 0.5, "in this slice there is the spleen alone, on the patient's left"
    page.uncheck(".frv-organs-on")
    page.wait_for_timeout(500)
    assert float(np.abs(visitor.picture() - before).max()) < 20


def test_the_liver_is_seen_through_the_body_and_follows_a_correction(visitor: Visitor, nifti: Path) -> None:
    page = visitor.page
    visitor.open(nifti)
    visitor.analyse()
    assert page.locator(".frv-body").is_hidden()
    page.uncheck(".frv-heat-on")
    page.click(".frv-render-button")
    page.wait_for_timeout(1000)
    whole = liver_pixels(visitor.picture())
    assert whole > 2000
    page.locator(".frv-body-opacity").fill("0")
    page.wait_for_timeout(500)
    assert liver_pixels(visitor.picture()) > 0.9 * whole
    page.uncheck(".frv-mask-on")
    page.wait_for_timeout(500)
    assert liver_pixels(visitor.picture()) == 0
    page.check(".frv-mask-on")

    page.click(".frv-edit")
    page.wait_for_selector('.fr-viewer[data-editing="yes"]')
    assert page.get_attribute(".fr-viewer", "data-plane") == "axial", "a volume cannot be drawn in"
    page.evaluate(
        """() => { const { editor } = window.fibroViewer, { mask } = editor;
        mask.begin({ words: "Eraser" });
        for (let i = 0; i < mask.voxels.length / 2 + 2000; i++) mask.set(i, 0);
        mask.commit();
        editor.changed(""); }"""
    )
    page.click(".frv-render-button")
    page.wait_for_timeout(1000)
    assert 0 < liver_pixels(visitor.picture()) < 0.85 * whole
    page.click(".frv-done-button")
    assert page.get_attribute(".fr-viewer", "data-plane") == "render"
