"""The result card, as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline import RESEARCH_USE
from pipeline.case import Analysis, OrganMask
from pipeline.exports.wording import doubt_words, heat_words, unreliable_words
from pipeline.page.view.rendering import render
from pipeline.page.view.review_form import QUALITIES

SPLEEN_RANGE = "healthy adults 107–315 mL"


@dataclass(frozen=True)
class MaskComparison:
    """What the segmenter's own mask gave, beside the result on the corrected one."""

    probability: float | None
    """0-1; None where the segmenter's mask was not classified."""
    liver_ml: float
    dice: float
    """Between the two liver masks."""


def result_html(analysis: Analysis, downloads: Mapping[str, str], compared: MaskComparison | None = None) -> str:
    """The card of one analysis. ``downloads``: address by label; ``compared``: of a corrected mask."""
    return render(
        "result_card",
        analysis=analysis,
        compared=compared,
        unreliable=unreliable_words(analysis),
        not_classified=[warning.message for warning in analysis.not_classified],
        quality=quality_words(analysis.organs),
        heat_note=heat_words(analysis),
        doubts=[doubt_words(doubt) for doubt in analysis.organs.doubts],
        messages=_messages(analysis),
        downloads=downloads,
        research_use=RESEARCH_USE,
        spleen_range=SPLEEN_RANGE,
    )


def _messages(analysis: Analysis) -> list[str]:
    """Each warning once, without those that are given as the reason for no probability."""
    said = {warning.message for warning in analysis.not_classified}
    messages = dict.fromkeys(warning.message for warning in (*analysis.volume.warnings, *analysis.warnings))
    return [message for message in messages if message not in said]


def quality_words(organs: OrganMask) -> str:
    """Score in the words of the review form, and predicted Dice; empty without a score."""
    if organs.score is None:
        return ""
    label = {number: words for words, number in QUALITIES}[organs.score]
    return label if organs.predicted_dice is None else f"{label}, Dice about {organs.predicted_dice:.2f}"


def waiting_html() -> str:
    """The card before there is a result."""
    return render(
        "plain_card",
        title="Result",
        text="Open a T2-weighted liver MRI and press Analyse.",
    )


def held_back_html() -> str:
    """The card while the result is withheld until the reader's own verdict is saved."""
    return render(
        "plain_card",
        title="Result hidden",
        text="Save your own verdict below to see the result and the overlays.",
    )
