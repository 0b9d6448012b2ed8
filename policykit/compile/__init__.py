"""The compiler: documents, a grammar and a context become a plan. It knows neither YAML nor tokens."""

from policykit.compile.digest import FORMAT
from policykit.compile.plan import PlanSpec, compile_plan
from policykit.compile.program import Program, lower
from policykit.compile.resolve import glob_matches, resolve

__all__ = ["FORMAT", "PlanSpec", "Program", "compile_plan", "glob_matches", "lower", "resolve"]
