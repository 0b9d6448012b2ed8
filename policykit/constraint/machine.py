"""The masks of a plan's policies: for every joint state the tokens that no rule forbids, as packed rows.

A mask is the mask of the base (see :mod:`policykit.constraint.reader`), shared by all states of one boundary context,
minus what each automaton that stands apart forbids. Rows are kept within a memory bound and shared by all requests.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from policykit.compile.program import Program
from policykit.compile.together import with_traps
from policykit.constraint.binding import Binding
from policykit.constraint.formula import for_good_rows, holds
from policykit.constraint.held import Held
from policykit.constraint.images import cut, on_view
from policykit.constraint.joint import Joint, RowCache
from policykit.constraint.reader import Reader
from policykit.constraint.rows import Row, close, set_bits
from policykit.constraint.unfinished import Unfinished
from policykit.constraint.vocabulary import Vocabulary
from policykit.ir.plan import Liveness
from policykit.text import utf8

MASK_BYTES = 64 << 20
TABLE_BYTES = 96 << 20
GROWTH, MAX_UNASKED = 1 << 20, 32
"""Bytes that one mask seldom adds to the tables, and masks after which it is asked in any case."""
MAX_CLOSERS = 100_000
MAX_ASKED = 64
SHORT = 16
"""Bytes of tokens that are not asked one by one how far they lead in a string."""
CONTEXTS = (b"", b"a", b"0", b" ", b".", b"\xe2")
"""What a boundary may depend on: a word's letter or digit before it, a space, a mark, a character not yet finished."""


