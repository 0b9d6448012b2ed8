"""The compiler: documents, a grammar and a context become a plan. It knows neither YAML nor tokens."""

from policykit.compile.digest import FORMAT, Digests
from policykit.compile.plan import compile_plan
from policykit.compile.program import Program, lower
from policykit.compile.resolve import glob_matches, resolve
from policykit.compile.spec import PlanSpec

__all__ = ["FORMAT", "Digests", "PlanSpec", "Program", "compile_plan", "glob_matches", "lower", "resolve"]
