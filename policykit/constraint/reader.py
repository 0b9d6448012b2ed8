"""All policy automata of a plan, run side by side: where bytes and tokens lead.

Joint states are shared between requests. From most of them most tokens do what they do from the *base* (the same
boundary context without progress), so a step runs only the automata that stand apart from it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from policykit.automata import FOUND, completing, run
from policykit.compile.escape import ESCAPES, FRESH_OTHERS, FRESH_WORDS
from policykit.constraint.binding import Binding
from policykit.constraint.completions import Completions
from policykit.constraint.distinct import distinct_rows
from policykit.constraint.formula import for_good, holds
from policykit.constraint.images import JsonLexer, cut
from policykit.constraint.joint import BaseTable, Epoch, Joint
from policykit.constraint.unit import Unit
from policykit.constraint.watching import every
from policykit.text import utf8

MAX_JOINTS, MAX_ESCAPES, EXPLORED_STATES = 20_000, 4, 600
"""Joint states kept before they are forgotten together; states in use go on. Automata of few states are explored."""
TABLE_AFTER = 48
"""Tokens read from a base before all of its tokens are worked out at once (some 50 ms)."""


class Reader:
    """Joint states and their transitions."""

    def __init__(self, binding: Binding) -> None:
        self.binding = binding
        self.program = binding.program
        self.vocabulary = binding.vocabulary
        self.forbids = binding.forbids
        self.wanted = binding.wanted
        self.lexers = binding.lexers
        self.scope_of = binding.scope_of
        self.group_of = binding.group_of
        self._holding: tuple[int, ...] = ()
        self._known = tuple(dict.fromkeys((*ESCAPES, *(binding.escape[n:] for n in range(len(binding.escape))))))
        self._rests: dict[tuple[tuple[str, ...], bytes], list[list[int]] | None] = {}
        self.renew()

    # ---- generations

    def renew(self) -> None:
        """Drop all automata and tables. Joint states in use stay valid: they are carried over by their keys."""
        self._begin(Epoch(self.binding.units()))
        self.completions = Completions(self.binding, self.epoch.units)

    def _begin(self, epoch: Epoch) -> None:
        self.epoch = epoch
        self._joints: dict[tuple[bytes, tuple[str, ...], tuple[int, ...]], Joint] = {}
        self._escapes: dict[tuple[int, ...], tuple[str, ...]] = {}

    @property
    def n_bytes(self) -> int:
        """Memory of the automata's tables."""
        return sum(unit.n_bytes for unit in self.epoch.units) + self.completions.n_bytes

    def current(self, joint: Joint) -> Joint:
        """The same state in the current generation."""
        if joint.epoch is self.epoch:
            return joint
        pairs = zip(joint.epoch.units, self.epoch.units, joint.states, strict=True)
        states = tuple(new.automaton.intern(old.automaton.key(s)) for old, new, s in pairs)
        return self._joint(joint.pending, joint.modes, states)

    # ---- states

    def kept(self) -> list[Joint]:
        """The states that are kept, in the order in which they were met."""
        return list(self._joints.values())

    def state_of(self, modes: tuple[str, ...], keys: Sequence[object]) -> Joint:
        """The state with these keys of the automata's states (:meth:`Automaton.key`), between characters."""
        pairs = zip(self.epoch.units, keys, strict=True)
        return self._joint(b"", modes, tuple(unit.automaton.intern(key) for unit, key in pairs))

    def start(self) -> Joint:
        states = tuple(unit.automaton.start for unit in self.epoch.units)
        return self._joint(b"", tuple(lexer.start for lexer in self.lexers), states)

    def _joint(self, pending: bytes, modes: tuple[str, ...], states: tuple[int, ...]) -> Joint:
        joint = self._joints.get((pending, modes, states))
        if joint is None:
            if len(self._joints) >= MAX_JOINTS:
                self._begin(Epoch(self.epoch.units))
            joint = self._joints[pending, modes, states] = Joint(self.epoch, pending, modes, states)
        return joint

    def base_of(self, joint: Joint) -> Joint:
        """The joint state of the references; ``joint.apart`` are the units that are not there. Leaves of requirements
        count as apart: what they found is never given up."""
        if joint.base is None:
            units = joint.epoch.units
            states = list(joint.states)
            for i in self.forbids:
                states[i] = units[i].automaton.reference(states[i])
            for i in self.wanted:
                states[i] = units[i].automaton.start
            apart = tuple(i for i, s in enumerate(states) if s != joint.states[i] or i in self.wanted)
            joint.base = self._joint(b"", joint.modes, tuple(states)) if apart else joint
            joint.apart = apart
        return joint.base

    def primed(self, prefix: bytes, *, in_grammar: bool, check: Callable[[], None] = lambda: None) -> Joint:
        """The state after text that stands before the output.

        What the prefix completes by itself is not the output's doing: the automaton goes on without that match.
        JSON lexers read the prefix only if it begins the grammar's text.
        """
        cut = next((n for n in (3, 2, 1) if utf8.completions(prefix[-n:]) != (0, 0)), 0)
        text, tail = prefix[: len(prefix) - cut].decode("utf-8", "replace"), prefix[len(prefix) - cut :]
        joint = self.start()
        modes, states = list(joint.modes), list(joint.states)
        for i, unit in enumerate(joint.epoch.units):
            scope = self.scope_of[i]
            lexer = self.lexers[scope]
            is_json = isinstance(lexer, JsonLexer)
            if (is_json or self.program.units[i].admits) and not in_grammar:
                continue  # the prefix is no part of what the grammar or an allow rule describes
            read = (lexer.lenient() if is_json else lexer).read(joint.modes[scope], text)
            assert read is not None, "lenient lexers read everything"
            modes[scope] = read[0]
            symbols = (unit.symbol_list[c] for point in read[1] for c in self.group_of[i].symbols_of(point))
            states[i] = self._prime(i, unit, every((c for c in symbols if c >= 0), check))
        return self._joint(tail, tuple(modes), tuple(states))

    def _prime(self, i: int, unit: Unit, symbols: Iterable[int]) -> int:
        automaton = unit.automaton
        state = automaton.start
        for symbol in symbols:
            after = automaton.step(state, symbol) if state else FOUND
            if not after and self.program.units[i].forbids:
                after = automaton.pass_over(state, symbol)
            state = after
        return state

    # ---- transitions

    def advance(self, joint: Joint, token_id: int) -> Joint | None:
        """The state after a token, or None where it is forbidden. The end of text is not read here."""
        if joint.epoch is not self.epoch:
            joint = self.current(joint)
        if token_id in joint.next:
            return joint.next[token_id]
        known = joint.next[token_id] = self._advance(joint, token_id)
        return known

    def _advance(self, joint: Joint, token_id: int) -> Joint | None:
        if token_id in self.vocabulary.special_ids:
            return joint
        token = self.vocabulary.tokens[token_id]
        if not token:
            return None
        if joint.pending or (token[0] & 0xC0) == 0x80 or not self.program.units:
            return self.advance_bytes(joint, token)
        base = self.base_of(joint)
        if base is joint:
            return self._advance_base(joint, token_id)
        from_base = self.advance(base, token_id)
        if from_base is None:
            if not self.program.requirements:
                return None  # what the base finds, every state finds
            # The leaves of requirements stand at their start in the base, without the word before: it decides nothing.
            return self._advance_all(joint, token_id, range(len(joint.states)), [0] * len(joint.states))
        if from_base.epoch is not joint.epoch:
            return self.advance(joint, token_id)
        return self._advance_all(joint, token_id, joint.apart, list(from_base.states))

    def _advance_base(self, base: Joint, token_id: int) -> Joint | None:
        """From a base. One that many tokens were read from gets a table of all of them, worked out at once."""
        n = len(self.program.units)
        if any(g.token_symbols(base.modes[scope], token_id) is None for g, scope in self.binding.scope_of_group):
            return None  # a table would read it as found, which only forbids where a unit forbids
        if len(base.next) >= TABLE_AFTER:
            self.tabulate(base)
        if base.table is None:
            return self._advance_all(base, token_id, range(n), [0] * n)
        return self._advance_all(base, token_id, (), list(base.table.states[int(base.table.index[token_id])]))

    def tabulate(self, base: Joint) -> None:
        """Work out where all tokens lead from a base."""
        if base.table is None:
            base.table = self._table_of(base)

    def _table_of(self, base: Joint) -> BaseTable:
        columns: list[NDArray[np.int32]] = []
        for i, unit in enumerate(base.epoch.units):
            mode = base.modes[self.scope_of[i]]
            self.group_of[i].prepare(unit, mode)
            columns.append(unit.after_all(mode, base.states[i]))
        first, index = distinct_rows(columns)
        states: list[list[int]] = np.stack([column[first] for column in columns], 1).tolist()
        return BaseTable(index.astype(np.int32), tuple(map(tuple, states)))

    def _advance_all(self, joint: Joint, token_id: int, which: Sequence[int], states: list[int]) -> Joint | None:
        """Run the units ``which`` over the token; the others' states are given."""
        modes = list(joint.modes)
        shared: dict[int, list[int] | None] = {}
        for i in which:
            group, mode = self.group_of[i], joint.modes[self.scope_of[i]]
            at = self.binding.place[i][0]
            symbols = shared[at] if at in shared else shared.setdefault(at, group.token_symbols(mode, token_id))
            if symbols is None:
                return None
            unit = joint.epoch.units[i]
            own = unit.symbol_list
            states[i] = run(unit.automaton, joint.states[i], [own[s] for s in symbols if own[s] >= 0])
        if not all(states[i] for i in self.forbids):
            return None
        for scope, group in enumerate(self.binding.group_of_scope):
            modes[scope] = group.mode_after(joint.modes[scope], token_id)
        return self._settle(self.vocabulary.tail_of(token_id), tuple(modes), tuple(states))

    def advance_bytes(self, joint: Joint, data: bytes, lenient: bool = False) -> Joint | None:
        """The state after bytes that need not be tokens. ``lenient`` reads every JSON escape."""
        joint = self.current(joint)
        pieces = utf8.split(joint.pending + data)
        if pieces is None or pieces.head:
            return None
        modes: list[str] = []
        read: list[Sequence[int]] = []
        for lexer, mode in zip(self.lexers, joint.modes, strict=True):
            reader = lexer.lenient() if lenient and isinstance(lexer, JsonLexer) else lexer
            result = reader.read(mode, pieces.text)
            if result is None or (pieces.tail and not lexer.in_content(result[0])):
                return None
            modes.append(result[0])
            read.append(result[1])
        shared = [[c for p in read[scope] for c in g.symbols_of(p)] for g, scope in self.binding.scope_of_group]
        states = self._run(joint, shared)
        return self._settle(pieces.tail, tuple(modes), states) if states is not None else None

    def advance_byte(self, joint: Joint, byte: bytes) -> Joint | None:
        """:meth:`advance_bytes` for a single byte, remembered where no character is pending."""
        joint = self.current(joint)
        return self.advance_bytes(joint, byte) if joint.pending else self.advance_rest(joint, byte)

    def advance_rest(self, joint: Joint, rest: bytes) -> Joint | None:
        """:meth:`advance_bytes` for the rest of a token after a character, remembered like a token's."""
        if rest in joint.next:
            return joint.next[rest]
        base = self.base_of(joint)
        if base is joint:
            after = self.advance_bytes(joint, rest)
        else:
            after = self.advance_rest(base, rest)
            if after is not None and after.epoch is joint.epoch:
                after = self._rest_from_base(joint, rest, after)
            elif after is not None or self.program.requirements:  # as in `_advance`
                after = self.advance_bytes(joint, rest)
        joint.next[rest] = after
        return after

    def _rest_from_base(self, joint: Joint, rest: bytes, from_base: Joint) -> Joint | None:
        read = self._read(joint.modes, rest)
        assert read is not None, "the base has read it"
        states = list(from_base.states)
        for i in joint.apart:
            own = joint.epoch.units[i].symbol_list
            symbols = [own[c] for c in read[self.binding.place[i][0]] if own[c] >= 0]
            states[i] = run(joint.epoch.units[i].automaton, joint.states[i], symbols)
            if not states[i] and self.program.units[i].forbids:
                return None
        return self._settle(from_base.pending, from_base.modes, tuple(states))

    def _read(self, modes: tuple[str, ...], rest: bytes) -> list[list[int]] | None:
        """Shared symbols of a token's rest for every group, remembered."""
        if (modes, rest) not in self._rests:
            pieces = utf8.split(rest)
            assert pieces is not None, "a rest is text"
            read = [lexer.read(mode, pieces.text) for lexer, mode in zip(self.lexers, modes, strict=True)]
            symbols = [r[1] if r else () for r in read]
            shared = [[c for p in symbols[scope] for c in g.symbols_of(p)] for g, scope in self.binding.scope_of_group]
            self._rests[modes, rest] = shared if all(read) else None
        return self._rests[modes, rest]

    def advance_character(self, joint: Joint, point: int, known: "dict[int, Joint | None]") -> Joint | None:
        """The state after one whole character of content, in place of the pending bytes. Characters that no automaton
        tells apart are worked out once and kept in ``known``."""
        key = int(self.binding.characters[point]) if self.binding.groups else 0
        if key not in known:
            states = self._run(joint, self.binding.strings[key]) if self.binding.groups else ()
            known[key] = self._settle(b"", joint.modes, states) if states is not None else None
        return known[key]

    def _run(self, joint: Joint, shared: Sequence[Sequence[int]]) -> tuple[int, ...] | None:
        """All units over the shared symbols of their groups; None if one finds what is forbidden."""
        states: list[int] = []
        for i, unit in enumerate(joint.epoch.units):
            own = unit.symbol_list
            symbols = [own[c] for c in shared[self.binding.place[i][0]] if own[c] >= 0]
            state = run(unit.automaton, joint.states[i], symbols)
            if not state and self.program.units[i].forbids:
                return None
            states.append(state)
        return tuple(states)

    def _settle(self, pending: bytes, modes: tuple[str, ...], states: tuple[int, ...]) -> Joint | None:
        """The joint state, unless a requirement is broken for good or an unfinished character has no way on."""
        if self.program.requirements and self.is_broken(states):
            return None
        joint = self._joint(pending, modes, states)
        if not pending and not self.binding.is_unfinished(modes):
            return joint
        return joint if self.can_complete(pending, modes, states) else None

    def survives(self, joint: Joint, token_id: int) -> bool:
        """Whether a token that begins with a whole character leads anywhere; nothing is remembered but the answer on
        the character that it ends in. The joint state is current and has no pending bytes."""
        states: list[int] = []
        for i, unit in enumerate(joint.epoch.units):
            symbols = self.binding.token_symbols(i, joint.modes[self.scope_of[i]], token_id)
            if symbols is None:
                return False
            states.append(run(unit.automaton, joint.states[i], symbols))
        if not all(states[i] for i in self.forbids) or self.is_broken(states):
            return False
        tail, modes = self.binding.ends_of(joint.modes, token_id)
        return not (tail or self.binding.is_unfinished(modes)) or self.can_complete(tail, modes, tuple(states))

    def can_complete(self, pending: bytes, modes: tuple[str, ...], states: tuple[int, ...]) -> bool:
        """Whether one way to finish the character that was begun keeps all automata alive."""
        return self.completions.can_complete(pending, modes, states)

    def warm(self) -> None:
        """Work out what all texts share, so that no step has to wait for it."""
        for unit in self.epoch.units:
            unit.explore(EXPLORED_STATES)
        self.escapes(self.start())
        for tail in cut(self.vocabulary).tails:
            self.binding.completions_of(tail)

    # ---- what a state allows

    def is_broken(self, states: Sequence[int]) -> bool:
        """Whether a requirement cannot be met any more."""
        return any(for_good(r.formula, states) for r in self.program.requirements)

    def found_at_end(self, joint: Joint) -> list[bool]:
        """For every unit, whether a text that ends here has a match."""
        return [not s or unit.automaton.end_found(s) for unit, s in zip(joint.epoch.units, joint.states, strict=True)]

    def may_end(self, joint: Joint) -> bool:
        """Whether every rule lets the text end here: no character unfinished, no boundary or requirement open."""
        if joint.pending:
            return False
        joint = self.current(joint)
        if not self.program.requirements and (base := self.base_of(joint)) is not joint:
            # What the reference finds, a state finds.
            units = joint.epoch.units
            return self.may_end(base) and not any(units[i].automaton.end_found(joint.states[i]) for i in joint.apart)
        if joint.may_end is None:
            found = self.found_at_end(joint)
            broken = any(found[i] for i in self.forbids)
            joint.may_end = not broken and not any(holds(r.formula, found) for r in self.program.requirements)
        return joint.may_end

    def closes_strings(self, joint: Joint) -> bool:
        """Whether no JSON string is open: rules on string contents have forgotten everything."""
        modes = zip(self.lexers, joint.modes, strict=True)
        return not joint.pending and all(m == lexer.start for lexer, m in modes if isinstance(lexer, JsonLexer))

    def escapes(self, joint: Joint) -> tuple[str, ...]:
        """A few known texts that are admitted here and may be the end (of the text, or of its JSON string)."""
        joint = self.current(joint)
        if joint.pending or self.binding.is_unfinished(joint.modes):
            return ("",)  # completions were tried when the character was begun
        known = self._escapes.get(joint.states)
        if known is None:
            found = (text for text in self._known if self._frees_by(joint, text))
            ended = (text for text in self._completing(joint) if self._frees(joint, self.binding.symbols_of(text)))
            known = tuple(islice(found, MAX_ESCAPES)) or tuple(islice(ended, 1))
            self._escapes[joint.states] = known
        return known

    def _completing(self, joint: Joint) -> Iterator[str]:
        """Texts that complete an escape which was begun (as in `&#10`) in every way that an automaton tells apart."""
        seen: set[str] = set()
        for i in self.forbids:
            for text in completing(joint.epoch.units[i].automaton, joint.states[i]):
                if text not in seen:
                    seen.add(text)
                    yield from (text, f"{text}{FRESH_WORDS[0]}", f"{text}{FRESH_OTHERS[0]}")

    def _frees_by(self, joint: Joint, text: str) -> bool:
        symbols, units = self.binding.text_symbols(text), joint.epoch.units
        which = (*self._holding, *self.forbids)  # the first is what held on last time
        held = (i for i in which if not units[i].freed_by_text(joint.states[i], text, symbols[i]))
        self._holding = tuple(islice(held, 1))
        return not self._holding

    def _frees(self, joint: Joint, symbols: Sequence[Sequence[int]]) -> bool:
        return all(joint.epoch.units[i].freed_by(joint.states[i], symbols[i]) for i in self.forbids)
