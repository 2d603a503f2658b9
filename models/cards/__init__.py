"""Model cards: one Jinja2 template per kind of model, with a header that model hubs read."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    autoescape=False,  # Markdown: HTML entities would show as they are in its code spans
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render_card(template_name: str, data: ModelCardData, **values: object) -> str:
    """A model card in Markdown: YAML header, then the template's text.

    Args:
        template_name: a file beside this one, e.g. ``classifier.md.j2``; it writes the header itself, as
            ``{{ card_data }}`` between two lines of ``---``.
        data: of the header.
        values: variables of the template.

    Raises:
        jinja2.UndefinedError: the template names a variable that ``values`` does not hold.
    """
    text = TEMPLATES.get_template(template_name).render(card_data=data.to_yaml(), **values)
    return str(ModelCard(text))


def licence_tag(licence: str) -> str:
    """The licence as model hubs write it: ``CC BY-NC-SA 4.0`` is ``cc-by-nc-sa-4.0``."""
    return licence.lower().replace(" ", "-")