class PolicyMachine:
    """The policy half of a constraint. Masks have bit 1 = allowed by every rule; special tokens other than the end
    of text pass unchanged, the end of text is allowed where every rule lets the text end."""

    def __init__(
        self,
        program: Program,
        vocabulary: Vocabulary,
        liveness: Liveness | None = None,
        *,
        mask_bytes: int = MASK_BYTES,
        table_bytes: int = TABLE_BYTES,
    ) -> None:
        self.program = program = with_traps(program, liveness.together if liveness else ())
        self.vocabulary = vocabulary
        self.reader = Reader(Binding(program, vocabulary, (liveness and liveness.escape) or ""))
        self.rows = RowCache(mask_bytes)
        self.held = Held(self.reader, self.rows, -(-vocabulary.size // 32))
        self._fragile = self._forbidding(liveness.fragile if liveness else ())
        self._table_bytes = table_bytes
        self._unasked = 0  # masks before it is asked again how large the tables are
        self._bases: dict[tuple[tuple[str, ...], tuple[int, ...]], Row] = {}
        self._closers: dict[tuple[object, ...], frozenset[str]] = {}
        self._freed: dict[Joint, bool] = {}
        self._points: dict[bytes, list[int]] = {}  # by what was begun of a character: what it can be, of each kind one
        self._passing = sorted(vocabulary.special_ids.difference(vocabulary.eos_ids))

    def closing(self, fragile: Sequence[int]) -> "PolicyMachine":
        """A machine of the same rules with the same escape, which closes the traps of other automata. It shares what
        this one has met, and its bounds on memory."""
        other = copy(self)
        other._fragile = self._forbidding(fragile)
        return other

    def _forbidding(self, units: Sequence[int]) -> tuple[int, ...]:
        return tuple(i for i in units if self.program.units[i].forbids)

    # ---- reading, as the reader does it

    def start(self) -> Joint:
        return self.reader.start()

    def primed(self, prefix: bytes, *, in_grammar: bool, check: Callable[[], None] = lambda: None) -> Joint:
        return self.reader.primed(prefix, in_grammar=in_grammar, check=check)

    def advance(self, joint: Joint, token_id: int) -> Joint | None:
        return self.reader.advance(joint, token_id)

    def advance_bytes(self, joint: Joint, data: bytes) -> Joint | None:
        return self.reader.advance_bytes(joint, data)

    def may_end(self, joint: Joint) -> bool:
        return self.reader.may_end(joint)

    def after_mark(self, joint: Joint, name: bytes) -> Joint | None:
        """The state after a special token that is shown by its name. What stands before it may also be shown alone, as
        the content before a call is: None where that would break a rule, or the name does."""
        joint = self.reader.current(joint)
        if joint.pending:
            return None
        found = self.reader.found_at_end(joint)
        return None if any(found[i] for i in self.reader.forbids) else self.reader.advance_rest(joint, name)

    # ---- fixed rows

    def _row_of(self, ids: Sequence[int]) -> Row:
        bits = np.zeros(-(-self.vocabulary.size // 32) * 32, bool)
        bits[np.array(ids, np.int64)] = True
        return np.packbits(bits, bitorder="little").view(np.int32)

    @cached_property
    def _plain(self) -> Row:
        """What a machine without rules allows: whole characters and special tokens but the end of text."""
        return self._row_of([*cut(self.vocabulary).ids, *self._passing])

    @cached_property
    def tail_row(self) -> Row:
        """Tokens that end inside a character."""
        pieces = cut(self.vocabulary)
        return self._row_of(np.array(pieces.ids, np.int64)[pieces.tail_of >= 0].tolist())

    @cached_property
    def unfinished(self) -> Unfinished:
        """Closes tokens that end inside a character which a grammar would complete otherwise than the rules."""
        return Unfinished(self.reader, self.vocabulary, self.tail_row, self.vocabulary.byte_tokens)

    @cached_property
    def uncovered_row(self) -> Row:
        """Tokens that are not SHORT, and those that end inside a character, which may become any."""
        return self.tail_row | self._row_of([i for i, token in enumerate(self.vocabulary.tokens) if len(token) > SHORT])

    @cached_property
    def without_grammar(self) -> Row:
        """Ordinary tokens and the end of text: no grammar, so no special token has a place."""
        ordinary = [i for i in range(self.vocabulary.size) if i not in self.vocabulary.special_ids]
        return self._row_of([*ordinary, *self.vocabulary.eos_ids])

    @cached_property
    def end_row(self) -> Row:
        """Nothing but the end of text."""
        return self._row_of(self.vocabulary.eos_ids)

    # ---- masks

    def mask(self, joint: Joint) -> Row:
        """The packed mask of a state, ``int32 [ceil(V/32)]``. Shared: do not write to it."""
        if joint.epoch is not self.reader.epoch:
            joint = self.reader.current(joint)
        row = self.rows.mask(joint, self._fragile)
        if row is None:
            row = self._pending_mask(joint) if joint.pending else self._whole_mask(joint)
            self._set_eos(row, self.may_end(joint))
            row.flags.writeable = False
            self.rows.keep_mask(joint, self._fragile, row)
            self.trim()
        return row

    def warm(self) -> None:
        """Work out what every text needs: tries, and at the start, after a few common characters and inside a JSON
        string after the same, the first masks and where all tokens lead."""
        self.reader.warm()
        _ = self.uncovered_row, self.unfinished
        known: set[Joint] = set()
        for data in (opening + context for opening in (b"", b'"') for context in CONTEXTS):
            joint = self.advance_bytes(self.start(), data)
            if joint is None:
                continue
            first = self.reader.base_of(joint)
            if first not in known:
                known.add(first)
                self.mask(first)
                if self.program.units and not first.pending:
                    for by_escape in (True, False) if self._fragile else (True,):
                        self.held.meet(first, self.reader.forbids, by_escape)
                    self.reader.completions.held(first, first, self.rows)
                    self.reader.tabulate(self.reader.current(first))

    def trim(self) -> None:
        """Drop automata, tables and rows together if they have outgrown their bound. States stay valid. How large they
        are takes long to say, so that it is not asked at each mask while there is much room."""
        if self._unasked:
            self._unasked -= 1
            return
        left = self._table_bytes - self.reader.n_bytes
        self._unasked = min(MAX_UNASKED, max(0, left) // GROWTH)
        if left < 0:
            self.rows.clear()
            self._bases.clear()
            self.held.clear()
            self._freed.clear()
            self._closers.clear()  # a new automaton numbers its states anew
            self.reader.renew()

    def _set_eos(self, row: Row, allowed: bool) -> None:
        if allowed:
            row |= self.end_row
        else:
            row &= ~self.end_row

    def _whole_mask(self, joint: Joint) -> Row:
        base = self.reader.base_of(joint)
        row = self._base_row(base).copy()
        for i in joint.apart:
            if self.program.units[i].forbids:
                np.bitwise_and(row, self._unit_row(i, joint), out=row)
        if self.program.requirements:
            found = {i: ~self._unit_row(i, joint) for i in self.reader.wanted}
            for requirement in self.program.requirements:
                np.bitwise_and(row, ~for_good_rows(requirement.formula, found, self._plain), out=row)
        if self.program.units:
            self._check_tails(joint, row)
        if self._fragile:
            self._close_traps(joint, row)
        return row

    def _base_row(self, base: Joint) -> Row:
        key = (base.modes, tuple(base.states[i] for i in self.reader.forbids))
        row = self._bases.get(key)
        if row is None:
            row = self._plain.copy()
            for i in self.reader.forbids:
                np.bitwise_and(row, base.epoch.units[i].row(self._mode(i, base), base.states[i]), out=row)
            self._bases[key] = row
        return row

    def _mode(self, i: int, joint: Joint) -> str:
        return self.reader.binding.mode_of(i, joint.epoch.units[i], joint.modes)

    def _unit_row(self, i: int, joint: Joint) -> Row:
        mode = self._mode(i, joint)
        key = (i, mode, joint.states[i])
        row = self.rows.part(key)
        if row is None:
            row = joint.epoch.units[i].row(mode, joint.states[i])
            self.rows.keep_part(key, row)
        return row

    def _check_tails(self, joint: Joint, row: Row) -> None:
        """Tokens that end inside a character: the automata were asked one by one whether some completion survives,
        but it must be the same completion for all of them."""
        if not self.program.requirements:
            shut = self.reader.completions.shut(joint, self.reader.base_of(joint), self.rows)
        else:
            ends = self.reader.completions.ends_in(joint.modes)
            allowed = ends[(row.view(np.uint32)[ends >> 5] >> (ends & 31).astype(np.uint32) & 1).astype(bool)]
            shut = np.array([i for i in allowed.tolist() if not self.reader.survives(joint, i)], np.int64)
        for token_id in shut.tolist():
            close(row, token_id)

    def _pending_mask(self, joint: Joint) -> Row:
        """Inside a character: only tokens that begin with its continuation bytes, each tried."""
        allowed = list(self._passing)
        known: dict[int, Joint | None] = {}
        for head, tokens in cut(self.vocabulary).heads.items():
            pieces = utf8.split(joint.pending + head)
            if pieces is None or pieces.head:
                continue
            if len(pieces.text) == 1:
                after = self.reader.advance_character(joint, ord(pieces.text), known)
            else:
                after = self.advance_bytes(joint, head)
            if after is not None:
                allowed += [i for i, rest in tokens if self._goes_on(after, rest)]
        return self._row_of(allowed)

    def _goes_on(self, joint: Joint, rest: bytes) -> bool:
        after: Joint | None = joint
        if rest:
            after = self.advance_bytes(joint, rest) if joint.pending else self.reader.advance_rest(joint, rest)
        return after is not None and not (self._fragile and not self._is_freed(after))

    # ---- traps

    def holding(self, joint: Joint, row: Row) -> NDArray[np.int64]:
        """The tokens of a row, ascending, that lead to where a rule holds on to the text, or into a JSON escape that
        may."""
        return self.held.or_begun(joint, self.reader.forbids, row)

    @property
    def closes_traps(self) -> bool:
        """Whether masks close tokens that :meth:`advance` would read."""
        return bool(self._fragile)

    def _close_traps(self, joint: Joint, row: Row) -> None:
        """Close tokens that lead a fragile automaton to where no known text frees all automata."""
        held = self.held.tokens(joint, self._fragile, row)
        # What lets the text end at once is no trap.
        unended = self.held.tokens(joint, self.reader.forbids, row, by_escape=False) if len(held) else held
        begun = self.reader.completions.unfreed(joint, self.reader.base_of(joint), self.rows)
        begun = begun[(row.view(np.uint32)[begun >> 5] >> (begun & 31).astype(np.uint32) & 1).astype(np.bool_)]
        for token_id in np.union1d(np.intersect1d(held, unended, assume_unique=True), begun).tolist():
            after = self.advance(joint, token_id)
            if after is not None and not self._is_freed(after):
                close(row, token_id)

    def _is_freed(self, joint: Joint) -> bool:
        """Whether a known text frees all automata, after a completion where a character was begun."""
        if not joint.pending:
            return bool(self.reader.escapes(joint))
        known = self._freed.get(joint)
        if known is None:
            if len(self._freed) >= MAX_CLOSERS:
                self._freed.clear()
            known = self._freed[joint] = any(map(self.reader.escapes, self._completed(joint)))
        return known

    def _completed(self, joint: Joint) -> Iterator[Joint]:
        """The states after the characters that one which was begun can become, but for those that are alike."""
        points = self._points.get(joint.pending)
        if points is None:
            low, high = utf8.completions(joint.pending)
            _, first = np.unique(self.reader.binding.characters[low:high], return_index=True)
            points = self._points[joint.pending] = (low + first).tolist()
        for point in points:
            after = self.advance_bytes(joint, chr(point).encode()[len(joint.pending) :])
            if after is not None:
                yield after

    # ---- explanations

    def closed_by(self, joint: Joint, token_id: int, mark: bytes | None = None) -> tuple[str, ...]:
        """The rules that forbid a token in this state, by name. ``mark`` is what a special token is shown as."""
        joint = self.reader.current(joint)
        if token_id in self.vocabulary.eos_ids:
            return self._open_rules(joint)
        if mark is not None and (ended := self._open_rules(joint)):
            return ended
        pieces = utf8.split(joint.pending + (mark or self.vocabulary.tokens[token_id]))
        if pieces is None or pieces.head:
            return ()
        names: dict[str, None] = {}
        for i in self.reader.forbids:
            names |= dict.fromkeys(self._owners(joint, i, pieces.text))
        if not names and self.advance(joint, token_id) is None:
            names |= dict.fromkeys(r.rule for r in self.program.requirements)
        return tuple(names)

    def closers(self, joint: Joint) -> frozenset[str]:
        """Names of the rules that close some token in this state. Where an automaton of several rules closes very many
        tokens, only the first of them are asked for their rule. Inside a character: none."""
        if joint.pending:
            return frozenset()
        joint = self.reader.current(joint)
        names: set[str] = set()
        for i in self.reader.forbids:
            key = (i, self._mode(i, joint), joint.states[i])
            found = self._closers.get(key)
            if found is None:
                if len(self._closers) >= MAX_CLOSERS:
                    self._closers.clear()
                found = self._closers[key] = self._closers_of(joint, i)
            names |= found
        return frozenset(names)

    def _closers_of(self, joint: Joint, i: int) -> frozenset[str]:
        closed = self._plain & ~self._unit_row(i, joint)
        if not closed.any():
            return frozenset()
        owners = frozenset(self.program.units[i].owners)
        if len(owners) == 1:
            return owners
        ids: list[int] = set_bits(closed)[:MAX_ASKED].tolist()
        texts = [utf8.split(self.vocabulary.tokens[token_id]) for token_id in ids]
        return frozenset(name for read in texts if read for name in self._owners(joint, i, read.text))

    def _owners(self, joint: Joint, i: int, text: str) -> list[str]:
        scope = self.reader.scope_of[i]
        read = self.reader.lexers[scope].read(joint.modes[scope], text)
        if read is None:
            return []
        unit, group, state = joint.epoch.units[i], self.reader.group_of[i], joint.states[i]
        symbols: list[int] = group.shared(np.array(on_view(group.view, read[1]), np.int32)).tolist()
        for shared in symbols:
            symbol = unit.symbol_list[shared]
            if symbol < 0:
                continue
            after = unit.automaton.step(state, symbol)
            if not after:
                return [self.program.units[i].owners[p] for p in unit.automaton.culprits(state, symbol)]
            state = after
        return []

    def _open_rules(self, joint: Joint) -> tuple[str, ...]:
        found = self.reader.found_at_end(joint)
        names: dict[str, None] = {}
        for i in self.reader.forbids:
            if found[i]:
                patterns = joint.epoch.units[i].automaton.culprits(joint.states[i], None)
                names |= dict.fromkeys(self.program.units[i].owners[p] for p in patterns)
        names |= dict.fromkeys(r.rule for r in self.program.requirements if holds(r.formula, found))
        return tuple(names)
