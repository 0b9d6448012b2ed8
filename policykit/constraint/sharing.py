"""One machine for all plans that have the same rules over the same vocabulary, whatever their grammars are; or two that
share what they have met, where masks of some plans close traps that others search for.

Binding a thousand phrases to a large vocabulary takes seconds; a request that brings a grammar of its own must not
wait for it again.
"""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Final

from policykit.compile.program import lower
from policykit.constraint.machine import PolicyMachine
from policykit.constraint.vocabulary import Vocabulary
from policykit.ir.plan import Liveness, ResolvedRule

MAX_MACHINES: Final = 8
"""Machines that a vocabulary keeps, the least recently used dropped first; a constraint holds on to its own."""


class Machines:
    """The machines of one vocabulary. Safe for threads: each is made once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[Hashable, ...], PolicyMachine] = OrderedDict()

    def get(self, rules: tuple[ResolvedRule, ...], vocabulary: Vocabulary, liveness: Liveness) -> PolicyMachine:
        """The machine of these rules, made ready."""
        key = rules, liveness.escape, liveness.together, liveness.fragile
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                same = rules, liveness.escape, liveness.together
                beside = next((made for (*about, _), made in self._kept.items() if tuple(about) == same), None)
                if beside is None:
                    found = PolicyMachine(lower(rules), vocabulary, liveness)
                else:
                    found = beside.closing(liveness.fragile)
                found.warm()
                self._kept[key] = found
            self._kept.move_to_end(key)
            while len(self._kept) > MAX_MACHINES:
                self._kept.popitem(last=False)
            return found


def machine_of(rules: tuple[ResolvedRule, ...], vocabulary: Vocabulary, liveness: Liveness) -> PolicyMachine:
    """The vocabulary's machine for the rules that a mask enforces."""
    machines = vocabulary.shared.setdefault(__name__, Machines())  # atomic, so that all threads have the same
    assert isinstance(machines, Machines)
    return machines.get(rules, vocabulary, liveness)
