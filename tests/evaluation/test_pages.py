"""Pages: text is escaped, tables and pictures are inside the file, a missing value is an error."""

from __future__ import annotations

import base64

import pytest
from jinja2 import UndefinedError
from matplotlib.figure import Figure

from pipeline.evaluation.measures import Measure
from pipeline.evaluation.pages import Cell, picture, render_page, table
from pipeline.evaluation.report import shown
from pipeline.statistics import Estimate

NAN = float("nan")
PAGE = """{% import "parts.html.j2" as parts %}
{{ parts.statements(statements) }}{{ parts.table(content) }}{{ parts.picture(drawing) }}"""


def drawing(x: float) -> Figure:
    figure = Figure(figsize=(1, 1))
    figure.add_subplot().plot([0, x])
    return figure


def test_text_is_escaped_and_a_picture_is_not(tmp_path):
    (tmp_path / "page.html.j2").write_text(PAGE)
    page = render_page(
        tmp_path / "page.html.j2",
        statements=["<b>first</b>"],
        content=table(["<head>"], [["a < b"], [Cell("c", "<i>below</i>")]], "caption & more"),
        drawing=picture(drawing(1.0), 'a "picture"'),
    )
    for escaped in ("&lt;b&gt;first", "&lt;head&gt;", "a &lt; b", "<small>&lt;i&gt;below", "caption &amp; more"):
        assert escaped in page
    assert 'alt="a &#34;picture&#34;"' in page
    data = page.split('src="data:image/svg+xml;base64,')[1].split('"')[0]
    assert base64.b64decode(data).startswith(b"<?xml")


def test_a_value_that_a_template_misses_is_an_error(tmp_path):
    (tmp_path / "page.html.j2").write_text(PAGE)
    with pytest.raises(UndefinedError, match="statements"):
        render_page(tmp_path / "page.html.j2")


def test_equal_drawings_give_equal_bytes():
    assert picture(drawing(1.0), "same") == picture(drawing(1.0), "same")
    assert picture(drawing(1.0), "same") != picture(drawing(2.0), "same")


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.5, 0.25, 0.75), "0.500 (0.250 to 0.750)"),
        (Estimate(0.5, NAN, NAN), "0.500 (interval not estimable)"),
        (Estimate(NAN, 0.0, 1.0), "not estimable"),
    ],
)
def test_a_measure_is_shown_with_its_interval_and_its_cases(estimate, text):
    assert shown(Measure(estimate, "Wilson", 9, 4, 3)) == Cell(text, "n = 9, 4 positive, 3 anatomies")
