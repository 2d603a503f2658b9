"""One visitor's page without a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from pipeline.page.handlers.analysing import Analysing
from pipeline.page.handlers.opening import Opening
from pipeline.page.handlers.reclassifying import Reclassifying
from pipeline.page.handlers.reviewing import Reviewing
from pipeline.page.placement import place
from pipeline.page.server.engine import Choice, Engine
from pipeline.page.server.review_files import open_review_files
from pipeline.page.server.settings import PageSettings
from pipeline.page.server.visitors import COOKIE, Visitors
from pipeline.page.state.open_cases import OpenCases
from pipeline.page.state.session_state import SessionState
from tests.page.fake_models import load_fake
from tests.page.masks import sent_mask

DEFAULT = Choice("liver_t2", "fibrosis_t2")


@dataclass
class Request:
    """What the handlers read of Gradio's request."""

    session_hash: str = "one"
    cookies: Mapping[str, str] = field(default_factory=dict)


class Desk:
    """Calls the page's handlers as a visitor does and applies what they return."""

    def __init__(self, folder: Path, *, public: bool = False, load: Any = None) -> None:
        self.cases = OpenCases(keep_s=1000)
        with gr.Blocks():
            self.components, _ = place(PageSettings(examples=folder), self.cases, has_library=False)
        self.files = open_review_files(PageSettings(reviews=folder / "reviews"))
        self.store, self.shown = self.files.store, self.files.shown
        engine = Engine(load or load_fake(), DEFAULT)
        engine.start()
        self.visitors = Visitors()
        self.request = Request(cookies={COOKIE: self.visitors.new_cookie()})
        self.visitor = self.visitors.visitor_of(self.request)
        self.opening = Opening(self.components, self.cases, self.visitors, public=public)
        self.analysing = Analysing(self.components, self.cases, engine, self.shown)
        self.reclassifying = Reclassifying(self.analysing)
        self.reviewing = Reviewing(self.components, self.cases, self.files)
        self.state = SessionState()
        self.sent: list[dict[Any, Any]] = []

    def take(self, updates: dict[Any, Any]) -> None:
        self.state = updates.pop(self.components.state, self.state)
        self.sent.append(updates)

    def run(self, updates: Iterator[dict[Any, Any]]) -> str:
        """Everything that was sent to the page, as one text."""
        self.sent.clear()
        for update in updates:
            self.take(update)
        return repr(self.sent)

    def upload(self, file: Path, *, confirmed: bool = True) -> str:
        """The web server's copy of a file arrives."""
        return self.upload_all([file], confirmed=confirmed)

    def upload_all(self, files: Sequence[Path], *, confirmed: bool = True) -> str:
        """The web server's copies of files arrive together."""
        self.visitors.uploaded(files, self.visitor)
        return self.run(self.opening.upload(self.state, [*map(str, files)], confirmed, self.request))  # type: ignore[arg-type]

    def open(self, file: Path) -> str:
        """Upload a copy of a file."""
        copy = self.cases.uploads / "hash" / file.name
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, copy)
        said = self.upload(copy)
        assert not copy.exists(), "uploads are deleted"
        return said

    def analyse(self, choice: Choice = DEFAULT, *, blind: bool = False) -> str:
        """Press Analyse and wait for the end."""
        return self.run(self.analysing.analyse(self.state, blind, *choice))

    def correct(self, liver: np.ndarray) -> str:
        """Send a corrected mask, (z, y, x) bool, and wait for the end."""
        return self.run(self.reclassifying.reclassify(self.state, sent_mask(liver)))

    def save(
        self,
        reader: str = "R1",
        verdict: str | None = "no",
        confidence: int | None = 3,
        agreement: str | None = None,
        quality: int | None = None,
    ) -> str:
        """Save these answers; what was sent to the page."""
        self.take(self.reviewing.save(self.state, reader, verdict, confidence, agreement, quality, "", ""))
        return repr(self.sent[-1])
