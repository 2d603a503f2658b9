"""The page's components by name, independent of the layout."""

from __future__ import annotations

from dataclasses import dataclass, fields

import gradio as gr
from gradio.components import Component


@dataclass(frozen=True)
class Components:
    """Components that handlers read or update."""

    state: gr.State
    confirmed: gr.Checkbox
    upload: gr.File
    examples: tuple[gr.Button, ...]
    series: gr.Radio
    series_note: gr.HTML
    segmenter: gr.Dropdown
    classifier: gr.Dropdown
    blind: gr.Checkbox
    analyse: gr.Button
    stop: gr.Button
    status: gr.HTML
    delete: gr.Button
    sure: gr.Column
    """Asks whether the case is to be deleted."""
    delete_now: gr.Button
    keep: gr.Button
    viewer: gr.HTML
    edited_mask: gr.Textbox
    """The corrected liver mask, filled when it is sent."""
    reclassify: gr.Button
    """Pressed by the viewer's own button; not visible."""
    result: gr.HTML
    form: gr.Column
    judge: gr.Column
    reader: gr.Textbox
    advanced: gr.Radio
    confidence: gr.Radio
    agreement: gr.Radio
    quality: gr.Radio
    comment: gr.Textbox
    viewing_log: gr.Textbox
    save: gr.Button
    saved: gr.HTML
    unpushed: gr.HTML
    """Reviews that are on this server only."""
    reviews: gr.HTML
    reopen: gr.Radio
    """Reviewed cases of this visit, to open them again."""

    def all(self) -> list[Component]:
        """Every component, as the outputs of events that return a few of them by name."""
        flat: list[Component] = []
        for field in fields(self):
            value = getattr(self, field.name)
            flat.extend(value if isinstance(value, tuple) else (value,))
        return flat
