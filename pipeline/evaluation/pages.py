"""HTML pages with everything in them: tables, pictures and the templates that the reports share."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

TEMPLATES = Path(__file__).parent / "templates"


class Cell(NamedTuple):
    """One cell of a table: text, and smaller text below it."""

    text: str
    below: str = ""


@dataclass(frozen=True)
class Table:
    """A table of a page; all of it is text, which the template escapes."""

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A drawing inside the page."""

    alt: str
    source: Markup
    """``data:`` URI of an SVG."""


def table(head: Sequence[str], rows: Iterable[Sequence[str | Cell]], caption: str = "") -> Table:
    """A table whose cells may be given as plain text."""
    return Table(head, [[Cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows], caption)


def picture(figure: Figure, alt: str) -> Picture:
    """A drawing as SVG; equal figures give equal bytes."""
    with rc_context({"svg.hashsalt": alt}), io.BytesIO() as stream:
        figure.savefig(stream, format="svg", metadata={"Date": None})
        data = base64.b64encode(stream.getvalue()).decode("ascii")
    return Picture(alt, Markup("data:image/svg+xml;base64,{}").format(data))


def render_page(template: Path, **content: Any) -> str:
    """Render a template; it may extend and import those of this room."""
    environment = Environment(
        loader=FileSystemLoader([template.parent, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(content)
