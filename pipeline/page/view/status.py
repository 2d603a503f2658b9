"""Status line of the page, as HTML: progress bar and messages."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.page.view.rendering import render


def progress_html(name: str, share: float) -> str:
    """Progress bar with the name of the stage; ``share`` is 0-1, clipped."""
    return render("progress", name=name, percent=round(100 * min(max(share, 0.0), 1.0)))


def message_html(text: str, kind: str = "info") -> str:
    """One sentence; ``kind`` is info, done, warning or error. Empty for an empty text."""
    return render("message", texts=[text] if text else [], kind=kind)


def warnings_html(messages: Sequence[str]) -> str:
    """Warnings about a series before it is analysed: one as a sentence, several as a list; empty without any."""
    return render("message", texts=list(messages), kind="warning")
