"""The violations of rules that fired, in the order of the text; where there are very many, made on demand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from policykit.automata import Places
from policykit.automata.columns import places
from policykit.ir.verdict import Violation, Violations
from policykit.verify.findings import Separate

FEW = 1_000
"""Violations that are made at once."""
_NOWHERE = (1 << 63) - 1


@dataclass(frozen=True, eq=False, slots=True)
class Located:
    """What a rule found, and what its violations say beside that. ``data`` is what lists say about phrases."""

    rule: str
    severity: str
    cost: float
    data: Mapping[str, tuple[tuple[str, str], ...]]
    found: Separate | None

    def violation(self, start: int, end: int, view: str, matched: str) -> Violation:
        """The one about a stretch."""
        return Violation(self.rule, start, end, view, matched, self.severity, self.cost, self.data.get(matched, ()))


Fired: TypeAlias = Located | Violation
"""What a rule found and where, or the one violation that has no place."""


def in_order(first: tuple[Violation, ...], fired: Sequence[Fired]) -> tuple[Violation, ...] | Violations:
    """The violations of rules in the order of the plan, by start and end, those without a place last, then by rule.
    Before them stand the ones that come ``first``."""
    sizes = [_size(one) for one in fired]
    if not fired:
        return first
    order = np.argsort(np.concatenate([_places(one) for one in fired]), kind="stable")
    rule = np.repeat(np.arange(len(fired)), sizes)[order]
    index = np.concatenate([np.arange(size) for size in sizes])[order]

    def make(i: int) -> Violation:
        if i < len(first):
            return first[i]
        one = fired[int(rule[i - len(first)])]
        return one if isinstance(one, Violation) else _made(one, int(index[i - len(first)]))

    n = len(first) + sum(sizes)
    if n <= FEW:
        return tuple(map(make, range(n)))

    def rules() -> tuple[str, ...]:
        numbers, at = np.unique(rule, return_index=True)
        by_place: list[int] = numbers[np.argsort(at)].tolist()
        return tuple(dict.fromkeys([one.rule for one in first] + [fired[i].rule for i in by_place]))

    def costs() -> list[float]:
        of_rules = np.array([one.cost for one in fired], np.float64)
        return [one.cost for one in first] + of_rules[rule].tolist()

    return Violations(n, make, rules, costs)


def _size(one: Fired) -> int:
    return 1 if isinstance(one, Violation) or one.found is None else len(one.found)


def _places(one: Fired) -> Places:
    """Start, then end, as one number for each violation."""
    if isinstance(one, Violation) or one.found is None:
        return places([_NOWHERE])
    return (one.found.starts << 32) + one.found.ends


def _made(one: Located, i: int) -> Violation:
    assert one.found is not None, "only what was found has a place"
    return one.violation(*one.found.place_of(i))
