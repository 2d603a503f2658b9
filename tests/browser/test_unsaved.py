"""An unsaved review asks before its case is left; a saved one, and an untouched form, do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import Visitor, sync_api

pytestmark = pytest.mark.browser


class Questions:
    """Questions that the page asked, and the answer that it gets."""

    def __init__(self, page: sync_api.Page) -> None:
        self.asked: list[str] = []
        self.leave = False
        page.on("dialog", self._answer)

    def _answer(self, dialog: sync_api.Dialog) -> None:
        self.asked.append(dialog.message)
        (dialog.accept if self.leave else dialog.dismiss)()


@pytest.fixture
def questions(visitor: Visitor) -> Iterator[Questions]:
    return Questions(visitor.page)


def test_answers_that_were_not_saved_are_asked_about(visitor: Visitor, questions: Questions, nifti: Path) -> None:
    page = visitor.page
    visitor.open(nifti)
    visitor.analyse()
    visitor.answer(reader="R1")  # stays from case to case
    page.click("#fr-analyse")
    page.wait_for_selector("#fr-form", state="hidden")
    page.wait_for_selector("#fr-form")
    assert questions.asked == []
    visitor.answer(advanced="Yes")
    page.click("#fr-examples button >> nth=0")
    assert len(questions.asked) == 1
    page.wait_for_timeout(600)
    page.click("#fr-analyse")
    assert len(questions.asked) == 2
    page.wait_for_timeout(600)
    assert page.locator("#fr-advanced input:checked").count() == 1
    assert page.inner_text(".fr-opened") == nifti.name
    questions.leave = True
    page.click("#fr-examples button >> nth=0")
    page.wait_for_function("() => document.querySelector('.fr-opened').textContent === 'NIfTI example'")
    assert len(questions.asked) == 3
    assert "not saved" in questions.asked[0]


def test_a_saved_review_is_left_and_opened_again(
    visitor: Visitor, questions: Questions, nifti: Path, other_nifti: Path
) -> None:
    page = visitor.page
    visitor.open(nifti)
    visitor.analyse()
    visitor.answer_all()
    assert "Saved" in visitor.save()
    case = page.inner_text(".fr-result header .fr-mono")
    visitor.open(other_nifti)
    page.wait_for_selector("#fr-form", state="hidden")
    page.locator("#fr-reopen label", has_text="R1: yes").click()
    page.wait_for_selector("#fr-form")
    page.wait_for_selector('.fr-viewer[data-state="ready"]')
    assert page.inner_text(".fr-result header .fr-mono") == case
    assert page.locator("#fr-advanced input:checked").count() == 1
    assert page.locator(".frv-overlays").is_visible()
    visitor.answer(advanced="No")
    page.click("#fr-save")
    page.locator("#fr-saved", has_text="a correction of").wait_for()
    assert questions.asked == []


def test_an_answer_changed_after_a_save_is_asked_about_too(visitor: Visitor, questions: Questions, nifti: Path) -> None:
    page = visitor.page
    visitor.open(nifti)
    visitor.analyse()
    visitor.answer_all()
    visitor.save()
    visitor.answer(advanced="No")
    page.locator(".frv-stage").press("ArrowUp")  # the page changes, and the message of the save still stands
    page.wait_for_timeout(300)
    page.click("#fr-examples button >> nth=0")
    page.wait_for_timeout(600)
    assert len(questions.asked) == 1
    assert page.inner_text(".fr-opened") == nifti.name
