"""The whole job as a reader does it: open, analyse, browse, judge, save."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.browser.conftest import Server, Visitor

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Route

pytestmark = pytest.mark.browser


def differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two pictures differ by more than noise."""
    return one.shape != other.shape or float(np.abs(one - other).max()) > 20


def test_nifti_from_upload_to_row(visitor: Visitor, server: Server, nifti: Path) -> None:
    visitor.open(nifti)
    assert visitor.counter == "slice 7 / 12"
    visitor.analyse()
    assert "62 %" in visitor.page.inner_text("#fr-result")
    assert "means nothing for a patient" in visitor.page.inner_text("#fr-result")
    assert visitor.counter == "slice 8 / 12", "opens on the slice with the largest liver area"

    before = len(server.rows())
    assert "agreement with the model" in (visitor.answer(reader="R1"), visitor.save())[1]
    assert len(server.rows()) == before, "an unfinished review is not saved"
    visitor.answer_all()
    visitor.page.locator(".frv-stage").press("ArrowUp")
    said = visitor.save()
    visitor.page.wait_for_selector(".fr-table")

    row = server.rows()[-1]
    assert row["review_id"][:8] in visitor.page.inner_text("#fr-saved"), said
    answered = {key: row[key] for key in ("reader", "arm", "agreement", "advanced_fibrosis", "confidence")}
    assert answered == {
        "reader": "R1",
        "arm": "open",
        "agreement": "agree",
        "advanced_fibrosis": "yes",
        "confidence": "4",
    }
    assert row["segmentation_quality"] == "2"
    assert float(row["probability"]) == pytest.approx(0.62)
    assert row["slices_viewed"] == "7|8|9", "as the counter said"
    assert row["overlays_opened"] == "mask|heat"
    assert row["after_reveal"] == "yes"


def test_dicom_zip_from_upload_to_row(visitor: Visitor, server: Server, dicom_zip: Path) -> None:
    visitor.open(dicom_zip)
    assert "axial T2" in visitor.page.inner_text("#fr-series")
    visitor.analyse()
    before = visitor.picture()
    visitor.page.locator(".frv-stage").press("ArrowDown")
    assert differ(before, visitor.picture())
    visitor.answer_all("R2")
    assert visitor.save().startswith("Saved as review")
    assert server.rows()[-1]["reader"] == "R2"


def test_browsing_changes_the_picture_without_a_request(visitor: Visitor, nifti: Path) -> None:
    visitor.open(nifti)
    visitor.analyse()
    page, stage = visitor.page, visitor.page.locator(".frv-stage")
    page.wait_for_timeout(1500)
    asked = len(visitor.requests)
    seen = [visitor.picture()]

    def changed() -> bool:
        seen.append(visitor.picture())
        return differ(seen[-2], seen[-1])

    stage.hover()
    page.mouse.wheel(0, 120)
    assert changed()
    assert visitor.counter == "slice 7 / 12"
    stage.press("ArrowRight")
    assert changed()
    assert visitor.counter == "slice 8 / 12"
    page.locator(".frv-slider").fill("2")
    assert changed()
    assert visitor.counter == "slice 3 / 12"
    stage.press("End")
    assert visitor.counter == "slice 12 / 12"
    page.locator(".frv-slider").fill("7")
    changed()

    for control in (".frv-mask-on", ".frv-heat-on"):
        page.uncheck(control)
        assert changed(), control
        page.check(control)
        assert changed(), control
    page.select_option(".frv-mask-style", "fill")
    assert changed()
    page.locator(".frv-mask-opacity").fill("0.2")
    assert changed()
    for button in (".frv-liver-button", ".frv-inverted-button", ".frv-coronal-button", ".frv-sagittal-button"):
        page.click(button)
        assert changed(), button
    page.click(".frv-inverted-button")
    page.click(".frv-full-button")
    changed()
    box = stage.bounding_box()
    assert box
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 220, box["y"] + 100, steps=3)
    page.mouse.up()
    assert changed(), "drag sets the window"
    page.click(".frv-render-button")
    assert changed()
    assert visitor.requests[asked:] == [], "browsing asks the server for nothing"


def test_a_slice_step_is_fast(visitor: Visitor, nifti: Path) -> None:
    visitor.open(nifti)
    visitor.analyse()
    took = visitor.page.evaluate(
        """() => { const v = window.fibroViewer, start = performance.now();
        for (let i = 0; i < 40; i++) v.goTo(i % 12);
        return (performance.now() - start) / 40; }"""
    )
    assert took < 16


