"""Create the page's components and place them in columns; ``layout`` connects them to their handlers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from models import registry
from pipeline import RESEARCH_USE
from pipeline.page.handlers.uploads import examples_in
from pipeline.page.server.settings import PageSettings
from pipeline.page.state.open_cases import OpenCases
from pipeline.page.state.session_state import SessionState
from pipeline.page.view import review_form as form
from pipeline.page.view.components import Components
from pipeline.page.view.result_card import waiting_html
from pipeline.page.view.slice_viewer import viewer_component

HEADER = f"""
<header class="fr-header">
  <div><h1>FibroReview</h1><p>Liver MRI: segmentation and fibrosis estimate, reviewed by you</p></div>
  <a class="fr-stored" href="privacy" target="_blank" rel="noopener">What is stored</a>
  <p class="fr-chip" role="note">{RESEARCH_USE}</p>
</header>"""


def place(settings: PageSettings, cases: OpenCases, has_library: bool) -> tuple[Components, Mapping[str, Path]]:
    """Create the components: input on the left, viewer in the middle, result and review on the right."""
    examples = examples_in(settings.examples)
    made: dict[str, Any] = {"state": gr.State(SessionState())}
    gr.HTML(HEADER, apply_default_css=False)
    with gr.Row(elem_id="fr-main"):
        with gr.Column(elem_id="fr-input", min_width=220):
            _input_column(made, settings, list(examples))
        with gr.Column(elem_id="fr-middle", min_width=320):
            made["viewer"] = viewer_component(cases, library=has_library)
            made["edited_mask"] = gr.Textbox(visible=False)
            made["reclassify"] = gr.Button("Classify again", elem_id="fr-reclassify", elem_classes="fr-unseen")
        with gr.Column(elem_id="fr-answer", min_width=300):
            made["result"] = gr.HTML(waiting_html(), apply_default_css=False, elem_id="fr-result")
            _review_form(made)
    with gr.Accordion("Reviews in this session", open=True, elem_id="fr-reviews"):
        made["unpushed"] = gr.HTML("", apply_default_css=False, elem_id="fr-unpushed")
        made["reopen"] = gr.Radio(label="Open again", choices=[], visible=False, elem_id="fr-reopen")
        made["reviews"] = gr.HTML(form.reviews_html([]), apply_default_css=False)
    return Components(**made), examples


def _input_column(made: dict[str, Any], settings: PageSettings, examples: list[str]) -> None:
    made["confirmed"] = gr.Checkbox(
        label="The images are de-identified: no patient data in headers or pixels.",
        visible=settings.public,
        elem_id="fr-confirmed",
    )
    made["upload"] = gr.File(
        label="MRI: NIfTI, DICOM or .zip",
        file_count="multiple",
        height=128,
        interactive=not settings.public,
        elem_id="fr-upload",
    )
    gr.HTML('<button type="button" class="fr-folder">Choose a folder</button>', apply_default_css=False)
    with gr.Row(elem_id="fr-examples", visible=bool(examples)):
        made["examples"] = tuple(gr.Button(label, size="sm", variant="secondary", min_width=90) for label in examples)
    gr.HTML('<p class="fr-opened" aria-label="Opened file"></p>', apply_default_css=False)
    made["series"] = gr.Radio(label="Series", choices=[], visible=False, elem_id="fr-series")
    made["series_note"] = gr.HTML("", apply_default_css=False)
    made["segmenter"] = _model_picker("segmenter", settings.segmenter)
    made["classifier"] = _model_picker("classifier", settings.classifier)
    made["blind"] = gr.Checkbox(
        label="Read before AI",
        info="Hides the result until your own verdict is saved.",
        elem_id="fr-blind",
    )
    made["analyse"] = gr.Button("Analyse", variant="primary", interactive=False, elem_id="fr-analyse")
    made["stop"] = gr.Button("Cancel", variant="stop", visible=False, elem_id="fr-stop")
    made["status"] = gr.HTML("", apply_default_css=False, elem_id="fr-status")
    made["delete"] = gr.Button("Delete this case", size="sm", visible=False, elem_id="fr-delete")
    with gr.Column(visible=False, elem_id="fr-sure") as made["sure"]:
        gr.HTML("<p>Delete images and results now? Saved reviews stay.</p>", apply_default_css=False)
        with gr.Row():
            made["delete_now"] = gr.Button("Delete", size="sm", variant="stop", min_width=90, elem_id="fr-delete-now")
            made["keep"] = gr.Button("Keep", size="sm", min_width=90, elem_id="fr-keep")


def _model_picker(kind: str, default: str) -> gr.Dropdown:
    """Installed models of a kind; hidden where there is nothing to choose."""
    names = list(dict.fromkeys([default, *registry.names(kind)]))
    return gr.Dropdown(
        names, value=default, label=kind.capitalize(), visible=len(names) > 1, filterable=False, elem_id=f"fr-{kind}"
    )


def _review_form(made: dict[str, Any]) -> None:
    with gr.Column(visible=False, elem_id="fr-form") as made["form"]:
        gr.HTML('<h2 class="fr-form-title">Your review</h2>', apply_default_css=False)
        made["reader"] = gr.Textbox(
            label="Reader code", info="For example R1; no names.", max_lines=1, max_length=12, elem_id="fr-reader"
        )
        with gr.Column(visible=False, elem_classes="fr-plain") as made["judge"]:
            made["agreement"] = gr.Radio(form.AGREEMENTS, label="Agreement with the model", elem_id="fr-agreement")
            made["quality"] = gr.Radio(
                form.QUALITIES, label="Liver segmentation", info=form.QUALITY_INFO, elem_id="fr-quality"
            )
        made["advanced"] = gr.Radio(form.VERDICTS, label="My verdict: advanced fibrosis", elem_id="fr-advanced")
        made["confidence"] = gr.Radio(form.CONFIDENCES, label="Confidence", elem_id="fr-confidence")
        made["comment"] = gr.Textbox(
            label="Comment (optional)", lines=2, max_length=4000, placeholder="No patient names.", elem_id="fr-comment"
        )
        made["viewing_log"] = gr.Textbox(visible=False)
        made["save"] = gr.Button("Save review", variant="primary", elem_id="fr-save")
        made["saved"] = gr.HTML("", apply_default_css=False, elem_id="fr-saved")
