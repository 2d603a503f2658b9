"""Pictures for the README from the running page: ``python -m tests.browser.screenshots``.

Opens an example case with the shipped models in Chromium and writes ``assets/screenshots/*.png``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import FLAGS, start_server
from tests.servers import ROOT

MINUTES_MS = 10 * 60_000


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "assets" / "screenshots")
    parser.add_argument("--case", type=Path, default=ROOT / "assets" / "examples" / "abdomen_t2_dicom.zip")
    parser.add_argument("--slice", type=int, default=23, help="to show, counted from 1 below")
    parser.add_argument("--stand-in", action="store_true", help="the tests' stand-in instead of the shipped models")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        server = contextmanager(start_server)(Path(folder), *([] if given.stand_in else ["--shipped"]))
        with server as page, sync_playwright() as playwright:
            chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            for scheme, size in (("light", (1280, 800)), ("dark", (1280, 800)), ("light", (820, 1180))):
                take(browser, page.address, given.case, given.slice, given.out, scheme, size)
            browser.close()


def take(
    browser: Browser, address: str, case: Path, number: int, out: Path, scheme: str, size: tuple[int, int]
) -> None:
    """One case in one look: the result beside the slices, and for the desk the review form and the other planes."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=1,
    )
    context.set_default_timeout(MINUTES_MS)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector(".frv-stage")
    page.set_input_files("#fr-upload input[type=file]", case)
    page.wait_for_selector('.fr-viewer[data-state="ready"]')
    page.click("#fr-analyse")
    page.wait_for_selector(".fr-verdict")
    page.wait_for_selector('.fr-viewer[data-state="ready"]')
    page.wait_for_timeout(2500)
    while not page.inner_text(".frv-counter").startswith(f"slice {number} /"):
        before = page.inner_text(".frv-counter")
        page.locator(".frv-stage").press("ArrowUp" if int(before.split()[1]) < number else "ArrowDown")
        page.wait_for_function("(was) => document.querySelector('.frv-counter').innerText !== was", arg=before)
    page.wait_for_timeout(1000)
    device = "tablet" if size[0] < 1000 else "desk"
    page.screenshot(path=out / f"result_{device}_{scheme}.png")
    if (device, scheme) == ("desk", "light"):
        planes(page, out)
        review(page, out)
    context.close()


def planes(page: Page, out: Path) -> None:
    """The viewer in its other planes."""
    for plane in ("coronal", "render"):
        page.click(f".frv-{plane}-button")
        page.wait_for_timeout(1500)
        page.locator(".fr-viewer").screenshot(path=out / f"viewer_{plane}.png")
    page.click(".frv-axial-button")


def review(page: Page, out: Path) -> None:
    """A saved review and the table of the visit."""
    page.fill("#fr-reader input, #fr-reader textarea", "R1")
    for question, words in (
        ("agreement", "Agree"),
        ("quality", "1 excellent"),
        ("advanced", "No"),
        ("confidence", "4"),
    ):
        page.locator(f"#fr-{question} label", has_text=words).first.click()
    page.click("#fr-save")
    page.wait_for_selector(".fr-table")
    page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")
    page.wait_for_timeout(500)
    page.screenshot(path=out / "review_desk_light.png")


if __name__ == "__main__":
    main()
