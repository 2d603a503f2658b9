"""A page for text and pictures, positioned in inches from its top left corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

PAGE = (8.27, 11.69)
"""A4 portrait: width, height in inches."""
INK, MUTED, LINE, RULE = "#14303f", "#5a6b76", "#c9d3da", "#e6ebee"
AMBER, AMBER_DARK = "#ffe2a8", "#7a4a00"


@dataclass(frozen=True)
class TextStyle:
    """Font and colour of text."""

    size: float
    """Points."""
    colour: str = INK
    bold: bool = False
    mono: bool = False

    @property
    def font(self) -> FontProperties:
        """The font, for measuring and drawing."""
        family = "DejaVu Sans Mono" if self.mono else "DejaVu Sans"
        return FontProperties(family=[family], size=self.size, weight="bold" if self.bold else "normal")

    @property
    def line_height(self) -> float:
        """Distance between lines, inches."""
        return self.size * 1.45 / 72


class Page:
    """One page of a figure. Every x and y is in inches, y downwards; text is centred vertically on its y."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes for a picture, their upper left corner at (x, y)."""
        return self.figure.add_axes((x / PAGE[0], 1 - (y + height) / PAGE[1], width / PAGE[0], height / PAGE[1]))

    def box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A filled rectangle, its upper left corner at (x, y)."""
        corner = (x / PAGE[0], 1 - (y + height) / PAGE[1])
        self.figure.add_artist(Rectangle(corner, width / PAGE[0], height / PAGE[1], color=colour, linewidth=0))

    def rule(self, x0: float, x1: float, y: float, colour: str) -> None:
        """A thin horizontal line."""
        level = 1 - y / PAGE[1]
        self.figure.add_artist(Line2D([x0 / PAGE[0], x1 / PAGE[0]], [level, level], color=colour, linewidth=0.7))

    def text(self, x: float, y: float, text: str, style: TextStyle, *, right: bool = False) -> None:
        """One line. ``right`` ends it at x instead of starting it there."""
        self.figure.text(
            x / PAGE[0],
            1 - y / PAGE[1],
            text,
            fontsize=style.size,
            color=style.colour,
            va="center_baseline",
            ha="right" if right else "left",
            fontproperties=style.font,
            parse_math=False,
        )

    def heading(self, x: float, y: float, title: str, beside: str = "") -> None:
        """A title, with small muted text beside it."""
        style = TextStyle(10, bold=True)
        self.text(x, y, title, style)
        if beside:
            self.text(x + self.width(title, style.font) + 0.12, y, beside, TextStyle(7.5, colour=MUTED))

    def legend(self, right: float, y: float, entries: Sequence[tuple[str, str]]) -> None:
        """Names with a stroke of their colour, ending at ``right``."""
        style = TextStyle(7.5, colour=MUTED)
        for name, colour in reversed(entries):
            self.text(right, y, name, style, right=True)
            right -= self.width(name, style.font) + 0.07
            self.box(right - 0.16, y - 0.02, 0.16, 0.035, colour)
            right -= 0.32

    def paragraph(self, x: float, y: float, text: str, style: TextStyle, *, width: float, lines: int) -> float:
        """Text wrapped to ``width`` inches, its first line at y, cut after ``lines`` lines with an ellipsis.

        Returns:
            The y below the last line.
        """
        wrapped = self.wrap(text, width, style.font)
        if len(wrapped) > lines:
            wrapped = [*wrapped[: lines - 1], f"{wrapped[lines - 1]} {wrapped[lines]}"]
        for line in wrapped:
            self.text(x, y, self.cut(line, width, style.font), style)
            y += style.line_height
        return y

    def paragraphs(self, x: float, y: float, texts: Sequence[str], *, width: float, size: float, bottom: float) -> None:
        """A list with bullets, ``size`` in points. What does not fit above ``bottom`` is counted in a last line."""
        style = TextStyle(size)
        for number, text in enumerate(texts):
            needed = len(self.wrap(text, width - 0.14, style.font)) * style.line_height
            last = number == len(texts) - 1
            if y + needed > bottom - (0 if last else style.line_height):
                self.text(x, y, f"{len(texts) - number} more in analysis.json", TextStyle(size, colour=MUTED))
                return
            self.text(x, y, "•", TextStyle(size, colour=AMBER_DARK, bold=True))
            y = self.paragraph(x + 0.14, y, text, style, width=width - 0.14, lines=99) + 0.05

    def wrap(self, text: str, width: float, font: FontProperties) -> list[str]:
        """Break at spaces so that no line is wider than ``width`` inches; a wider word gets a line of its own.

        Three percent are reserved, because hinting makes text wider or narrower with the resolution.
        """
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and self.width(longer, font) <= 0.97 * width:
                lines[-1] = longer
            else:
                lines.append(word)
        return lines

    def cut(self, text: str, width: float, font: FontProperties) -> str:
        """The text, or as much of it as fits ``width`` inches with an ellipsis at its end."""
        if self.width(text, font) <= width:
            return text
        while text and self.width(text + "…", font) > 0.97 * width:
            text = text[:-1].rstrip(" .,;:")
        return text + "…"

    def width(self, text: str, font: FontProperties) -> float:
        """Width of one line in inches."""
        canvas = self.figure.canvas
        assert isinstance(canvas, FigureCanvasAgg)
        renderer: RendererAgg = canvas.get_renderer()
        return renderer.get_text_width_height_descent(text, font, False)[0] / self.figure.dpi
