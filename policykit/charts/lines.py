"""How numbers go over the steps of a run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from policykit.charts import svg

WIDTH, HEIGHT = 760, 300


@dataclass(frozen=True, slots=True)
class Line:
    """A named series of (x, y); points that are no finite numbers leave a gap."""

    name: str
    points: tuple[tuple[float, float], ...]


def lines(title: str, series: Sequence[Line], x_label: str, *, percent: bool = False) -> str:
    """One line per series over a common x; shares are shown in per cent where ``percent`` is true."""
    finite = [(a, b) for one in series for a, b in one.points if math.isfinite(a) and math.isfinite(b)]
    xs, ys = [a for a, _ in finite] or [0.0, 1.0], [b for _, b in finite] or [0.0, 1.0]
    x_marks, y_marks = svg.ticks(min(xs), max(xs)), svg.ticks(min([*ys, 0.0]), max(ys))
    top, bottom = (56.0 if len(series) > 1 else 40.0), HEIGHT - 46.0
    x = svg.Scale(x_marks[0], x_marks[-1], 64, WIDTH - 24)
    y = svg.Scale(y_marks[0], y_marks[-1], bottom, top)
    parts = svg.axis_x(x, x_marks, top, bottom, x_label, False)
    parts += svg.axis_y(y, y_marks, x.start, x.stop, percent)
    parts += svg.legend([one.name for one in series], x.start, 44, is_lines=True)
    for index, one in enumerate(series):
        parts += [_path(x, y, piece, index) for piece in _pieces(one.points)]
    said = "; ".join(f"{one.name}: from {_y(one, 0)} to {_y(one, -1)}" for one in series)
    return svg.drawing(WIDTH, HEIGHT, title, said, parts)


def _y(one: Line, index: int) -> str:
    return f"{one.points[index][1]:.3g}" if one.points else "nothing"


def _pieces(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for a, b in points:
        if math.isfinite(a) and math.isfinite(b):
            pieces[-1].append((a, b))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _path(x: svg.Scale, y: svg.Scale, piece: Sequence[tuple[float, float]], index: int) -> str:
    if len(piece) == 1:
        return svg.mark(x.at(piece[0][0]), y.at(piece[0][1]), index)
    points = " ".join(f"{svg.number(x.at(a))},{svg.number(y.at(b))}" for a, b in piece)
    dashes = f' stroke-dasharray="{svg.dash(index)}"' if svg.dash(index) else ""
    return f'<polyline points="{points}" fill="none" stroke="{svg.colour(index)}" stroke-width="1.8"{dashes}/>'
