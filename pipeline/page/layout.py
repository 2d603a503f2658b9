"""Layout of the page, and which event calls which handler."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from pipeline import RESEARCH_USE, __version__
from pipeline.page.handlers.analysing import Analysing
from pipeline.page.handlers.opening import Opening
from pipeline.page.handlers.reclassifying import Reclassifying
from pipeline.page.handlers.reviewing import Reviewing
from pipeline.page.placement import place
from pipeline.page.server.engine import Analyse, Choice, Engine, load_chosen
from pipeline.page.server.events import Events
from pipeline.page.server.gpu import LENT
from pipeline.page.server.logins import Logins
from pipeline.page.server.logs import adopt_loggers
from pipeline.page.server.niivue import ASSETS, ensure_viewer
from pipeline.page.server.review_files import open_review_files
from pipeline.page.server.routes import PAGE_SCRIPTS, OwnPages, app_kwargs
from pipeline.page.server.settings import PageSettings
from pipeline.page.server.upload_guard import record_temporary_files
from pipeline.page.server.visitors import Visitors
from pipeline.page.state.open_cases import OpenCases
from pipeline.page.state.session_state import SessionState
from pipeline.page.view.components import Components
from pipeline.page.view.privacy import privacy_html
from pipeline.page.view.updates import Updates

FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
AT_ONCE = 16
"""Uploads that are read at once; more wait in Gradio's queue."""
VIEWING_LOG = """(...values) => {
  values[values.length - 1] = window.fibroViewer ? window.fibroViewer.stats() : '';
  return values;
}"""
"""JavaScript: put the viewer's statistics into the last input of the save event."""
EDITED_MASK = """(...values) => {
  values[values.length - 1] = window.fibroViewer ? window.fibroViewer.editedMask() : '';
  return values;
}"""
"""JavaScript: put the viewer's liver mask into the last input of the event that classifies it."""
OPENED = """(...values) => {
  const files = values.find((value) => Array.isArray(value) && value[0] && value[0].orig_name) || [];
  const name = files.length > 1 ? files.length + ' files' : files.length ? files[0].orig_name : '%s';
  document.querySelector('.fr-opened').textContent = name;
  return values;
}"""
"""JavaScript: show the name of the upload, or ``%s`` for an example. A file name may name a patient: it is shown and
never stored."""
UNPUSHED_S = 30.0
"""Interval at which an open page asks for reviews that are not copied yet, s."""
LOADED_WITHIN_S = 300.0
"""Longest wait for the models where they are loaded first, s."""
DELETE_CACHE_S = (3600, 6 * 3600)


def serve_page(settings: PageSettings, *, load: Callable[[Choice], Analyse] | None = None) -> tuple[gr.Blocks, str]:
    """Serve the page in the background and load the models once it is up.

    Args:
        settings: see ``PageSettings``.
        load: returns the analysis function of the named models.

    Returns:
        The page and its address.

    Raises:
        OSError: the port cannot be opened.
        ReviewError: the data set of the reviews cannot be opened.
    """
    page, arguments, engine = build_page(settings, load)
    if LENT:  # its workers inherit what was loaded before the page is up
        engine.start()
        engine.wait(LOADED_WITHIN_S)
    # Quiet: Gradio's own greeting advises a public link, which is not for patients' images.
    _, address, _ = page.launch(**arguments, quiet=True, prevent_thread_lock=True)
    adopt_loggers()
    if not LENT:
        engine.start()
    return page, address


def build_page(
    settings: PageSettings, load: Callable[[Choice], Analyse] | None = None
) -> tuple[gr.Blocks, Mapping[str, Any], Engine]:
    """The page, the arguments for its ``launch``, and the engine, not started.

    Raises:
        ReviewError: the data set of the reviews cannot be opened.
        ConfigError: the file of logins cannot be used.
    """
    files = open_review_files(settings)
    library = ensure_viewer()
    visitors = Visitors(settings.server_port)
    cases = OpenCases(keep_s=settings.keep_case_s, budget=settings.disk)
    atexit.register(cases.close)
    cases.sweep_in_background()
    record_temporary_files()
    os.environ["GRADIO_TEMP_DIR"] = str(cases.uploads)  # where Gradio keeps uploads: with the cases, and as short
    cases.arriving_since = visitors.arriving_since
    load = load or partial(load_chosen, any_input=settings.any_input)
    engine = Engine(load, Choice(settings.segmenter, settings.classifier))
    with gr.Blocks(title="FibroReview", analytics_enabled=False, delete_cache=DELETE_CACHE_S) as page:
        components, examples = place(settings, cases, library is not None)
        opening = Opening(components, cases, visitors, public=settings.public)
        analysing = Analysing(components, cases, engine, files.shown, settings.runs)
        _wire_input(components, opening, analysing, examples)
        _wire_correction(components, analysing)
        reviewing = Reviewing(components, cases, files)
        _wire_review(components, reviewing)
        if files.copy:
            _wire_unpushed(page, components, reviewing)
        page.unload(opening.leave)
    visitors.in_use = partial(_in_use, page, cases)
    inputs = {number: [part.get_block_name() for part in event.inputs] for number, event in page.fns.items()}
    events = Events(inputs, components.viewer._id)
    site = OwnPages(library, privacy_html(settings), lambda: events, lambda: _health(engine, analysing, cases))
    return page, _launch_arguments(settings, cases, app_kwargs(settings, cases, visitors, site)), engine


