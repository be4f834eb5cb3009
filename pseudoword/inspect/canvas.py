"""What all pictures of the inspector share: sizes, colours of the two themes, labels, and the way to a PNG.

Colours are those of Okabe and Ito (2008), which people with any kind of colour blindness can tell apart.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import MissingExtra

ThemeName = Literal["light", "dark"]
# 1200 pixels: sharp when shown at half the width, letters still 12 pixels high there.
WIDTH_INCHES, DOTS_PER_INCH = 7.5, 160
FONT_POINTS = 10.5
LONGEST_LABEL = 24
UNKNOWN = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Theme:
    """Colours of a picture: `marks` for what is compared, `faint` for what stands behind it."""

    background: str
    ink: str
    faint: str
    band: str
    marks: tuple[str, ...]
    low: str
    high: str


THEMES: dict[ThemeName, Theme] = {
    "light": Theme(
        "#ffffff",
        "#1f2328",
        "#b4bac2",
        "#e6e9ed",
        ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#000000"),
        "#0072b2",
        "#d55e00",
    ),
    "dark": Theme(
        "#16181d",
        "#e6e8eb",
        "#5c636e",
        "#2a2e36",
        ("#56b4e9", "#e69f00", "#2fd6a3", "#e29cc5", "#f0e442", "#ffffff"),
        "#56b4e9",
        "#e69f00",
    ),
}


@dataclass(frozen=True)
class Canvas:
    """A picture being drawn: matplotlib's `figure` and the `theme` it is drawn in."""

    figure: Any
    theme: Theme

    def axes(self, heights: Sequence[float], share_x: bool = True, widths: Sequence[float] = (1,)) -> list[Any]:
        """Fields in the theme's colours, row by row, with `heights` and `widths` in proportion."""
        ratios = {"height_ratios": list(heights), "width_ratios": list(widths)}
        grid = self.figure.subplots(len(heights), len(widths), sharex=share_x, squeeze=False, gridspec_kw=ratios)
        fields: list[Any] = grid.ravel().tolist()
        for field in fields:
            field.set_facecolor(self.theme.background)
            field.tick_params(colors=self.theme.ink, labelsize=FONT_POINTS - 1.5)
            field.xaxis.label.set(color=self.theme.ink, size=FONT_POINTS)
            field.yaxis.label.set(color=self.theme.ink, size=FONT_POINTS)
            for side, spine in field.spines.items():
                spine.set_color(self.theme.faint)
                spine.set_visible(side in ("left", "bottom"))
        return fields

    def title(self, axes: Any, text: str) -> None:
        """Write `text` above `axes`, from its left."""
        axes.set_title(text, loc="left", color=self.theme.ink, size=FONT_POINTS + 1.5, parse_math=False, pad=10)

    def legend(self, axes: Any, **more: Any) -> None:
        """Say what the marks on `axes` mean."""
        chosen = {"frameon": False, "labelcolor": self.theme.ink, "fontsize": FONT_POINTS - 1.5, **more}
        for text in axes.legend(**chosen).get_texts():
            text.set_parse_math(False)

    def png(self) -> bytes:
        """The picture as it is now."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", facecolor=self.theme.background)
        return buffer.getvalue()


def canvas(theme: ThemeName, height_inches: float) -> Canvas:
    """An empty picture. Raises MissingExtra where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "standalone") from error
    # A Figure of its own, without pyplot: no window system, no state shared between threads.
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), dpi=DOTS_PER_INCH, layout="constrained")
    return Canvas(figure, THEMES[theme])


def drawable(text: str, longest: int = LONGEST_LABEL) -> str:
    """`text` as the font can write it, cut to `longest` characters; � for what it has no sign for."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties()))
    signs = [sign if sign.isprintable() and font.get_char_index(ord(sign)) else UNKNOWN for sign in text]
    cut = signs if len(signs) <= longest else [*signs[: longest - 1], "…"]
    return "".join(cut)


def text_width(text: str, points: float) -> float:
    """How wide `text` is in letters of that size, in points of 1/72 inch."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties()))
    font.set_size(points, 72)
    font.set_text(text)
    width, _ = font.get_width_height()
    return float(width / 64)
