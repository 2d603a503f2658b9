"""Rendering of model cards, whatever the kind of model."""

from __future__ import annotations

import pytest
from huggingface_hub import ModelCard, ModelCardData
from jinja2 import DictLoader, UndefinedError

from models import cards


@pytest.fixture(autouse=True)
def template(monkeypatch):
    text = "---\n{{ card_data }}\n---\n\n# {{ title }}\n{% if note %}\n{{ note }}\n{% endif %}\nEnd.\n"
    monkeypatch.setattr(cards.TEMPLATES, "loader", DictLoader({"kind.md.j2": text}))


def test_a_card_has_the_header_that_hubs_read_and_its_text_unescaped():
    data = ModelCardData(license=cards.licence_tag("CC BY-NC-SA 4.0"), tags=["liver"])
    card = cards.render_card("kind.md.j2", data, title="Youden's <index>", note="")
    assert card.endswith("---\n\n# Youden's <index>\nEnd.\n")
    assert ModelCard(card).data.to_dict() == {"license": "cc-by-nc-sa-4.0", "tags": ["liver"]}


def test_a_missing_value_is_an_error_not_an_empty_place():
    with pytest.raises(UndefinedError, match="note"):
        cards.render_card("kind.md.j2", ModelCardData(license="mit"), title="A")
