"""HTML of the reading room from the Jinja2 templates beside this module. Every inserted text is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline import RESEARCH_USE
from pipeline.exports.wording import percents


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _when(time: datetime | str | None) -> str:
    """``2026-03-01 14:05 UTC``."""
    text = time.isoformat() if isinstance(time, datetime) else time
    return f"{text[:16].replace('T', ' ')} UTC" if text else ""


def _update(values: Mapping[str, object], others: Mapping[str, object]) -> dict[str, object]:
    return {**values, **others}


ROOMS = Path(__file__).parents[1]
_environment = Environment(
    # The second folder for the scale of probability, which the page has too.
    loader=FileSystemLoader([ROOMS / "reading_room" / "templates", ROOMS / "page" / "view" / "templates"]),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(percent=_percent, percents=percents, when=_when, update=_update)
_environment.globals.update(research_use=RESEARCH_USE)


def render(template: str, **values: object) -> str:
    """HTML of ``templates/TEMPLATE.html.j2``.

    Raises:
        jinja2.UndefinedError: the template needs a value that is not given.
    """
    return _environment.get_template(f"{template}.html.j2").render(values)
