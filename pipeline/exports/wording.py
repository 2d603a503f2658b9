"""Ranges of probabilities in words: one figure where both ends read alike."""

from __future__ import annotations


def span(shares: tuple[float, float]) -> str:
    """``0.14 to 0.26``, or ``0.14``."""
    return _once(" to ", *(f"{share:.2f}" for share in shares))


def percents(shares: tuple[float, float]) -> str:
    """``14–26 %``, or ``14 %``."""
    return _once("–", *(f"{100 * share:.0f}" for share in shares)) + " %"


def _once(between: str, low: str, high: str) -> str:
    return low if low == high else f"{low}{between}{high}"
