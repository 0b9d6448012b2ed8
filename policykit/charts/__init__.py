"""Plots as SVG text: no package is needed, and the same values give the same bytes."""

from policykit.charts.histogram import histogram
from policykit.charts.intervals import Interval, intervals
from policykit.charts.lines import Line, lines

__all__ = ["Interval", "Line", "histogram", "intervals", "lines"]
