"""policykit: one declarative policy, compiled once into masks and verifiers that cannot drift apart.

>>> import policykit as pk
>>> plan = pk.compile(None, pk.Grammar.from_choices(["yes", "no"]))
>>> plan.verify("yes").decision.value, plan.verify("maybe").decision.value
('allow', 'block')
"""

from policykit.constraint import Constraint, Outcome, State, Vocabulary
from policykit.diagnostics import Diagnostic, InternalError, Place, PolicyError
from policykit.grammar import load_grammar
from policykit.ir.document import Target
from policykit.ir.plan import Enforcement, Level, Liveness, LivenessKind, Residue
from policykit.ir.verdict import Decision, Verdict, Violation
from policykit.plan import Bounds, Compilers, Plan, compile, load_plan
from policykit.plan.grammars import Grammar
from policykit.policy import load_policies, parse_document
from policykit.streaming import Stream
from policykit.verify import Resources, Subject, tool_call

__version__ = "0.1.0"

__all__ = [
    "Bounds",
    "Compilers",
    "Constraint",
    "Decision",
    "Diagnostic",
    "Enforcement",
    "Grammar",
    "InternalError",
    "Level",
    "Liveness",
    "LivenessKind",
    "Outcome",
    "Place",
    "Plan",
    "PolicyError",
    "Residue",
    "Resources",
    "State",
    "Stream",
    "Subject",
    "Target",
    "Verdict",
    "Violation",
    "Vocabulary",
    "compile",
    "load_grammar",
    "load_plan",
    "load_policies",
    "parse_document",
    "tool_call",
]
