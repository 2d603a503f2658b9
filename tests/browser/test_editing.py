"""Correcting the outline: drawn with mouse and keys, undone, kept over a reload, classified again, reviewed."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.browser.conftest import Server, Visitor

pytestmark = pytest.mark.browser
STEPS = 50
COUNT = "() => window.fibroViewer.editor.mask.count"
MASK = "() => [...window.fibroViewer.editor.mask.runs]"


def start(visitor: Visitor, file: Path) -> None:
    """Open and analyse a case, and start correcting it."""
    visitor.open(file)
    visitor.analyse()
    edit(visitor)


def edit(visitor: Visitor) -> None:
    visitor.page.wait_for_selector(".frv-edit:enabled")
    if visitor.page.locator(".frv-editing").is_hidden():
        visitor.page.click(".frv-edit")
    visitor.page.wait_for_selector('.fr-viewer[data-editing="yes"]')


def middle(visitor: Visitor) -> tuple[float, float]:
    """The middle of the stage: between liver and spleen."""
    box = visitor.page.locator(".frv-stage").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(visitor: Visitor, *places: tuple[float, float]) -> None:
    """Press the mouse at the first place and release it at the last, pixels from the middle of the stage."""
    x, y = middle(visitor)
    mouse = visitor.page.mouse
    mouse.move(x + places[0][0], y + places[0][1])
    mouse.down()
    for across, down in places[1:]:
        mouse.move(x + across, y + down, steps=4)
    mouse.up()


def count(visitor: Visitor) -> int:
    return visitor.page.evaluate(COUNT)


def mask_runs(visitor: Visitor) -> list[int]:
    return visitor.page.evaluate(MASK)


def last_step_xyz(visitor: Visitor) -> list[float]:
    """The middle of what the last step changed, 0-1 along x (right to left), y (front to back), z (feet to head)."""
    return visitor.page.evaluate(
        """() => { const viewer = window.fibroViewer, [nx, ny, nz] = viewer.value.size_xyz, sum = [0, 0, 0];
        const { runs } = viewer.editor.mask.done.at(-1);
        let voxels = 0;
        for (let i = 0; i < runs.length; i += 2) for (let at = runs[i]; at < runs[i] + runs[i + 1]; at++, voxels++) {
          sum[0] += (at % nx + 0.5) / nx;
          sum[1] += (Math.floor(at / nx) % ny + 0.5) / ny;
          sum[2] += (Math.floor(at / nx / ny) + 0.5) / nz;
        }
        return sum.map((one) => one / voxels); }"""
    )


def accept_questions(visitor: Visitor) -> list[str]:
    """From now on every question is answered by yes; the questions."""
    asked: list[str] = []
    visitor.page.on("dialog", lambda dialog: (asked.append(f"{dialog.type} {dialog.message}"), dialog.accept()))
    return asked


def test_draw_undo_reload_classify_and_review(visitor: Visitor, server: Server, nifti: Path) -> None:
    page = visitor.page
    asked = accept_questions(visitor)
    start(visitor, nifti)
    model, at_first = mask_runs(visitor), count(visitor)
    counts = [at_first]
    page.locator(".frv-size-slider").fill("2")
    for number in range(STEPS):
        place = (30 + 16 * (number % 10), -60 + 16 * (number // 10))  # farther apart than voxels
        drag(visitor, place, place)
        counts.append(count(visitor))
    assert counts == sorted(set(counts)), "each stroke adds something"
    drawn = mask_runs(visitor)
    for expected in reversed(counts[:-1]):
        page.keyboard.press("Control+z")
        assert count(visitor) == expected
    assert mask_runs(visitor) == model
    for _ in range(STEPS):
        page.keyboard.press("Control+Shift+Z")
    assert mask_runs(visitor) == drawn
    page.click(".frv-undo-button")
    page.keyboard.press("Control+y")
    assert mask_runs(visitor) == drawn

    page.wait_for_timeout(500)  # what was drawn is being kept
    page.reload()
    page.wait_for_selector(".frv-stage")
    assert any(question.startswith("beforeunload") for question in asked)
    visitor.open(nifti)
    visitor.analyse()
    page.wait_for_selector("text=is back")
    assert mask_runs(visitor) == drawn
    page.keyboard.press("Control+z")
    assert count(visitor) == counts[-2], "the steps are back as well"
    page.keyboard.press("Control+y")

    page.click(".frv-classify-button")
    page.wait_for_selector(".fr-compared")
    compared = page.inner_text(".fr-compared")
    ml = 6.5 * 6.0 * 20.0 / 1000
    shown = [f"{at_first * ml:.0f} mL", f"{counts[-1] * ml:.0f} mL", "62 %"]
    assert all(words in compared for words in shown), compared
    dice = 2 * at_first / (at_first + counts[-1])
    assert f"Dice {dice:.3f}" in compared
    assert page.locator(".frv-classify-button").is_disabled(), "it is classified"

    files: dict[str, Path] = {}
    for link in page.locator(".fr-downloads a", has_text="iver mask").all():
        with page.expect_download() as download:
            link.click()
        files[download.value.suggested_filename.split("_", 1)[1]] = download.value.path()
    assert set(files) == {"liver_mask.nii.gz", "liver_mask_edited.nii.gz"}
    voxels = {}
    for name, file in files.items():
        copy = file.with_name(f"{file.name}.nii.gz")
        copy.write_bytes(file.read_bytes())
        voxels[name] = int(sitk.GetArrayFromImage(sitk.ReadImage(str(copy))).sum())
    assert voxels == {"liver_mask.nii.gz": at_first, "liver_mask_edited.nii.gz": counts[-1]}

    visitor.answer_all("R8")
    assert visitor.save().startswith("Saved")
    row = [row for row in server.rows() if row["reader"] == "R8"][-1]
    assert row["mask_edited"] == "yes"
    assert row["mask_sha256"] == sha256(files["liver_mask_edited.nii.gz"].read_bytes()).hexdigest()
    assert float(row["probability"]) == pytest.approx(0.62 + counts[-1] / at_first - 1)


def test_tools_keys_planes_and_reset(visitor: Visitor, server: Server, nifti: Path) -> None:
    page = visitor.page
    asked = accept_questions(visitor)
    start(visitor, nifti)
    at_first, model = count(visitor), mask_runs(visitor)
    before = visitor.picture()
    page.keyboard.press("c")
    drag(visitor, (0, -20), (60, -20), (60, 40), (0, 40))
    contour = count(visitor)
    assert contour > at_first + 8
    x, y, _ = last_step_xyz(visitor)
    assert (x, y) == (pytest.approx(0.55, abs=0.03), pytest.approx(0.52, abs=0.03)), "where it was drawn"
    assert float(np.abs(visitor.picture() - before).max()) > 20, "it is seen"
    page.keyboard.press("e")
    drag(visitor, (-40, 0), (70, 10))
    erased = count(visitor)
    assert erased < contour
    size = page.inner_text(".frv-size-value")
    page.keyboard.press("]")
    assert page.inner_text(".frv-size-value") != size
    page.keyboard.press("[")
    assert page.inner_text(".frv-size-value") == size

    page.keyboard.press("b")
    for plane in ("coronal", "sagittal"):
        page.click(f".frv-{plane}-button")
        seen = count(visitor)
        drag(visitor, (90, -150), (120, -150))
        assert count(visitor) > seen, plane
        across, front, up = last_step_xyz(visitor)
        assert up > 0.7, "above the middle is towards the head"
        assert (across if plane == "coronal" else front) > 0.55, "right of the middle: the patient's left, or the back"
    seen = count(visitor)
    stage = page.locator(".frv-stage")
    for _ in range(3):
        stage.press("Shift+ArrowRight")
    stage.press("[")
    slice_before = visitor.counter
    stage.press("ArrowUp")
    assert visitor.counter != slice_before, "the arrow keys step through the slices as before"
    stage.press(" ")
    assert count(visitor) > seen, "a stamp at the cursor"
    page.click(".frv-undo-button")
    assert count(visitor) == seen

    x, y = middle(visitor)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 60, steps=4)
    page.keyboard.press("Escape")
    page.mouse.up()
    assert count(visitor) == seen, "an abandoned stroke changes nothing"

    page.click(".frv-reset-button")
    assert "Go back to the model's outline?" in asked[-1]
    assert mask_runs(visitor) == model
    page.keyboard.press("Control+z")
    assert count(visitor) == seen
    page.keyboard.press("Escape")
    assert page.locator(".frv-editing").is_hidden()
    page.click(".frv-axial-button")
    window = page.inner_text(".frv-caption")
    drag(visitor, (0, 0), (50, 0))
    assert page.inner_text(".frv-caption") != window, "drag sets the window again"
    assert count(visitor) == seen

    visitor.answer_all("R9")
    assert visitor.save().startswith("Saved")
    assert "was not classified: this review is of the outline that was" in asked[-1]
    row = [row for row in server.rows() if row["reader"] == "R9"][-1]
    assert (row["mask_edited"], float(row["probability"])) == ("no", pytest.approx(0.62))


def test_slices_between_drawn_ones_are_filled(visitor: Visitor, nifti: Path) -> None:
    page = visitor.page
    start(visitor, nifti)
    stage = page.locator(".frv-stage")
    assert page.locator(".frv-fill-button").is_disabled()
    page.keyboard.press("c")
    for slice_, reach in ((3, 20), (6, 60)):
        page.locator(".frv-slider").fill(str(slice_))
        drag(visitor, (20, -reach), (20 + reach, -reach), (20 + reach, reach), (20, reach))
    stage.focus()
    seen = count(visitor)
    page.keyboard.press("f")
    assert "Filled slices 5–6." in page.inner_text(".frv-edit-note")
    assert count(visitor) != seen
    areas = page.evaluate(
        """() => { const { mask } = window.fibroViewer.editor, n = 48 * 40;
        return [3, 4, 5, 6].map((z) => mask.voxels.subarray(z * n, (z + 1) * n).reduce((a, b) => a + b, 0)); }"""
    )
    assert areas == sorted(areas)
    page.keyboard.press("Control+z")
    assert count(visitor) == seen, "one step"


def test_a_case_is_not_left_without_a_question(visitor: Visitor, nifti: Path, other_nifti: Path) -> None:
    page = visitor.page
    asked: list[str] = []
    answers = iter([False, True])
    page.on(
        "dialog",
        lambda dialog: (asked.append(dialog.message), dialog.accept() if next(answers) else dialog.dismiss()),
    )
    start(visitor, nifti)
    drag(visitor, (20, 0), (60, 0))
    drawn = mask_runs(visitor)
    page.set_input_files("#fr-upload input[type=file]", other_nifti)
    page.wait_for_timeout(800)
    assert len(asked) == 1
    assert "was not classified" in asked[0]
    assert mask_runs(visitor) == drawn
    page.set_input_files("#fr-upload input[type=file]", [])
    page.set_input_files("#fr-upload input[type=file]", other_nifti)
    page.wait_for_function("() => window.fibroViewer.value?.size_xyz[2] === 16")
    assert len(asked) == 2
    visitor.open(nifti)
    page.wait_for_function("() => window.fibroViewer.value?.size_xyz[2] === 12")
    visitor.analyse()
    page.wait_for_selector("text=is back")
    assert mask_runs(visitor) == drawn
    page.click("#fr-delete")
    page.click("#fr-delete-now")
    page.wait_for_selector("text=Deleted.")
    start(visitor, nifti)
    assert page.locator("text=is back").count() == 0, "deleted in the browser too"


def test_without_webgl2_the_button_says_why(new_visitor: Callable[..., Visitor], nifti: Path) -> None:
    visitor = new_visitor("/?viewer=server")
    visitor.open(nifti)
    visitor.analyse()
    button = visitor.page.locator(".frv-edit")
    button.wait_for()
    assert button.is_disabled()
    assert button.get_attribute("title") == "Editing needs WebGL2"
