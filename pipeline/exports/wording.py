"""Sentences on a result that more than one output shows: report, command line, page.

A range is one figure where both ends read alike.
"""

from __future__ import annotations

from pipeline.case import NOT_MR_CODES, NOT_T2_CODES, UNSUITABLE_CODES, Analysis, Fibrosis, MaskDoubt, OrganMask


def side_words(fibrosis: Fibrosis) -> str:
    """``at or above the operating point``, or ``below the operating point``."""
    return f"{fibrosis.side} the operating point"


def range_words(fibrosis: Fibrosis) -> str:
    """What the probability scale shows, in up to four sentences.

    The members' range and whether they fall on both sides of the operating point, the indeterminate zone, and how far
    the probability depends on the liver outline.
    """
    low, high = fibrosis.ensemble_range
    members = span(fibrosis.ensemble_range)
    words = f"The ensemble's members, lowest to highest: {members} (not a confidence interval)."
    if low < fibrosis.threshold <= high:
        words += " They fall on both sides of the operating point."
    if fibrosis.indeterminate is not None:
        rule_out, rule_in = fibrosis.indeterminate
        words += f" Indeterminate between the rule-out point {rule_out:.2f} and the rule-in point {rule_in:.2f}."
    if fibrosis.mask_sensitivity is not None:
        words += f" {outline_words(span(fibrosis.mask_sensitivity))}"
    return words


def outline_words(shown: str) -> str:
    """How far the probability depends on the liver outline.

    Args:
        shown: the range of probabilities with a moved outline, as ``span`` or ``percents`` writes it.
    """
    return f"With the liver outline a voxel tighter or wider: {shown}."


def unreliable_words(analysis: Analysis) -> str:
    """Reason why the probability is unreliable, shown beside it; empty if it is reliable."""
    if not analysis.unreliable or analysis.fibrosis is None:
        return ""
    if analysis.warning_codes & UNSUITABLE_CODES:
        return "Unreliable: not an axial T2 of the liver"
    if analysis.warning_codes & NOT_MR_CODES:
        return "Unreliable: not an MR image"
    if analysis.warning_codes & NOT_T2_CODES:
        return "Unreliable: not a T2 image"
    return "Unreliable: check the segmentation"


def not_classified_words(analysis: Analysis) -> str:
    """Why there is no probability, one sentence for each kind of reason; empty where there is one."""
    return " ".join(warning.message for warning in analysis.not_classified)


def heat_words(analysis: Analysis) -> str:
    """Why no heat is shown; empty where it is."""
    if analysis.fibrosis is None:
        return "No heat map: not classified"
    if analysis.heatmap is None:
        return "No heat map: this classifier uses hand-crafted features"
    return "no positive evidence" if analysis.heatmap.empty else ""


def mask_quality(organs: OrganMask) -> str:
    """``score 2, Dice 0.88``; ``score 3`` where no Dice is predicted, empty where there is no score."""
    if organs.score is None:
        return ""
    dice = "" if organs.predicted_dice is None else f", Dice {organs.predicted_dice:.2f}"
    return f"score {organs.score}{dice}"


def doubt_words(doubt: MaskDoubt) -> str:
    """``Check slices 24–29, left side: liver may be missing.`` Slices count from 1, as on the slider."""
    first, last = doubt.first_slice + 1, doubt.last_slice + 1
    slices = f"slice {first}" if first == last else f"slices {first}–{last}"
    side = "both sides" if doubt.side == "both" else f"{doubt.side} side"
    what = "liver may be missing" if doubt.kind == "missing" else "may not be liver"
    return f"Check {slices}, {side}: {what}."


def span(shares: tuple[float, float]) -> str:
    """A range of probabilities: ``0.14 to 0.26``, or ``0.14``."""
    return _once(" to ", *(f"{share:.2f}" for share in shares))


def percents(shares: tuple[float, float]) -> str:
    """A range of probabilities in percent: ``14–26 %``, or ``14 %``."""
    return _once("–", *(f"{100 * share:.0f}" for share in shares)) + " %"


def _once(between: str, low: str, high: str) -> str:
    return low if low == high else f"{low}{between}{high}"
