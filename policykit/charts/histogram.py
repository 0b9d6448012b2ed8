"""How values are spread: counts in bins of equal width, as outlines that may lie over one another."""

from collections.abc import Mapping, Sequence

import numpy as np

from policykit.charts import svg

WIDTH, HEIGHT, N_BINS = 760, 300, 30


def histogram(
    title: str, series: Mapping[str, Sequence[float]], x_label: str, *, n_bins: int = N_BINS, at: float | None = None
) -> str:
    """Shares of the values of each series by bin; bins are common to all. ``at`` marks a value, such as 0."""
    values = [np.asarray(found, dtype=float) for found in series.values()]
    everything = np.concatenate(values) if values else np.zeros(0)
    low, high = (float(everything.min()), float(everything.max())) if everything.size else (0.0, 1.0)
    marks = svg.ticks(low, high)
    edges = np.linspace(marks[0], marks[-1], n_bins + 1)
    shares = [np.histogram(found, edges)[0] / max(1, found.size) for found in values]
    x = svg.Scale(marks[0], marks[-1], 64, WIDTH - 24)
    top, bottom = (56.0 if len(series) > 1 else 40.0), HEIGHT - 46.0
    y_marks = svg.ticks(0.0, max((float(s.max()) for s in shares), default=1.0) or 1.0)
    y = svg.Scale(y_marks[0], y_marks[-1], bottom, top)
    parts = svg.axis_x(x, marks, top, bottom, x_label, False)
    parts += svg.axis_y(y, y_marks, x.start, x.stop, True)
    parts += svg.legend(list(series), x.start, 44, is_lines=True)
    if at is not None and marks[0] <= at <= marks[-1]:
        parts.append(svg.line(x.at(at), top, x.at(at), bottom, svg.INK, 1, "3 3"))
    parts += [_outline(x, y, edges.tolist(), found.tolist(), k) for k, found in enumerate(shares)]
    said = "; ".join(
        f"{name}: {len(found)} values, median {float(np.median(found)):.3g}" if len(found) else f"{name}: no values"
        for name, found in series.items()
    )
    return svg.drawing(WIDTH, HEIGHT, title, said, parts)


def _outline(x: svg.Scale, y: svg.Scale, edges: Sequence[float], shares: Sequence[float], index: int) -> str:
    places = [(x.at(edges[0]), y.at(0.0))]
    for left, right, share in zip(edges[:-1], edges[1:], shares, strict=True):
        places += [(x.at(left), y.at(share)), (x.at(right), y.at(share))]
    places.append((x.at(edges[-1]), y.at(0.0)))
    points = " ".join(f"{svg.number(a)},{svg.number(b)}" for a, b in places)
    dashes = f' stroke-dasharray="{svg.dash(index)}"' if svg.dash(index) else ""
    fill = f'fill="{svg.colour(index)}" fill-opacity="0.15" stroke="{svg.colour(index)}" stroke-width="1.5"'
    return f'<polygon points="{points}" {fill}{dashes}/>'