def test_two_clicks_save_one_row(visitor: Visitor, server: Server, nifti: Path) -> None:
    visitor.open(nifti)
    visitor.analyse()
    visitor.answer_all("R3")
    visitor.page.evaluate("() => { const b = document.querySelector('#fr-save'); b.click(); b.click(); }")
    visitor.page.wait_for_selector(".fr-table")
    assert "Already saved" in visitor.save()
    assert len([row for row in server.rows() if row["reader"] == "R3"]) == 1

    visitor.answer(agreement="Disagree")
    visitor.page.click("#fr-save")
    visitor.page.wait_for_function("() => document.querySelectorAll('.fr-table tbody tr').length === 2")
    first, second = (row for row in server.rows() if row["reader"] == "R3")
    assert second["revises"] == first["review_id"]
    assert (first["agreement"], second["agreement"]) == ("agree", "disagree")


def test_reading_before_the_ai_holds_the_result_back(visitor: Visitor, server: Server, nifti: Path) -> None:
    visitor.open(nifti)
    visitor.page.check("#fr-blind input")
    visitor.analyse()
    page = visitor.page
    assert "hidden" in page.inner_text("#fr-result")
    assert page.locator(".frv-overlays").is_hidden()
    assert page.locator("#fr-agreement").is_hidden()
    assert "62 %" not in page.content()
    volume = next(url for url in visitor.requests if url.endswith("volume.nii.gz"))
    for name in ("liver", "outline", "heat"):
        answer = page.request.get(volume.replace("volume.nii.gz", f"{name}.nii.gz"))
        assert answer.status == 403, "what is held back is not served under any name"

    visitor.answer(reader="R4", advanced="No", confidence="3")
    assert "shown now" in visitor.save()
    page.wait_for_selector(".fr-verdict")
    page.wait_for_selector(".frv-overlays:visible")
    first = server.rows()[-1]
    assert (first["after_reveal"], first["agreement"], first["probability"]) == ("no", "", "")
    visitor.answer(agreement="Unsure", quality="1 excellent")
    page.click("#fr-save")
    page.wait_for_function("() => document.querySelectorAll('.fr-table tbody tr').length === 2")
    second = server.rows()[-1]
    assert (second["after_reveal"], second["revises"]) == ("yes", ""), "both readings count"


def test_two_visitors_see_only_their_own(
    new_visitor: Callable[[], Visitor], server: Server, nifti: Path, other_nifti: Path
) -> None:
    one, two = new_visitor(), new_visitor()
    one.open(nifti)
    two.open(other_nifti)
    with server.hold():
        one.page.click("#fr-analyse")
        one.page.wait_for_selector("text=Segmenting the liver")
        two.page.click("#fr-analyse")
        two.page.wait_for_selector("text=1 ahead of you")
    for visitor in (one, two):
        visitor.page.wait_for_selector(".fr-verdict")
    case = [visitor.page.inner_text(".fr-result .fr-mono") for visitor in (one, two)]
    assert case[0] != case[1]
    assert (one.counter.split("/")[1], two.counter.split("/")[1]) == (" 12", " 16")
    one.answer_all("R5")
    one.save()
    one.page.wait_for_selector(".fr-table")
    assert two.page.locator(".fr-table").count() == 0
    assert "R5" not in two.page.inner_text("#fr-reviews")


def test_a_slow_case_never_comes_back_over_the_next_one(visitor: Visitor, nifti: Path, other_nifti: Path) -> None:
    page = visitor.page
    slow: list[tuple[Route, APIResponse]] = []

    def hold_the_first(route: Route) -> None:
        if slow:
            route.continue_()
        else:
            slow.append((route, route.fetch()))

    page.route("**/volume.nii.gz", hold_the_first)
    page.set_input_files("#fr-upload input[type=file]", nifti)
    page.wait_for_selector('.fr-viewer[data-state="loading"]')
    page.wait_for_selector("#fr-analyse:enabled")
    while not slow:  # else a busy machine asks for the file only once the next case has deleted it
        page.wait_for_timeout(50)
    page.set_input_files("#fr-upload input[type=file]", other_nifti)
    page.wait_for_function("() => window.fibroViewer.value?.size_xyz[2] === 16")
    page.wait_for_timeout(1000)
    route, answer = slow[0]
    route.fulfill(response=answer)
    page.wait_for_selector('.fr-viewer[data-state="ready"]')
    page.wait_for_timeout(1000)
    assert page.evaluate("() => window.fibroViewer.drawing.nv.volumes.map((volume) => volume.hdr.dims[3])") == [16]
    visitor.analyse()
    depths = page.evaluate("() => window.fibroViewer.drawing.nv.volumes.map((volume) => volume.hdr.dims[3])")
    assert depths == [16] * 4


