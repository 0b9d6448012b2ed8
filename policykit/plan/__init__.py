"""The facade over compiler, constraint and verifier."""

from policykit.plan.bounded import Bounds, Compilers
from policykit.plan.compiling import Unread
from policykit.plan.elsewhere import Elsewhere, may_take_long, violations
from policykit.plan.file import load_plan
from policykit.plan.for_requests import RequestBounds, load_proved, request_compilers
from policykit.plan.plan import Plan, compile
from policykit.plan.warm_sets import WarmSets

__all__ = [
    "Bounds",
    "Compilers",
    "Elsewhere",
    "Plan",
    "RequestBounds",
    "Unread",
    "WarmSets",
    "compile",
    "load_plan",
    "load_proved",
    "may_take_long",
    "request_compilers",
    "violations",
]
