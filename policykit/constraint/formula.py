"""Requirements evaluated on what has been found, one state at a time or for every token at once."""

from collections.abc import Mapping, Sequence

import numpy as np

from policykit.automata import FOUND
from policykit.compile.program import Every, Formula, Literal
from policykit.constraint.rows import Row


def holds(formula: Formula, found: Sequence[bool]) -> bool:
    """The formula's value with what has been found."""
    if isinstance(formula, Literal):
        return any(found[u] for u in formula.units) == formula.positive
    values = (holds(item, found) for item in formula.items)
    return all(values) if isinstance(formula, Every) else any(values)


def for_good(formula: Formula, states: Sequence[int]) -> bool:
    """Whether the formula is true whatever follows: an absence can always still be mended."""
    if isinstance(formula, Literal):
        return formula.positive and any(states[u] == FOUND for u in formula.units)
    values = (for_good(item, states) for item in formula.items)
    return all(values) if isinstance(formula, Every) else any(values)


def for_good_rows(formula: Formula, found: Mapping[int, Row], plain: Row) -> Row:
    """:func:`for_good` after every token at once, on packed rows ``int32 [ceil(V/32)]``."""
    if isinstance(formula, Literal):
        out = np.zeros_like(plain)
        for unit in formula.units if formula.positive else ():
            out |= found[unit]
        return out
    rows = [for_good_rows(item, found, plain) for item in formula.items]
    out = rows[0]
    for row in rows[1:]:
        out = out & row if isinstance(formula, Every) else out | row
    return out
