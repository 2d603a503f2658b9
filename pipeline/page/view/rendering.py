"""HTML of the page from the Jinja2 templates beside this module. Every inserted text is escaped."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.exports.wording import percents


def percent(share: float) -> str:
    """``62 %``."""
    return f"{100 * share:.0f} %"


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(percent=percent, percents=percents)


def render(template: str, **values: object) -> str:
    """HTML of ``templates/TEMPLATE.html.j2``.

    Raises:
        jinja2.UndefinedError: the template needs a value that is not given.
    """
    return _environment.get_template(f"{template}.html.j2").render(values)
