"""A bounded search for a way on, for plans whose liveness is not proved.

Under such a plan a token can lead to a place where grammar and policies, each alive, admit nothing together. The
search runs both over single bytes beside the real matcher and closes tokens from which no continuation survives.
What it could not decide within its budget stays open; a dead end that is met all the same is reported as one.

A continuation that one token has is often one of others too (the rest of a date, the end of a name), so those that
were found are tried first. Which are known decides how long a step takes, never what it finds: a continuation is one
that a search without them would have found, or would have spent its budget before.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from policykit.constraint.images import JsonLexer
from policykit.constraint.joint import Joint
from policykit.constraint.machine import SHORT, PolicyMachine
from policykit.constraint.rows import close, has_bit, set_bits
from policykit.grammar import GrammarState

MAX_CANDIDATES = 64
"""Tokens examined per step. Where more are allowed, only those after which a rule does not let the text end."""
MAX_NODES = 400
"""Bytes tried per token before it is left open."""
MAX_CLOSING = 20_000
"""Tokens of which it is remembered whether they close strings."""
MAX_WAYS = 16
"""Continuations that are kept, the one that served last first."""
_ORDER = sorted(range(256), key=lambda b: (b not in b'"', b not in b" ,.}])", b))
_BYTES = tuple(bytes([b]) for b in range(256))


class Lookahead:
    """The search of one plan: a continuation counts as alive if it can end, or reaches ``horizon`` bytes.

    With ``resets`` the rules read JSON strings and forget them when they close, and everything outside strings is
    proved: then it is enough that the string at hand can be closed. In the first ``covered_bytes`` of a string there
    is a way on from everywhere but where a rule holds on to the text: no other token is examined. ``marks`` are special
    tokens that the grammar has, with the names that they are shown by. Shared by all texts.
    """

    def __init__(
        self,
        machine: PolicyMachine,
        horizon: int,
        *,
        resets: bool,
        covered_bytes: int = -1,
        marks: Mapping[int, bytes] | None = None,
    ) -> None:
        self._machine = machine
        self._marks = marks or {}
        self._horizon = horizon
        self._resets = resets
        self._covered_bytes = covered_bytes
        self._closing: dict[tuple[tuple[str, ...], int], bool] = {}
        self._ways: tuple[bytes, ...] = ()  # replaced as a whole: threads share it

    def prune(
        self,
        row: NDArray[np.int32],
        shadow: Callable[[], GrammarState],
        joint: Joint,
        proven: tuple[bytes, ...] = (),
        forced: bytes = b"",
        n_inside: int = 0,
    ) -> tuple[bytes, ...]:
        """Close tokens in ``row`` that lead nowhere. ``shadow`` reads single bytes and stands at the same point; it is
        asked for where it is needed. ``forced`` is what the grammar lets follow here and nothing else. No more than
        ``n_inside`` bytes were written in the string at hand.

        ``proven`` are texts that were seen to lead from here to where the string is closed, or to an end: no token that
        they begin with has to be examined. Returned with those that were found now.
        """
        found = list(proven)
        for token_id in self._candidates(row, joint, n_inside):
            token = self._text(token_id)
            if any(text.startswith(token) for text in found):
                continue
            if self._resets and token_id not in self._marks and self._closes_strings(joint, token_id):
                continue
            if forced:
                forced, closed = b"", self._closed_by(joint, forced)
                if closed:
                    found.append(closed)
                if closed.startswith(token):
                    continue
            if not self._survives(token_id, shadow(), joint, found):
                close(row, token_id)
        return tuple(found)

    def _closes_strings(self, joint: Joint, token_id: int) -> bool:
        """Whether no string is open after a token that the mask allows. The same few are asked for."""
        if joint.pending:
            return False
        known = self._closing.get((joint.modes, token_id))
        if known is None:
            if len(self._closing) >= MAX_CLOSING:
                self._closing.clear()
            reader = self._machine.reader
            lexers = zip(reader.lexers, joint.modes, reader.binding.group_of_scope, strict=True)
            known = not self._machine.vocabulary.tail_of(token_id) and all(
                g.mode_after(m, token_id) == x.start for x, m, g in lexers if isinstance(x, JsonLexer)
            )
            self._closing[joint.modes, token_id] = known
        return known

    def _closed_by(self, joint: Joint, forced: bytes) -> bytes:
        """So much of forced text as the rules let through and leads to where no string is open."""
        if not self._resets or joint.pending or b"\\" in forced:
            return b""
        for end in _ends(forced):
            after = self._machine.reader.advance_rest(joint, forced[:end])
            if after is not None and self._machine.reader.closes_strings(after):
                return forced[:end]
        return b""

    def _candidates(self, row: NDArray[np.int32], joint: Joint, n_inside: int = 0) -> list[int]:
        """The tokens that are examined, the longest first: its way on is one from all tokens that it begins with."""
        special = self._machine.vocabulary.special_ids
        marks = [i for i in sorted(self._marks) if has_bit(row, i)]
        listed = set_bits(row) if np.count_nonzero(row) <= MAX_CANDIDATES else None
        many = listed is None or len(listed) > MAX_CANDIDATES
        is_covered = n_inside + SHORT <= self._covered_bytes
        if (many or is_covered) and not joint.pending:
            ids = self._machine.holding(joint, row)
            if not many and len(uncovered := set_bits(row & self._machine.uncovered_row)):
                ids = np.union1d(ids, uncovered)
        else:
            ids = set_bits(row) if listed is None else listed
        chosen = [*marks, *(i for i in ids.tolist() if i not in special)][:MAX_CANDIDATES]
        return sorted(chosen, key=lambda i: -len(self._text(i)))

    def _text(self, token_id: int) -> bytes:
        return self._marks.get(token_id) or self._machine.vocabulary.tokens[token_id]

    def _survives(self, token_id: int, shadow: GrammarState, joint: Joint, proven: list[bytes]) -> bool:
        mark, token = self._marks.get(token_id), self._text(token_id)
        after = self._machine.advance(joint, token_id) if mark is None else self._machine.after_mark(joint, mark)
        if after is None or not shadow.admits(token):
            return False
        if self._is_enough(after, 0):
            proven.append(token)
            return True
        if proven and self._knows_way(token, shadow, after, proven, 0, 1):  # what served last, before all else
            return True
        if self._escapes(token, shadow, after) or self._knows_way(token, shadow, after, proven, min(len(proven), 1)):
            return True
        ahead, way, budget = shadow.ahead(), bytearray(), [MAX_NODES]
        if not ahead.accept_all(token) or not self._search(ahead, after, way, budget):
            return False
        if budget[0] and way:
            self._remember(bytes(way))
            if len(way) < self._horizon:
                proven.append(token + way)
        return True

    def _is_enough(self, joint: Joint, n_bytes: int) -> bool:
        """Whether a continuation of so many bytes that leads here shows a way on, wherever the grammar stands."""
        return n_bytes >= self._horizon or (self._resets and self._machine.reader.closes_strings(joint))

    def _escapes(self, token: bytes, shadow: GrammarState, joint: Joint) -> bool:
        """Whether a short text that frees every rule is also legal in the grammar. The empty one shows nothing: what
        the grammar demands next may be what a rule forbids."""
        for text in self._machine.reader.escapes(joint):
            if not text or '"' in text or "\\" in text:  # what a JSON grammar would read as something else
                continue
            if shadow.admits(token + text.encode()):
                return True
        return False

    def _knows_way(
        self, token: bytes, shadow: GrammarState, joint: Joint, proven: list[bytes], first: int, last: int = MAX_WAYS
    ) -> bool:
        """Whether a continuation that was found before, of those from ``first`` to ``last``, leads on from here too."""
        for at, way in enumerate(self._ways[first:last], first):
            if not shadow.admits(token + way):
                continue
            after = self._after(joint, way)
            if after is not None and (self._is_enough(after, len(way)) or self._ends(token + way, shadow, after)):
                if at:
                    self._remember(way)
                if len(way) < self._horizon:
                    proven.append(token + way)
                return True
        return False

    def _remember(self, way: bytes) -> None:
        self._ways = (way, *(known for known in self._ways if known != way))[:MAX_WAYS]

    def _after(self, joint: Joint, way: bytes) -> Joint | None:
        after: Joint | None = joint
        for byte in way:
            after = self._machine.reader.advance_byte(after, _BYTES[byte]) if after else None
        return after

    def _ends(self, text: bytes, shadow: GrammarState, joint: Joint) -> bool:
        ahead = shadow.ahead()
        return self._machine.may_end(joint) and ahead.accept_all(text) and ahead.accepting

    def _search(self, ahead: GrammarState, joint: Joint, way: bytearray, budget: list[int]) -> bool:
        """Depth first; ``budget`` is what the search of one token may still try. Leaves the continuation in ``way``."""
        if self._is_enough(joint, len(way)) or (ahead.accepting and self._machine.may_end(joint)):
            return True
        forced = ahead.forced_bytes()
        if forced:
            return self._follow(ahead, joint, forced, way, budget)
        row = np.zeros(9, np.int32)
        ahead.fill(row)
        allowed = int.from_bytes(row.tobytes(), "little")
        for byte in _ORDER:
            if not allowed >> byte & 1:
                continue
            if budget[0] == 0:
                return True
            budget[0] -= 1
            after = self._machine.reader.advance_byte(joint, _BYTES[byte])
            if after is None or not ahead.accept(byte):
                continue
            way.append(byte)
            if self._search(ahead, after, way, budget):
                return True
            way.pop()
            ahead.rollback(1)
        return False

    def _follow(self, ahead: GrammarState, joint: Joint, forced: bytes, way: bytearray, budget: list[int]) -> bool:
        """The search where the grammar leaves no choice."""
        length = len(way)
        for byte in forced:
            if budget[0] == 0:
                return True
            budget[0] -= 1
            after = self._machine.reader.advance_byte(joint, _BYTES[byte])
            if after is None:
                break
            joint = after
            way.append(byte)
            if self._is_enough(joint, len(way)):
                return True
        else:
            if ahead.accept_all(forced):
                if self._search(ahead, joint, way, budget):
                    return True
                ahead.rollback(len(forced))
        del way[length:]
        return False


def _ends(text: bytes) -> Iterator[int]:
    """Where JSON text that holds no escape may stand outside of strings: its end, and before and after its quotes, the
    last first."""
    at = len(text)
    yield at
    while (at := text.rfind(b'"', 0, at)) >= 0:
        yield from (at + 1, at)
