"""The facade over compiler, constraint and verifier."""

from policykit.plan.bounded import Bounds, Compilers
from policykit.plan.file import load_plan
from policykit.plan.plan import Plan, compile

__all__ = ["Bounds", "Compilers", "Plan", "compile", "load_plan"]
