"""Which rules the mask tax is paid for: −log Z of a token, to the rules that closed tokens there."""

from collections.abc import Sequence
from typing import cast

import torch

from policykit.constraint import Constraint
from policykit.rewards import GRAMMAR
from policykit.training.rl.draw import TokenIds

_NOTHING = 1e-6
"""Nat below which a position has lost no mass worth asking for."""


def taxed_names(constraint: Constraint) -> tuple[str, ...]:
    """The rules that can close tokens of a constraint, and the grammar; without one, `other`."""
    program = constraint.machine.program
    rules = {owner for unit in program.units for owner in unit.owners} | {r.rule for r in program.requirements}
    return (*sorted({_named(rule) for rule in rules}), _rest(constraint))


def tax_by_rule(
    constraint: Constraint, rows: Sequence[TokenIds], prefixes: Sequence[bytes], log_z: torch.Tensor
) -> dict[str, float]:
    """−Σ log Z of all rows by name, in nat; together they are the mask tax of the rows. ``log_z`` is [B, T].

    Where several rules closed tokens at one position, each has an equal part; where none did, the grammar has it.
    """
    found = dict.fromkeys(taxed_names(constraint), 0.0)
    taxes = cast("list[list[float]]", log_z.detach().tolist())  # pyright: ignore[reportUnknownMemberType]
    machine, rest = constraint.machine, _rest(constraint)
    for row, prefix, values in zip(rows, prefixes, taxes, strict=True):
        last = max((t for t, value in enumerate(values) if value < -_NOTHING), default=-1)
        state = constraint.start(prefix) if last >= 0 else None
        for t, token in enumerate(row[: last + 1]):
            assert state is not None
            if values[t] < -_NOTHING:
                closed_end = machine.closed_by(state.joint, constraint.vocabulary.eos_ids[0])
                names = {_named(rule) for rule in (*machine.closers(state.joint), *closed_end)} or {rest}
                for name in names:
                    found[name] = found.get(name, 0.0) - values[t] / len(names)
            state.accept(token)
    return found


def _rest(constraint: Constraint) -> str:
    return GRAMMAR if constraint.grammar else "other"


def _named(rule: str) -> str:
    """A rule as verdicts name it: without its document."""
    return rule.rpartition("#")[2]
