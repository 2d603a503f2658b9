"""The page in plain words on what is stored, where and for how long; filled from the settings of this server."""

from __future__ import annotations

from pipeline.page.server.settings import PageSettings
from pipeline.page.state.open_cases import KEEP_UPLOAD_S, SWEEP_EVERY_S
from pipeline.page.view.rendering import render


def privacy_html(settings: PageSettings) -> str:
    """A whole HTML page."""
    return render(
        "privacy",
        keep_hours=f"{settings.keep_case_s / 3600:g}",
        upload_minutes=round((KEEP_UPLOAD_S + 2 * SWEEP_EVERY_S) / 60),
        dataset=settings.reviews_dataset,
        on_space=settings.public,
    )