def test_an_unforeseen_fault_is_said_and_the_case_can_be_analysed_again(
    visitor: Visitor, server: Server, nifti: Path
) -> None:
    visitor.open(nifti)
    with server.fault():
        visitor.page.click("#fr-analyse")
        visitor.page.wait_for_selector("text=Unexpected error")
    assert visitor.page.locator("#fr-stop").is_hidden()
    visitor.errors.clear()  # Gradio's own note of the failed event
    visitor.analyse()


def test_stop_ends_the_analysis_and_a_closed_tab_deletes_the_case(
    new_visitor: Callable[[], Visitor], server: Server, nifti: Path
) -> None:
    leaving, staying = new_visitor(), new_visitor()
    leaving.open(nifti)
    with server.hold():
        leaving.page.click("#fr-analyse")
        leaving.page.wait_for_selector("text=Segmenting the liver")
        leaving.page.click("#fr-stop")
        leaving.page.wait_for_selector("text=Cancelled")
    assert leaving.page.locator("#fr-form").is_hidden()
    leaving.analyse()
    volume = next(url for url in leaving.requests if url.endswith("volume.nii.gz"))
    assert leaving.page.request.get(volume).status == 200
    assert staying.page.request.get(volume).status == 403  # another browser's
    file = Path(volume.split("file=", 1)[1])
    assert file.is_file()
    leaving.page.close()
    for _ in range(40):
        if not file.exists():
            break
        staying.page.wait_for_timeout(250)
    assert not file.exists()


def test_a_case_is_deleted_on_request(visitor: Visitor, nifti: Path) -> None:
    page = visitor.page
    assert page.locator("#fr-delete").is_hidden()
    visitor.open(nifti)
    visitor.analyse()
    file = Path(next(url for url in visitor.requests if url.endswith("volume.nii.gz")).split("file=", 1)[1])
    page.click("#fr-delete")
    page.click("#fr-keep")
    page.click("#fr-delete")
    assert file.is_file()
    page.click("#fr-delete-now")
    page.wait_for_selector("text=Deleted. Saved reviews stay.")
    assert not file.exists()
    assert page.locator("#fr-form").is_hidden()
    assert page.locator("#fr-delete").is_hidden()


def test_the_page_is_still_while_the_server_works(visitor: Visitor, server: Server, nifti: Path) -> None:
    page = visitor.page
    visitor.open(nifti)
    with server.hold():
        page.click("#fr-analyse")
        page.wait_for_selector("text=Segmenting the liver")
        page.wait_for_timeout(500)
        changes, animations = page.evaluate(
            """() => new Promise((answer) => {
              let changes = 0;
              const watcher = new MutationObserver((seen) => { changes += seen.length; });
              watcher.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
              setTimeout(() => answer([changes, document.getAnimations().length]), 1000);
            })"""
        )
        assert (changes, animations) == (0, 0)
        moving = "(e) => getComputedStyle(e).transitionDuration"
        assert page.locator(".fr-progress-track div").evaluate(moving) == "0s", "an update is drawn once"
    page.wait_for_selector("#fr-form")


def test_what_cannot_be_read_is_refused_and_the_next_upload_works(
    visitor: Visitor, nifti: Path, tmp_path: Path
) -> None:
    visitor.open(nifti)
    visitor.analyse()
    letter = tmp_path / "letter_of_Mr_Smith.txt"
    letter.write_text("no image")
    visitor.page.set_input_files("#fr-upload input[type=file]", letter)
    alert = visitor.page.locator('#fr-status [role="alert"]')
    alert.wait_for()
    assert "Smith" not in alert.inner_text()
    assert "/" not in alert.inner_text().replace(" / ", "")
    assert visitor.page.locator(".fr-verdict").count() == 0, "the previous case's result is gone"
    assert visitor.page.locator('.fr-viewer[data-state="empty"]').count() == 1
    visitor.open(nifti)
    visitor.analyse()
    assert visitor.page.locator(".fr-verdict").count() == 1


def test_downloads_are_named_by_the_case(visitor: Visitor, nifti: Path) -> None:
    visitor.open(nifti)
    visitor.analyse()
    case = visitor.page.inner_text(".fr-result .fr-mono").removeprefix("Case ")
    names = set()
    for link in visitor.page.locator(".fr-downloads a").all():
        with visitor.page.expect_download() as download:
            link.click()
        names.add(download.value.suggested_filename)
    endings = {"liver_mask.nii.gz", "heatmap.nii.gz", "organs.nii.gz", "analysis.json", "report.pdf"}
    assert names == {f"{case}_{ending}" for ending in endings}
