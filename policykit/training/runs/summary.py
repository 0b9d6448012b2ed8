"""What a run came to: numbers at its beginning and its end, and plots of everything between."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from policykit.charts import Line, lines as line_plot
from policykit.policy.checked import Json
from policykit.training.runs.folder import RunFolder, write, write_json
from policykit.training.runs.run import HELD_OUT, TRAIN

MetricLine = Mapping[str, Json]
_NOT_METRICS = ("step", "phase", "seconds")


@dataclass(frozen=True, slots=True)
class Summary:
    """``status`` is `finished`, or why the run stopped; ``first`` and ``last`` are metrics by phase and name."""

    name: str
    kind: str
    status: str
    n_steps: int
    first: Mapping[str, float]
    last: Mapping[str, float]

    def as_json(self) -> dict[str, Json]:
        found: dict[str, Json] = {"name": self.name, "kind": self.kind, "status": self.status, "steps": self.n_steps}
        return {**found, "first": dict(self.first), "last": dict(self.last)}


def summary_of(name: str, kind: str, status: str, lines: Sequence[MetricLine]) -> Summary:
    """The first and the last value of every metric that was logged."""
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for line in lines:
        for metric, value in _metrics(line):
            first.setdefault(metric, value)
            last[metric] = value
    n_steps = max((cast("int", line["step"]) for line in lines), default=0)
    return Summary(name, kind, status, n_steps, first, last)


def _metrics(line: MetricLine) -> list[tuple[str, float]]:
    phase = str(line["phase"])
    found = [(name, value) for name, value in line.items() if name not in _NOT_METRICS]
    return [(f"{phase}/{name}", float(value)) for name, value in found if isinstance(value, int | float)]


def plots_of(lines: Sequence[MetricLine], groups: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """SVG by file name: one plot per group of metrics that was logged, and one of the loss.

    A group names metrics without their phase; a name that ends in `/` stands for all that begin so.
    """
    plots: dict[str, str] = {}
    for title, names in {"loss": ("loss",), **groups}.items():
        series: dict[str, list[tuple[float, float]]] = {}
        for line in lines:
            for metric, value in _metrics(line):
                _, _, bare = metric.partition("/")
                if any(bare == name or (name.endswith("/") and bare.startswith(name)) for name in names):
                    series.setdefault(metric, []).append((float(cast("int", line["step"])), value))
        if series:
            shown = [Line(_told(name, names), tuple(points)) for name, points in sorted(series.items())]
            plots[f"{title}.svg"] = line_plot(title, shown, "step")
    return plots


def _told(metric: str, names: tuple[str, ...]) -> str:
    phase, _, bare = metric.partition("/")
    said = {TRAIN: "training", HELD_OUT: "held out"}.get(phase, phase)
    return said if len(names) == 1 and not names[0].endswith("/") else f"{bare}, {said}"


def write_summary(folder: RunFolder, summary: Summary, plots: Mapping[str, str]) -> None:
    """`summary.json`, `summary.md` and `plots/`."""
    write_json(folder.path / "summary.json", summary.as_json())
    for name, svg in plots.items():
        write(folder.path / "plots" / name, svg)
    rows = [f"| {name} | {summary.first[name]:.4g} | {value:.4g} |" for name, value in sorted(summary.last.items())]
    head = f"# {summary.name}\n\n{summary.kind}: {summary.status} after {summary.n_steps} steps.\n"
    table = "\n".join(["", "| metric | first | last |", "| --- | --- | --- |", *rows, ""])
    names = sorted({*plots, *(path.name for path in (folder.path / "plots").glob("*.svg"))})
    shown = "".join(f"\n![{name.removesuffix('.svg')}](plots/{name})\n" for name in names)
    write(folder.path / "summary.md", head + table + shown)
