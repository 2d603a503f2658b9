"""axe-core finds nothing serious on any state of the page, light and dark; everything works by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.axe import serious_faults
from tests.browser.conftest import Server, Visitor

pytestmark = pytest.mark.browser
THEMES = pytest.mark.parametrize("theme", ["light", "dark"])


def faults(visitor: Visitor) -> list[str]:
    return serious_faults(visitor.page)


@THEMES
def test_no_state_of_the_page_has_a_serious_fault(
    theme: str, new_visitor: Callable[..., Visitor], server: Server, nifti: Path, tmp_path: Path
) -> None:
    visitor = new_visitor(f"/?__theme={theme}")
    page = visitor.page
    assert faults(visitor) == []
    (tmp_path / "notes.txt").write_text("no image")
    page.set_input_files("#fr-upload input[type=file]", tmp_path / "notes.txt")
    page.wait_for_selector("#fr-status .fr-error")
    assert faults(visitor) == []
    visitor.open(nifti)
    assert faults(visitor) == []
    with server.miss():
        visitor.analyse()
    for details in page.locator("details").all():
        details.evaluate("(one) => { one.open = true; }")
    assert faults(visitor) == []
    for plane in ("coronal", "render"):
        page.click(f".frv-{plane}-button")
        assert faults(visitor) == []
    visitor.save()  # refused: nothing was answered
    assert faults(visitor) == []
    visitor.answer_all()
    visitor.save()
    page.click("#fr-delete")
    assert faults(visitor) == []


@THEMES
def test_a_hidden_result_has_no_serious_fault(theme: str, new_visitor: Callable[..., Visitor], nifti: Path) -> None:
    visitor = new_visitor(f"/?__theme={theme}")
    visitor.open(nifti)
    visitor.page.check("#fr-blind input")
    visitor.analyse()
    assert faults(visitor) == []


def test_what_is_stored_has_no_serious_fault(visitor: Visitor, server: Server) -> None:
    visitor.page.goto(f"{server.address}/privacy")
    assert faults(visitor) == []
