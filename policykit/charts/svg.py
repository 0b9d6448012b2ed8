"""What every plot is drawn with: a canvas, axes with round numbers, and a legend.

Colours are those of Okabe and Ito (2008), told apart by all kinds of colour vision; each series has a shape of line or
mark too, so that nothing is said by colour alone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4")
INK, FAINT = "#222222", "#d9d9d9"
CHAR_WIDTH = 6.6
"""Pixels of one character at the size of labels, a little more than what fonts take."""


def colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def dash(index: int) -> str:
    return DASHES[index % len(DASHES)]


def number(value: float) -> str:
    """A coordinate, short: two decimals, no trailing zeros.

    >>> number(1.5), number(2.0), number(-0.001)
    ('1.5', '2', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def ticks(low: float, high: float, n: int = 5) -> tuple[float, ...]:
    """About ``n`` round numbers (1, 2 or 5 times a power of ten) from at most ``low`` to at least ``high``.

    >>> ticks(0.0, 0.43)
    (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    """
    span = high - low
    if not span > 0:
        pad = abs(low) or 1.0
        low, high, span = low - pad / 2, low + pad / 2, pad
    rough = span / n
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step))) + 1
    return tuple(round(i * step, digits) for i in range(first, last + 1))


def shown(value: float) -> str:
    """A tick's number.

    >>> shown(0.5), shown(20000.0), shown(0.0)
    ('0.5', '20000', '0')
    """
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from ``low`` to ``high`` to pixels from ``start`` to ``stop``."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


def line(x1: float, y1: float, x2: float, y2: float, stroke: str = INK, width: float = 1.0, dashes: str = "") -> str:
    places = " ".join(
        f'{name}="{number(v)}"' for name, v in zip(("x1", "y1", "x2", "y2"), (x1, y1, x2, y2), strict=True)
    )
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line {places} stroke="{stroke}" stroke-width="{number(width)}"{dashed}/>'


def text(x: float, y: float, words: str, anchor: str = "start", *, bold: bool = False, size: int = 12) -> str:
    weight = ' font-weight="bold"' if bold else ""
    place = f'x="{number(x)}" y="{number(y)}" text-anchor="{anchor}" font-size="{size}"'
    return f'<text {place} fill="{INK}"{weight}>{escape(words)}</text>'


def cut(words: str, limit: int) -> str:
    """``words`` in at most ``limit`` characters.

    >>> cut("guarantees", 6)
    'guara…'
    """
    return words if len(words) <= limit else words[: limit - 1] + "…"


def mark(x: float, y: float, index: int) -> str:
    """A point of series ``index``: circle, square, diamond or triangle."""
    fill = f'fill="{colour(index)}"'
    match index % 4:
        case 0:
            return f'<circle cx="{number(x)}" cy="{number(y)}" r="4" {fill}/>'
        case 1:
            return f'<rect x="{number(x - 3.5)}" y="{number(y - 3.5)}" width="7" height="7" {fill}/>'
        case 2:
            corners = ((x, y - 5), (x + 5, y), (x, y + 5), (x - 5, y))
        case _:
            corners = ((x, y - 5), (x + 5, y + 4), (x - 5, y + 4))
    points = " ".join(f"{number(a)},{number(b)}" for a, b in corners)
    return f'<polygon points="{points}" {fill}/>'


def legend(names: Sequence[str], x: float, y: float, *, is_lines: bool = False) -> list[str]:
    """One entry beside the other, from (x, y) on; nothing for a single series."""
    parts: list[str] = []
    for i, name in enumerate(names if len(names) > 1 else ()):
        sample = line(x, y - 4, x + 18, y - 4, colour(i), 2, dash(i)) if is_lines else mark(x + 9, y - 4, i)
        parts += [sample, text(x + 24, y, name)]
        x += 36 + CHAR_WIDTH * len(name)
    return parts


def axis_x(scale: Scale, marks: Sequence[float], top: float, bottom: float, label: str, percent: bool) -> list[str]:
    """Grid lines, numbers and the name of the axis below the plot."""
    parts: list[str] = []
    for value in marks:
        x = scale.at(value)
        words = f"{shown(round(value * 100, 6))} %" if percent else shown(value)
        parts += [line(x, top, x, bottom, FAINT), text(x, bottom + 16, words, "middle", size=11)]
    return [*parts, text((scale.start + scale.stop) / 2, bottom + 34, label, "middle")]


def axis_y(scale: Scale, marks: Sequence[float], left: float, right: float, percent: bool) -> list[str]:
    """Grid lines and numbers at the left of the plot."""
    parts: list[str] = []
    for value in marks:
        y = scale.at(value)
        words = f"{shown(round(value * 100, 6))} %" if percent else shown(value)
        parts += [line(left, y, right, y, FAINT), text(left - 6, y + 4, words, "end", size=11)]
    return parts


def drawing(width: float, height: float, title: str, described: str, parts: Iterable[str]) -> str:
    """The whole SVG, with a title and a description that a screen reader speaks."""
    size = f'viewBox="0 0 {number(width)} {number(height)}" width="{number(width)}" height="{number(height)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} font-family="system-ui, sans-serif">'
    about = f"<title>{escape(title)}</title><desc>{escape(described)}</desc>"
    paper = f'<rect width="{number(width)}" height="{number(height)}" fill="#ffffff"/>'
    return "\n".join([head, about, paper, text(12, 22, title, bold=True, size=14), *parts, "</svg>"]) + "\n"
