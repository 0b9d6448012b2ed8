"""A bounded search for a way on, for plans whose liveness is not proved.

Under such a plan a token can lead to a place where grammar and policies, each alive, admit nothing together. The
search runs both over single bytes beside the real matcher and closes tokens from which no continuation survives.
What it could not decide within its budget stays open; a dead end that is met all the same is reported as one.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from policykit.constraint.joint import Joint
from policykit.constraint.machine import PolicyMachine, close
from policykit.constraint.rows import count_bits, set_bits
from policykit.grammar import GrammarState

MAX_CANDIDATES = 64
"""Tokens examined per step. Where more are allowed, only those after which a rule does not let the text end."""
MAX_NODES = 400
"""Bytes tried per token before it is left open."""
MAX_STEP_NODES = 4_000
"""Bytes tried per step before all tokens that are left stay open."""
_ORDER = sorted(range(256), key=lambda b: (b not in b'"', b not in b" ,.}])", b))


class Lookahead:
    """The search of one plan: a continuation counts as alive if it can end, or reaches ``horizon`` bytes.

    With ``resets`` the rules read JSON strings and forget them when they close, and everything outside strings is
    proved: then it is enough that the string at hand can be closed. ``marks`` are special tokens that the grammar has,
    with the names that they are shown by.
    """

    def __init__(
        self, machine: PolicyMachine, horizon: int, *, resets: bool, marks: Mapping[int, bytes] | None = None
    ) -> None:
        self._machine = machine
        self._marks = marks or {}
        self._horizon = horizon
        self._resets = resets

    def prune(self, row: NDArray[np.int32], shadow: GrammarState, joint: Joint) -> None:
        """Close tokens in ``row`` that lead nowhere. ``shadow`` reads single bytes and stands at the same point."""
        left = MAX_STEP_NODES
        for token_id in self._candidates(row, joint):
            budget = [min(MAX_NODES, left)]
            left -= budget[0]
            if not self._survives(token_id, shadow, joint, budget):
                close(row, token_id)
            left += budget[0]

    def _candidates(self, row: NDArray[np.int32], joint: Joint) -> list[int]:
        special = self._machine.vocabulary.special_ids
        marks = [i for i in set_bits(row).tolist() if i in self._marks] if self._marks else []
        if count_bits(row) > MAX_CANDIDATES and not joint.pending:
            row = row & self._machine.open_mask(joint)
        return [*marks, *(i for i in set_bits(row).tolist() if i not in special)][:MAX_CANDIDATES]

    def _survives(self, token_id: int, shadow: GrammarState, joint: Joint, budget: list[int]) -> bool:
        mark = self._marks.get(token_id)
        after = self._machine.advance(joint, token_id) if mark is None else self._machine.after_mark(joint, mark)
        ahead = shadow.ahead()
        if after is None or not ahead.accept_all(mark or self._machine.vocabulary.tokens[token_id]):
            return False
        return self._escapes(ahead, after) or self._search(ahead, after, self._horizon, budget)

    def _escapes(self, shadow: GrammarState, joint: Joint) -> bool:
        """Whether a short text that frees every rule is also legal in the grammar. The empty one shows nothing: what
        the grammar demands next may be what a rule forbids."""
        for text in self._machine.reader.escapes(joint):
            if not text or '"' in text or "\\" in text:  # what a JSON grammar would read as something else
                continue
            if shadow.ahead().accept_all(text.encode()):
                return True
        return False

    def _search(self, shadow: GrammarState, joint: Joint, depth: int, budget: list[int]) -> bool:
        """Depth first; ``budget`` is what the search of one token may still try."""
        if depth == 0 or (self._resets and self._machine.reader.closes_strings(joint)):
            return True
        if shadow.accepting and self._machine.may_end(joint):
            return True
        row = np.zeros(9, np.int32)
        shadow.fill(row)
        allowed = np.unpackbits(row.view(np.uint8), bitorder="little")
        for byte in _ORDER:
            if not allowed[byte]:
                continue
            if budget[0] == 0:
                return True
            budget[0] -= 1
            after = self._machine.advance_bytes(joint, bytes([byte]))
            if after is None:
                continue
            ahead = shadow.ahead()
            if ahead.accept(byte) and self._search(ahead, after, depth - 1, budget):
                return True
        return False
