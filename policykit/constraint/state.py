"""One text being written: the grammar's matcher and the policy automata, step by step.

The contract: filling a row changes nothing; ``accept`` that returns False leaves the state as it was; ``rollback``
counts every accepted token, the end of text included; copies are independent.
"""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from policykit.constraint.both import Matcher
from policykit.constraint.joint import Joint
from policykit.constraint.lookahead import Lookahead
from policykit.constraint.machine import PolicyMachine
from policykit.constraint.rows import close, has_bit
from policykit.diagnostics import InternalError
from policykit.grammar import GrammarState


class Outcome(StrEnum):
    """How a text stands: it can go on, it ended by an end of text, or nothing legal can follow."""

    RUNNING = "running"
    FINISHED = "finished"
    DEAD_END = "dead_end"


class State:
    """Made by :meth:`policykit.constraint.Constraint.start`. Not shared between threads; masks and automata are."""

    def __init__(
        self,
        machine: PolicyMachine,
        grammar: Matcher | None,
        joint: Joint,
        lookahead: Lookahead | None = None,
        shadow: GrammarState | None = None,
        *,
        spells_apart: bool = False,
        grammar_alone: bool = False,
        marks: Mapping[int, bytes] | None = None,
        n_before: int = 0,
    ) -> None:
        self._machine = machine
        self._marks = marks or {}  # special tokens that the grammar has, with the names that they are shown by
        self._grammar = grammar
        self._spells_apart = spells_apart  # the grammar may want one character of many that begin alike
        self._alone = grammar if grammar_alone else None  # no rule reads along
        self._lookahead = lookahead
        self._shadow = shadow  # the grammar over single bytes, for the lookahead only
        self._n_bytes: list[int] = []
        # Bytes of the grammar's text that stand before the tokens; none of a string's are left out.
        self._n_before = 0 if machine.reader.closes_strings(joint) else n_before
        self._inside: int | None = self._n_before
        self._behind = b""  # what the shadow has not read yet: it reads where it is asked something
        self._alive_at = 0
        self._history: list[Joint] = [joint]
        self._n_ends = 0
        self._ended_dead = False
        self._searched: NDArray[np.int32] | None = None  # this place's row, where a search closes tokens
        self._proven: tuple[bytes, ...] = ()  # what the search knows to lead on from here

    @property
    def joint(self) -> Joint:
        """The state of the policy automata."""
        return self._history[-1]

    @property
    def vocabulary_size(self) -> int:
        return self._machine.vocabulary.size

    @property
    def n_tokens(self) -> int:
        """Accepted tokens, surplus ends of text included."""
        return len(self._history) - 1 + self._n_ends

    @property
    def finished(self) -> bool:
        """True after an end of text."""
        return self._n_ends > 0

    @property
    def accepting(self) -> bool:
        """True where grammar and policies both let the text end."""
        grammar_ends = self._grammar is None or self._grammar.accepting
        return grammar_ends and self._machine.may_end(self._history[-1])

    @property
    def outcome(self) -> Outcome:
        if self.finished:
            return Outcome.DEAD_END if self._ended_dead else Outcome.FINISHED
        return Outcome.DEAD_END if self._is_stuck() else Outcome.RUNNING

    def fill(self, row: NDArray[np.int32]) -> bool:
        """Write the mask of the next token: ``int32 [ceil(V/32)]``, bit 1 = allowed, bits past V are 0.

        After the end of text, and at a dead end, only the end of text is allowed; False says that it is one of these,
        and :attr:`outcome` tells them apart.
        """
        if self.finished or not self._fill_live(row):
            self._only_end(row)
            return False
        return True

    def accept(self, token_id: int) -> bool:
        """Take a token. False if it is not allowed: the state is then unchanged."""
        vocabulary = self._machine.vocabulary
        if not 0 <= token_id < vocabulary.size:
            return False
        if token_id in vocabulary.eos_ids:
            return self._accept_end(token_id)
        if self.finished:
            return False
        if self._alone is not None:
            if not self._alone.accept(token_id):
                return False
            self._history.append(self._history[-1])
            return True
        joint = self._after(token_id)
        if joint is None or (self._grammar is None and token_id in vocabulary.special_ids):
            return False
        if (self._lookahead is not None or (self._spells_apart and joint.pending)) and not self._is_open(token_id):
            return False
        if self._machine.closes_traps and not has_bit(self._machine.mask(self._history[-1]), token_id):
            return False
        if self._grammar is not None and not self._grammar.accept(token_id):
            return False
        self._history.append(joint)
        self._searched = None
        if self._shadow is not None:
            token = self._marks.get(token_id, vocabulary.tokens[token_id])
            self._behind += token
            self._proven = tuple(
                text[len(token) :] for text in self._proven if text.startswith(token) and text != token
            )
            self._n_bytes.append(len(token))
            is_outside = self._machine.reader.closes_strings(joint)
            self._inside = 0 if is_outside else None if self._inside is None else self._inside + len(token)
        return True

    def _after(self, token_id: int) -> Joint | None:
        """The automata after a token, or None where it is forbidden."""
        mark = self._marks.get(token_id)
        joint = self._history[-1]
        return self._machine.advance(joint, token_id) if mark is None else self._machine.after_mark(joint, mark)

    def rollback(self, n: int) -> None:
        """Undo the last ``n`` accepted tokens. Raises ValueError if there are fewer."""
        if n < 0 or n > self.n_tokens:
            raise ValueError(f"cannot roll back {n} of {self.n_tokens} tokens")
        self._searched, self._proven = None, ()
        ends = min(n, self._n_ends)
        self._n_ends -= ends
        if not self._n_ends and ends:
            if self._grammar is not None and not self._ended_dead:
                self._grammar.rollback(1)
            self._ended_dead = False
        n -= ends
        if n:
            del self._history[-n:]
            if self._grammar is not None:
                self._grammar.rollback(n)
            if self._shadow is not None:
                n_bytes = sum(self._n_bytes[-n:])
                self._shadow.rollback(max(0, n_bytes - len(self._behind)))
                self._behind = self._behind[: max(0, len(self._behind) - n_bytes)]
                del self._n_bytes[-n:]
                self._inside = None

    def copy(self) -> "State":
        """An independent state at the same point."""
        grammar = self._grammar.copy() if self._grammar else None
        shadow = self._shadow.copy() if self._shadow else None
        other = State(
            self._machine,
            grammar,
            self._history[-1],
            self._lookahead,
            shadow,
            spells_apart=self._spells_apart,
            grammar_alone=self._alone is not None,
            marks=self._marks,
        )
        other._n_before = self._n_before
        other._history = list(self._history)
        other._n_bytes = list(self._n_bytes)
        other._behind, other._inside = self._behind, self._inside
        other._n_ends = self._n_ends
        other._ended_dead = self._ended_dead
        other._searched, other._proven = self._searched, self._proven
        return other

    def forced_bytes(self) -> bytes:
        """Bytes that the grammar forces next, as far as the policies let them through."""
        if self._grammar is None or self.finished:
            return b""
        forced = self._grammar.forced_bytes()
        joint: Joint | None = self._history[-1]
        for i in range(len(forced)):
            joint = self._machine.advance_bytes(joint, forced[i : i + 1]) if joint else None
            if joint is None:
                return forced[:i]
        return forced

    def blocked_by(self, token_id: int) -> tuple[str, ...]:
        """Names of the rules (`document#rule`), or `grammar`, that forbid a token here; empty if it is allowed.

        What no rule forbids has other names: `encoding` for bytes that no text in UTF-8 has here, `special token` for
        one that no grammar asks for, and `lookahead` for a token behind which no way on was found.
        """
        row = np.zeros(-(-self._machine.vocabulary.size // 32), np.int32)
        self.fill(row)
        if has_bit(row, token_id):
            return ()
        rules = self._machine.closed_by(self._history[-1], token_id, self._marks.get(token_id))
        if self._grammar is not None and not self._grammar.copy().accept(token_id):
            return (*rules, "grammar")
        if rules:
            return rules
        if token_id in self._machine.vocabulary.special_ids:
            return ("special token",)
        return ("encoding",) if self._after(token_id) is None else ("lookahead",)

    def closers(self) -> Mapping[str, int]:
        """For each rule the number of places of this text, the present one included, where it closes some token."""
        found: Counter[str] = Counter()
        for joint, n in Counter(self._history).items():  # few different ones stand in a long text
            for name in self._machine.closers(joint):
                found[name] += n
        return found

    def _is_open(self, token_id: int) -> bool:
        """The token's bit of the row, in which the search for a way on has closed some."""
        row = self._searched
        if row is None:
            row = np.zeros(-(-self._machine.vocabulary.size // 32), np.int32)
            self._fill_live(row)
        return has_bit(row, token_id)

    def _fill_live(self, row: NDArray[np.int32]) -> bool:
        if self._searched is not None:
            row[:] = self._searched
            return bool(row.any())
        if self._alone is not None:
            self._alone.fill(row)
            return self._is_alive(row)
        joint = self._history[-1]
        policy = self._machine.mask(joint)
        if self._grammar is None:
            np.bitwise_and(policy, self._machine.without_grammar, out=row)
        else:
            self._grammar.fill(row)
            np.bitwise_and(row, policy, out=row)
            if self._spells_apart:
                self._machine.unfinished.prune(row, self._grammar, joint)
            for token_id in self._marks:
                if has_bit(row, token_id) and self._after(token_id) is None:
                    close(row, token_id)
            if self._lookahead is not None and self._shadow is not None:
                forced = self._grammar.forced_bytes()
                self._proven = self._lookahead.prune(
                    row, self._shadow_here, joint, self._proven, forced, self._n_inside()
                )
        if self._lookahead is not None:
            self._searched = row.copy()
        return self._is_alive(row)

    def _n_inside(self) -> int:
        """Bytes since no JSON string was open at the end of a token; there may be more of them than in the string."""
        if self._inside is None:
            counts = reversed((self._n_before, *self._n_bytes))  # one for each place that was met
            pairs = zip(counts, reversed(self._history), strict=True)
            inside = takewhile(lambda pair: not self._machine.reader.closes_strings(pair[1]), pairs)
            self._inside = sum(n for n, _ in inside)
        return self._inside

    def _shadow_here(self) -> GrammarState:
        """The grammar over single bytes, at this point."""
        assert self._shadow is not None
        if self._behind and not self._shadow.accept_all(self._behind):
            raise InternalError(f"the byte matcher refuses what the token matcher took: {self._behind!r}")
        self._behind = b""
        return self._shadow

    def _is_alive(self, row: NDArray[np.int32]) -> bool:
        if not row[self._alive_at]:  # a word that was not empty last time seldom is now
            self._alive_at = int(row.astype(bool).argmax())
        return bool(row[self._alive_at])

    def _is_stuck(self) -> bool:
        return not self._fill_live(np.zeros(-(-self._machine.vocabulary.size // 32), np.int32))

    def _only_end(self, row: NDArray[np.int32]) -> None:
        row[:] = self._machine.end_row

    def _accept_end(self, token_id: int) -> bool:
        if self.finished:
            self._n_ends += 1
            return True
        if self.accepting:
            if self._grammar is not None and not self._grammar.accept(token_id):
                return False
        elif self._is_stuck():
            self._ended_dead = True
        else:
            return False
        self._n_ends = 1
        return True
