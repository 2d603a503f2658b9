"""A reader study in pictures, for docs/reader-studies.md: ``python -m tests.browser.study_screenshots``.

Prepares a small study with the shipped models, reads it in Chromium and writes ``assets/screenshots/study_*.png``.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import tempfile
from pathlib import Path

import SimpleITK as sitk
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from pipeline.commands.study import _analyse, _models
from pipeline.reader_study.prepare import Prepared, StudySettings, prepare
from pipeline.reader_study.protocol import Design, write_protocol
from pipeline.reader_study.readers_file import read_readers
from pipeline.reader_study.study_cases import plan_cases
from pipeline.reader_study.study_folder import StudyFolder
from pipeline.reader_study.work_list import reads_of
from tests.browser.conftest import FLAGS
from tests.browser.reading_room import Person, running_room
from tests.phantoms import make_volume_image
from tests.reader_study.prepared import MODELS, stand_in, write_readers
from tests.servers import ROOT

EXAMPLES = ROOT / "assets" / "examples"
LARGEST = 118_000
"""Of a file, bytes; grey images with fewer colours lose nothing that is seen."""
WIDTH = 980
SIZE = {"width": 1180, "height": 768}


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "assets" / "screenshots")
    parser.add_argument("--stand-in", action="store_true", help="the tests' stand-in instead of the shipped models")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder, prepared = _study(Path(name), stand_in_models=given.stand_in)
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        with running_room(folder, prepared) as room:
            reader = Person.arrive(browser, room, "R1", viewport=SIZE, color_scheme="light")
            _read(reader, given.out)
            reader.leave()
            coordinator = Person.arrive(browser, room, "K1", viewport={**SIZE, "height": 560}, color_scheme="light")
            _picture(coordinator.page, given.out / "study_coordinator.png")
            coordinator.leave()
        browser.close()


def _study(folder: Path, *, stand_in_models: bool) -> tuple[StudyFolder, Prepared]:
    """The examples, one of them for practice, and phantoms, which no picture shows."""
    images = folder / "cohort"
    images.mkdir()
    for example in ("abdomen_t2.nii.gz", "abdomen_t2_dicom.zip"):
        shutil.copy(EXAMPLES / example, images)
    sitk.WriteImage(make_volume_image(), str(images / "Phantom_2.nii.gz"))
    with (images / "manifest.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["patient_id", "image", "metavir", "label_source"])
        rows.writerow(["a", "abdomen_t2.nii.gz", "F1", "histology"])
        rows.writerow(["b", "abdomen_t2_dicom.zip", "F1", "histology"])
        rows.writerow(["c", "Phantom_2.nii.gz", "F4", "histology"])
    question = "Do readers find advanced fibrosis better with the AI's result?"
    settings = StudySettings(name="liver-2026", design=Design.SEQUENTIAL, seed=0, washout_days=0.0, question=question)
    planned = plan_cases(images / "manifest.csv", settings.name, 1)
    target = StudyFolder(folder / "study")
    models = MODELS if stand_in_models else _models("liver_t2", "fibrosis_t2")
    analyse = stand_in(images) if stand_in_models else _analyse("liver_t2", "fibrosis_t2", "cpu")
    people = read_readers(write_readers(folder))
    made = prepare(target, settings, people, planned, models, analyse, lambda done, total: None)
    protocol = made.protocol
    # The example comes first.
    while reads_of(protocol, "R1")[2].case_id != planned.cases[1].case_id:
        protocol = protocol.model_copy(update={"seed": protocol.seed + 1})
    write_protocol(target.protocol_file, protocol)
    return target, Prepared(protocol, made.invitations)


def _read(reader: Person, out: Path) -> None:
    """The practice case, then the first case before and after the reveal."""
    page = reader.page
    reader.go_on()
    for _ in range(2):
        reader.ready()
        reader.answer()
        reader.save()
        reader.go_on()
    _picture(page, out / "study_feedback.png")
    page.goto(reader.room.address)
    _picture(page, out / "study_work_list.png")
    reader.go_on()
    reader.ready()
    page.wait_for_timeout(1500)
    reader.press("?")
    _picture(page, out / "study_keys.png")
    page.keyboard.press("Escape")
    reader.answer(35, "n", 3)
    _picture(page, out / "study_unaided.png")
    reader.save()
    reader.go_on()
    reader.ready()
    reader.answer(30, "n", 4)
    _picture(page, out / "study_aided.png")
    reader.save()


def _picture(page: Page, file: Path) -> None:
    page.wait_for_timeout(1200)
    page.screenshot(path=file)
    picture = Image.open(file).convert("RGB")
    picture = picture.resize((WIDTH, WIDTH * picture.height // picture.width), Image.Resampling.LANCZOS)
    for colours in range(256, 16, -16):
        picture.quantize(colours, dither=Image.Dither.NONE).save(file, optimize=True)
        if file.stat().st_size < LARGEST:
            return


if __name__ == "__main__":
    main()
