"""The series picker: its rows, and the note below it."""

from __future__ import annotations

from pipeline.case import Series, Study
from pipeline.page.view.rendering import render


def series_label(series: Series) -> str:
    """One line of the picker."""
    (x, y), z = series.pixel_mm, series.slice_step_mm
    echo = f" · TE {series.echo_time_ms:.0f} ms" if series.echo_time_ms is not None else ""
    weighting = series.weighting if series.weighting != "unknown" else "(weighting unknown)"
    return f"{series.plane} {weighting} · {series.slices} slices · {x:.2f} × {y:.2f} × {z:.1f} mm{echo}"


def series_note(study: Study, key: str) -> str:
    """Why the chosen series is or is not a likely one, and what was left out, as HTML."""
    why = next((series.why for series in study.series if series.key == key), "")
    return render("series_note", why=why, left_out=study.left_out)
