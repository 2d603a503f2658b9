"""How model cards name a licence."""

from __future__ import annotations


def licence_tag(licence: str) -> str:
    """As model hubs write it: ``CC BY-NC-SA 4.0`` is ``cc-by-nc-sa-4.0``."""
    return licence.lower().replace(" ", "-")