def _in_use(page: gr.Blocks, cases: OpenCases, session: str) -> bool:
    """Whether a session has an open case, or Gradio keeps its state (the rows of this visit)."""
    return cases.has_session(session) or session in page.app.state_holder


def _health(engine: Engine, analysing: Analysing, cases: OpenCases) -> dict[str, Any]:
    """What ``/healthz`` answers: numbers and states, no names."""
    used = cases.bytes_used()
    return {
        "status": engine.status,
        "version": __version__,
        "models": {"segmenter": engine.default.segmenter, "classifier": engine.default.classifier},
        "analyses": len(analysing.line),
        "bytes_used": used,
        "bytes_free": cases.bytes_free(),
        "room": cases.no_room(used) is None,
    }


def _wire_input(components: Components, opening: Opening, analysing: Analysing, examples: Mapping[str, Path]) -> None:
    """Connect the input column. Opening a case does not wait for running analyses."""
    quiet = _quiet(components)
    many = {"concurrency_limit": AT_ONCE, **quiet}
    uploaded = [components.state, components.upload, components.confirmed]
    chosen = [components.state, components.blind, components.segmenter, components.classifier]
    events = [
        components.upload.upload(opening.upload, uploaded, js=OPENED % "", **many),
        components.series.input(opening.choose_series, [components.state, components.series], **many),
        components.analyse.click(analysing.analyse, chosen, **{**quiet, "concurrency_limit": None}),
    ]
    for button, (label, example) in zip(components.examples, examples.items(), strict=True):
        events.append(button.click(_on_example(opening, example), [components.state], js=OPENED % label, **many))
    for event in events:
        event.failure(analysing.failed, [components.state], concurrency_limit=None, **quiet)
    components.reopen.input(opening.reopen, [components.state, components.reopen], js=OPENED % "", **quiet)
    components.stop.click(analysing.stop, [components.state], concurrency_limit=None, **quiet)
    components.delete.click(opening.updates.asked, None, concurrency_limit=None, **quiet)
    components.keep.click(lambda: opening.updates.deletable(True), None, concurrency_limit=None, **quiet)
    components.delete_now.click(opening.delete, [components.state], js=OPENED % "", concurrency_limit=None, **quiet)
    components.confirmed.change(
        lambda confirmed: gr.update(interactive=confirmed),
        components.confirmed,
        components.upload,
        show_progress="hidden",
        api_visibility="private",
    )


def _on_example(opening: Opening, path: Path) -> Callable[..., Iterator[Updates]]:
    """One handler per example: Gradio passes the request by annotation, which ``functools.partial`` would hide."""

    def on_example(state: SessionState, request: gr.Request) -> Iterator[Updates]:
        yield from opening.example(state, path, request)

    return on_example


def _wire_correction(components: Components, analysing: Analysing) -> None:
    """Connect the button that classifies a corrected mask."""
    quiet = {**_quiet(components), "concurrency_limit": None}
    inputs = [components.state, components.edited_mask]
    event = components.reclassify.click(Reclassifying(analysing).reclassify, inputs, js=EDITED_MASK, **quiet)
    event.failure(analysing.failed, [components.state], **quiet)


def _wire_review(components: Components, reviewing: Reviewing) -> None:
    """Connect the form. Saves run one at a time: the second of two clicks finds the first one's row."""
    quiet = _quiet(components)
    answers = [
        components.reader,
        components.advanced,
        components.confidence,
        components.agreement,
        components.quality,
        components.comment,
    ]
    inputs = [components.state, *answers, components.viewing_log]
    saving = components.save.click(reviewing.save, inputs, js=VIEWING_LOG, concurrency_limit=1, **quiet)
    components.reader.blur(
        reviewing.name_reader,
        [components.state, components.reader],
        None,
        concurrency_limit=None,
        show_progress="hidden",
        api_visibility="private",
    )
    saving.failure(reviewing.save_failed, concurrency_limit=None, **quiet)


def _wire_unpushed(page: gr.Blocks, components: Components, reviewing: Reviewing) -> None:
    """Show how many reviews are not copied yet when the page opens, and then every half minute."""
    event: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
    page.load(reviewing.unpushed, None, components.unpushed, **event)
    gr.Timer(UNPUSHED_S).tick(reviewing.unpushed, None, components.unpushed, **event)


def _quiet(components: Components) -> dict[str, Any]:
    """Event arguments: any component may change, and Gradio shows no progress of its own."""
    return {"outputs": components.all(), "show_progress": "hidden", "api_visibility": "private"}


def _launch_arguments(settings: PageSettings, cases: OpenCases, app: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "server_name": settings.server_name,
        "server_port": settings.server_port,
        "max_file_size": settings.max_upload,
        # Case files only: neither the repository nor the reviews can be fetched.
        "allowed_paths": [str(cases.served_root)],
        "app_kwargs": app,
        "auth": Logins(settings.logins).check if settings.logins else None,
        "auth_message": RESEARCH_USE if settings.logins else None,
        "theme": _theme(),
        "head": "".join(f'<script type="module" src="viewer/{name}"></script>' for name in PAGE_SCRIPTS),
        "css_paths": [ASSETS / "style.css"],
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "share": False,
    }


def _theme() -> gr.themes.Base:
    """Teal on slate with system fonts: nothing is fetched from other hosts, and all text has sufficient contrast."""
    theme = gr.themes.Base(primary_hue="teal", secondary_hue="slate", neutral_hue="slate", font=FONT, font_mono=MONO)
    return theme.set(
        body_background_fill="*neutral_50",
        block_background_fill="white",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
        button_large_text_size="*text_md",
        block_radius="10px",
    )
