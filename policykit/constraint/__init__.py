"""Token masks: a plan's grammar and decode rules, bound to a vocabulary."""

from policykit.compile.program import lower
from policykit.constraint.constraint import Constraint
from policykit.constraint.machine import PolicyMachine
from policykit.constraint.sharing import machine_of
from policykit.constraint.state import Outcome, State
from policykit.constraint.vocabulary import Vocabulary
from policykit.constraint.warm_set import NoWarmSet, meet_states, written_states

__all__ = [
    "Constraint",
    "NoWarmSet",
    "Outcome",
    "PolicyMachine",
    "State",
    "Vocabulary",
    "lower",
    "machine_of",
    "meet_states",
    "written_states",
]
