"""Estimates with their bounds, one row for each thing that was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policykit.charts import svg

WIDTH, ROW, MAX_LABEL = 760, 18, 44


@dataclass(frozen=True, slots=True)
class Interval:
    """A point between two bounds."""

    low: float
    point: float
    high: float


def intervals(
    title: str,
    rows: Sequence[tuple[str, Mapping[str, Interval]]],
    x_label: str,
    *,
    percent: bool = True,
    limit: float | None = None,
) -> str:
    """Rows of named intervals, one for each series that has one; ``limit`` is a line that they should stay left of.

    Values are shares where ``percent`` is true, and shown in per cent.
    """
    names = list(dict.fromkeys(name for _, of in rows for name in of))
    found = [interval for _, of in rows for interval in of.values()]
    high = max([i.high for i in found] + ([limit] if limit is not None else []), default=1.0)
    low = min([i.low for i in found] + [0.0])
    marks = svg.ticks(low, high)
    left = 20 + svg.CHAR_WIDTH * max((min(len(label), MAX_LABEL) for label, _ in rows), default=0)
    scale = svg.Scale(marks[0], marks[-1], left, WIDTH - 90)
    per_row = ROW * max(1, len(names))
    top = 56.0 if len(names) > 1 else 40.0
    bottom = top + per_row * max(1, len(rows)) + 6
    parts = svg.axis_x(scale, marks, top, bottom, x_label, percent)
    parts += svg.legend(names, left, 44)
    if limit is not None:
        parts.append(svg.line(scale.at(limit), top, scale.at(limit), bottom, "#b00020", 1.5, "4 3"))
    for i, (label, of) in enumerate(rows):
        y = top + per_row * i + per_row / 2 + 3
        parts.append(svg.text(left - 8, y + 4, svg.cut(label, MAX_LABEL), "end"))
        parts += _row(scale, names, of, y - per_row / 2 + ROW / 2, percent)
    said = "; ".join(f"{label}: {_words(of, percent)}" for label, of in rows)
    return svg.drawing(WIDTH, bottom + 46, title, said, parts)


def _row(scale: svg.Scale, names: Sequence[str], of: Mapping[str, Interval], y: float, percent: bool) -> list[str]:
    parts: list[str] = []
    for k, name in enumerate(names):
        if name not in of:
            continue
        one, at = of[name], y + ROW * k
        parts.append(svg.line(scale.at(one.low), at, scale.at(one.high), at, svg.colour(k), 2))
        parts += [svg.line(scale.at(v), at - 4, scale.at(v), at + 4, svg.colour(k), 2) for v in (one.low, one.high)]
        parts += [
            svg.mark(scale.at(one.point), at, k),
            svg.text(scale.at(one.high) + 8, at + 4, _value(one.point, percent), size=11),
        ]
    return parts


def _words(of: Mapping[str, Interval], percent: bool) -> str:
    said = [
        f"{name} {_value(i.point, percent)}, {_value(i.low, percent)} to {_value(i.high, percent)}"
        for name, i in of.items()
    ]
    return ", ".join(said)


def _value(value: float, percent: bool) -> str:
    return f"{value * 100:.2f} %" if percent else f"{value:.3g}"
