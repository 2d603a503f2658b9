"""A real Chromium on the running page. Skips with a reason where no Chromium is found."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.phantoms import make_volume_image, write_dicom_series, zip_folder
from tests.servers import running

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
FLAGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_MS = 60_000
HOLD, FAULT, MISS = "hold", "fault", "miss"


@dataclass(frozen=True)
class Server:
    """A running page."""

    address: str
    reviews: Path

    @contextmanager
    def hold(self) -> Iterator[None]:
        """No analysis gets on within this block."""
        with self._file(HOLD):
            yield

    @contextmanager
    def fault(self) -> Iterator[None]:
        """Every analysis ends by a fault within this block."""
        with self._file(FAULT):
            yield

    @contextmanager
    def miss(self) -> Iterator[None]:
        """Every mask lacks a part of the liver within this block, and says so."""
        with self._file(MISS):
            yield

    @contextmanager
    def _file(self, name: str) -> Iterator[None]:
        file = self.reviews.parent / name
        file.touch()
        try:
            yield
        finally:
            file.unlink()

    def rows(self) -> list[dict[str, str]]:
        """All rows of its review files."""
        found: list[dict[str, str]] = []
        for file in sorted(self.reviews.glob("reviews-*.csv")):
            with open(file, encoding="utf-8", newline="") as lines:
                found.extend(csv.DictReader(lines))
        return found


@dataclass
class Visitor:
    """One browser context on the page, with what its console and its network said."""

    page: sync_api.Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, file: Path) -> None:
        """Upload a file and wait until its slices are shown."""
        self.page.set_input_files("#fr-upload input[type=file]", file)
        self.page.wait_for_selector('.fr-viewer[data-state="ready"]')

    def analyse(self) -> None:
        """Press the button and wait for the end."""
        self.page.click("#fr-analyse")
        self.page.wait_for_selector("#fr-form")
        self.page.wait_for_selector('.fr-viewer[data-state="ready"]')

    def answer(self, **answers: str) -> None:
        """Tick answers of the form by their visible words."""
        for question, words in answers.items():
            if question in ("reader", "comment"):
                self.page.fill(f"#fr-{question} textarea, #fr-{question} input", words)
            else:
                self.page.locator(f"#fr-{question} label", has_text=words).first.click()

    def answer_all(self, reader: str = "R1") -> None:
        self.answer(reader=reader, agreement="Agree", quality="2 acceptable", advanced="Yes", confidence="4")

    def save(self) -> str:
        """Press Save and return what the page says."""
        self.page.click("#fr-save")
        message = self.page.locator("#fr-saved .fr-message")
        message.wait_for()
        return message.inner_text()

    @property
    def counter(self) -> str:
        return self.page.inner_text(".frv-counter")

    def picture(self) -> np.ndarray:
        """(rows, columns, 3) float: the stage as it is on the screen, without the letters on it."""
        from io import BytesIO

        from PIL import Image

        self.page.wait_for_timeout(120)  # the next frame
        style = ".frv-mark, .frv-caption { visibility: hidden }"
        png = self.page.locator(".frv-stage").screenshot(style=style)
        return np.asarray(Image.open(BytesIO(png)).convert("RGB"), np.float32)


def start_server(folder: Path, *arguments: str) -> Iterator[Server]:
    """Run ``tests.browser.serve`` in a process of its own until the generator is closed."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
        "FIBROREVIEW_SITE_KEY": "key of the tests",
        "FIBROREVIEW_DATA": str(folder / "data"),
        "TMPDIR": str(folder),
    }
    reviews = folder / "reviews"
    with running(["tests.browser.serve", "--reviews", str(reviews), *arguments], environment) as address:
        yield Server(address, reviews)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page with the stand-in models."""
    folder = tmp_path_factory.mktemp("server")
    yield from start_server(folder, *(f"--{name}={folder / name}" for name in (HOLD, FAULT, MISS)))


@pytest.fixture(scope="session")
def chromium() -> Iterator[sync_api.Browser]:
    """One browser for all tests."""
    with sync_api.sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if not found and not own.exists():
            pytest.skip("no Chromium was found")
        browser = playwright.chromium.launch(executable_path=found or own, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def new_visitor(chromium: sync_api.Browser, server: Server) -> Iterator[Callable[..., Visitor]]:
    """Opens the page for another visitor. At the end no console may hold an error."""
    visitors: list[Visitor] = []

    def visit(path: str = "/", at: Server = server) -> Visitor:
        context = chromium.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
        context.set_default_timeout(PATIENCE_MS)
        visitor = Visitor(context.new_page())
        page = visitor.page
        page.on(
            "console",
            lambda said: said.type == "error" and visitor.errors.append(f"{said.text} ({said.location.get('url')})"),
        )
        page.on("pageerror", lambda error: visitor.errors.append(str(error)))
        page.on("request", lambda request: visitor.requests.append(request.url))
        page.goto(at.address + path)
        page.wait_for_selector(".frv-stage")
        visitors.append(visitor)
        return visitor

    yield visit
    for visitor in visitors:
        visitor.page.context.close()
    assert not [error for visitor in visitors for error in visitor.errors]


@pytest.fixture
def visitor(new_visitor: Callable[..., Visitor]) -> Visitor:
    return new_visitor()


@pytest.fixture(scope="session")
def nifti(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small phantom of 12 slices."""
    file = tmp_path_factory.mktemp("nifti") / "case.nii.gz"
    sitk.WriteImage(make_volume_image((48, 40, 12), (6.5, 6.0, 20.0), seed=1), str(file))
    return file


@pytest.fixture(scope="session")
def other_nifti(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another case, of 16 slices."""
    file = tmp_path_factory.mktemp("other") / "other.nii.gz"
    sitk.WriteImage(make_volume_image((48, 40, 16), (6.5, 6.0, 15.0), seed=2), str(file))
    return file


@pytest.fixture(scope="session")
def dicom_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DICOM series in a zip, as a PACS exports it."""
    folder = tmp_path_factory.mktemp("dicom")
    image = make_volume_image((48, 40, 12), (6.5, 6.0, 20.0), seed=3)
    write_dicom_series(image, folder / "export" / "DICOM" / "SE00001")
    return zip_folder(folder / "export")
