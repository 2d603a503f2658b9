"""A mask that is in doubt: where to look is said, marked on the slider and hatched in the slice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.browser.conftest import Server, Visitor

pytestmark = pytest.mark.browser
SENTENCE = "Check slices 9–11, left side: liver may be missing."


@pytest.fixture(params=["/", "/?viewer=server"], ids=["niivue", "server"])
def doubtful(
    request: pytest.FixtureRequest, new_visitor: Callable[..., Visitor], server: Server, nifti: Path
) -> Visitor:
    """A visitor whose case was analysed with a part of the liver missed."""
    visitor = new_visitor(request.param)
    visitor.open(nifti)
    with server.miss():
        visitor.analyse()
    return visitor


def settled(visitor: Visitor) -> np.ndarray:
    """The slice, once it is drawn."""
    visitor.page.wait_for_function("() => !window.fibroViewer.drawing.busy")
    visitor.page.wait_for_timeout(200)
    return visitor.picture()


def test_the_sentence_beside_the_score_leads_to_the_place(doubtful: Visitor) -> None:
    page = doubtful.page
    assert SENTENCE in page.inner_text(".fr-quality")
    assert "3 poor" in page.inner_text(".fr-quality")
    page.click(".frv-coronal-button")
    page.click(f"text={SENTENCE}")
    assert page.get_attribute(".fr-viewer", "data-plane") == "axial"
    assert doubtful.counter in ("slice 9 / 12", "slice 10 / 12", "slice 11 / 12")
    before = doubtful.counter
    page.keyboard.press("ArrowDown")
    assert doubtful.counter != before, "the keys step on from there"


def test_the_marks_on_the_slider_are_at_the_slices_and_lead_there(doubtful: Visitor) -> None:
    page = doubtful.page
    mark = page.locator(".frv-doubt-mark")
    assert mark.get_attribute("aria-label") == SENTENCE
    rail, box = page.locator(".frv-doubt-marks").bounding_box(), mark.bounding_box()
    assert rail
    assert box
    left, right = ((edge - rail["x"]) / rail["width"] for edge in (box["x"], box["x"] + box["width"]))
    assert (left, right) == pytest.approx((7.5 / 11, 10.5 / 11), abs=0.02)
    page.locator(".frv-slider").fill("0")
    assert "doubt" not in str(page.get_attribute(".frv-slider", "aria-valuetext"))
    mark.focus()
    page.keyboard.press("Enter")
    assert "doubt" in str(page.get_attribute(".frv-slider", "aria-valuetext"))
    page.click(".frv-sagittal-button")
    assert page.locator(".frv-doubt-mark").count() == 1
    page.locator(".frv-doubt-mark").click()
    assert "doubt" in str(page.get_attribute(".frv-slider", "aria-valuetext"))


def test_the_hatch_lies_on_the_patients_left_and_can_be_switched_off(doubtful: Visitor) -> None:
    page = doubtful.page
    page.uncheck(".frv-heat-on")
    page.uncheck(".frv-mask-on")
    page.click(f"text={SENTENCE}")
    hatched = settled(doubtful)
    page.uncheck(".frv-doubt-on")
    plain = settled(doubtful)
    rows, columns = np.nonzero(np.abs(hatched - plain).max(axis=2) > 25)
    assert len(rows) > 200
    # The liver lies in the left half of the screen; its left quarter is the part nearest to the middle.
    assert 0.3 < columns.mean() / plain.shape[1] < 0.5
    page.check(".frv-doubt-on")
    page.locator(".frv-slider").fill("2")
    outside = settled(doubtful)
    page.uncheck(".frv-doubt-on")
    assert np.abs(outside - settled(doubtful)).max() < 5, "nothing is hatched in other slices"


def test_nothing_is_marked_where_there_is_no_doubt(visitor: Visitor, nifti: Path) -> None:
    visitor.open(nifti)
    visitor.analyse()
    assert visitor.page.locator(".fr-doubt, .frv-doubt-mark").count() == 0
    assert visitor.page.locator(".frv-doubt-switch").is_hidden()


def test_the_place_is_held_back_with_the_result(visitor: Visitor, server: Server, nifti: Path) -> None:
    visitor.open(nifti)
    visitor.page.check("#fr-blind input")
    with server.miss():
        visitor.analyse()
    assert "Check slices" not in visitor.page.content()
    assert visitor.page.locator(".frv-doubt-mark").count() == 0
