"""All policy automata of a plan, run side by side over bytes, with one shared cache of masks.

A joint state is immutable and shared between requests: pending UTF-8 bytes, the lexer's mode of each text that is
read, and one state per automaton. Masks are packed rows, kept by joint state within a memory bound.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from policykit.automata import FOUND, run
from policykit.constraint.group import Group
from policykit.constraint.images import JsonLexer, Lexer, TextLexer, cut, on_view
from policykit.compile.escape import candidates
from policykit.compile.program import Every, Formula, Literal, Program, Some, UnitSpec
from policykit.constraint.unit import Row, Unit
from policykit.constraint.vocabulary import Vocabulary
from policykit.ir.document import Within
from policykit.ir.plan import Liveness
from policykit.text import utf8, view

MASK_BYTES = 96 << 20
TABLE_BYTES = 96 << 20
MAX_JOINTS = 50_000
ESCAPES = candidates()
_LENIENT = JsonLexer(strict=False)


class Epoch:
    """The automata and tables of one generation. When they outgrow their bound all are dropped together."""

    def __init__(self, units: tuple[Unit, ...]) -> None:
        self.units = units


@dataclass(eq=False, slots=True)
class Joint:
    """A joint state. ``next`` remembers where tokens lead (None: forbidden)."""

    epoch: Epoch
    pending: bytes
    modes: tuple[str, ...]
    states: tuple[int, ...]
    next: "dict[int, Joint | None]" = field(default_factory=dict)


class RowCache:
    """Masks by key, least recently used out first, within ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.n_bytes = 0
        self.hits = 0
        self.misses = 0
        self._rows: OrderedDict[object, Row] = OrderedDict()

    def get(self, key: object) -> Row | None:
        row = self._rows.get(key)
        if row is None:
            self.misses += 1
            return None
        self.hits += 1
        self._rows.move_to_end(key)
        return row

    def put(self, key: object, row: Row) -> None:
        self._rows[key] = row
        self.n_bytes += row.nbytes
        while self.n_bytes > self.limit and len(self._rows) > 1:
            self.n_bytes -= self._rows.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        self._rows.clear()
        self.n_bytes = 0


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
        self.program = program
        self._escape = (liveness and liveness.escape) or ""
        self._fragile = liveness.fragile if liveness else ()
        self.vocabulary = vocabulary
        self._table_bytes = table_bytes
        scopes = list(dict.fromkeys(_scope(spec) for spec in program.units))
        self._lexers: tuple[Lexer, ...] = tuple(JsonLexer() if s == Within.JSON_STRINGS else TextLexer() for s in scopes)
        self._scope_of = [scopes.index(_scope(spec)) for spec in program.units]
        self._groups, self._place = self._make_groups(scopes)
        self._group_of = [self._groups[key] for key, _ in self._place]
        self._group_index = [list(self._groups).index(key) for key, _ in self._place]
        self.rows = RowCache(mask_bytes)
        self._reference_rows: dict[object, Row] = {}
        self._escapable: dict[tuple[int, ...], bool] = {}
        self._joints: dict[tuple[bytes, tuple[str, ...], tuple[int, ...]], Joint] = {}
        self._epoch = self._new_epoch()
        self._eos = np.array(vocabulary.eos_ids, np.int64)
        self._plain = self._plain_row()
        self._tail_row = self._row_of([i for i, _, tail in cut(vocabulary).whole if tail >= 0])
        self._completions: dict[bytes, list[tuple[tuple[int, ...], ...]]] = {}
        self._forbids = tuple(i for i, spec in enumerate(program.units) if spec.forbids)
        self._wanted = tuple(i for i, spec in enumerate(program.units) if not spec.forbids)

    def _make_groups(self, scopes: Sequence[Within]) -> tuple[dict[tuple[int, str], Group], list[tuple[tuple[int, str], int]]]:
        members: dict[tuple[int, str], list[UnitSpec]] = {}
        place: list[tuple[tuple[int, str], int]] = []
        for spec in self.program.units:
            key = (scopes.index(_scope(spec)), spec.view)
            place.append((key, len(members.setdefault(key, []))))
            members[key].append(spec)
        groups = {
            key: Group(self.vocabulary, self._lexers[key[0]], view(key[1]), [spec.make() for spec in specs], self._escape)
            for key, specs in members.items()
        }
        return groups, place

    def _new_epoch(self) -> Epoch:
        made = (self._groups[key].unit(i, spec.make()) for spec, (key, i) in zip(self.program.units, self._place, strict=True))
        return Epoch(tuple(made))

    def _row_of(self, ids: Sequence[int]) -> Row:
        bits = np.zeros(-(-self.vocabulary.size // 32) * 32, bool)
        bits[np.array(ids, np.int64)] = True
        return np.packbits(bits, bitorder="little").view(np.int32)

    def _plain_row(self) -> Row:
        """What a machine without rules allows: whole characters and special tokens but the end of text."""
        special = self.vocabulary.special_ids.difference(self.vocabulary.eos_ids)
        return self._row_of([*(i for i, _, _ in cut(self.vocabulary).whole), *special])

    # ---- fixed rows

    @cached_property
    def without_grammar(self) -> Row:
        """Ordinary tokens and the end of text: no grammar, so no special token has a place."""
        ordinary = [i for i in range(self.vocabulary.size) if i not in self.vocabulary.special_ids]
        return self._row_of([*ordinary, *self.vocabulary.eos_ids])

    @cached_property
    def end_row(self) -> Row:
        """Nothing but the end of text."""
        return self._row_of(self.vocabulary.eos_ids)

    @cached_property
    def byte_tokens(self) -> dict[int, int]:
        """The token of every single byte that has one."""
        return {t[0]: i for i, t in reversed(list(enumerate(self.vocabulary.tokens))) if len(t) == 1}

    # ---- states

    def start(self) -> Joint:
        states = tuple(unit.automaton.start for unit in self._epoch.units)
        return self._joint(b"", tuple(lexer.start for lexer in self._lexers), states)

    def primed(self, prefix: bytes, *, in_grammar: bool) -> Joint:
        """The state after text that stands before the output.

        What the prefix completes by itself is not the output's doing: the automaton goes on without that match.
        JSON lexers read the prefix only if it begins the grammar's text.
        """
        text = prefix.decode("utf-8", "replace")
        tail = b""
        for n in (1, 2, 3):
            if utf8.completions(prefix[-n:]) != (0, 0):
                text, tail = prefix[:-n].decode("utf-8", "replace"), prefix[-n:]
        joint = self.start()
        modes, states = list(joint.modes), list(joint.states)
        for i, unit in enumerate(joint.epoch.units):
            scope = self._scope_of[i]
            reader = _LENIENT if isinstance(self._lexers[scope], JsonLexer) else self._lexers[scope]
            read = reader.read(joint.modes[scope], text) if in_grammar or reader is not _LENIENT else None
            if read is not None:
                modes[scope] = read[0]
                points = on_view(self._groups[self._place[i][0]].view, read[1])
                states[i] = self._prime(i, unit, self._group_of[i].shared(np.array(points, np.int64)).tolist())
        return self._joint(tail, tuple(modes), tuple(states))

    def _prime(self, i: int, unit: Unit, symbols: Sequence[int]) -> int:
        automaton = unit.automaton
        state = automaton.start
        for symbol in (s for s in map(unit.symbol_list.__getitem__, symbols) if s >= 0):
            after = automaton.step(state, symbol) if state else FOUND
            if not after and self.program.units[i].forbids:
                after = automaton.step(automaton.reference(state), symbol) or automaton.start
            state = after
        return state

    def _joint(self, pending: bytes, modes: tuple[str, ...], states: tuple[int, ...]) -> Joint:
        key = (pending, modes, states)
        joint = self._joints.get(key)
        if joint is None:
            if len(self._joints) >= MAX_JOINTS:
                self._joints.clear()
            joint = self._joints[key] = Joint(self._epoch, pending, modes, states)
        return joint

    def current(self, joint: Joint) -> Joint:
        """The same state in the current generation of tables."""
        if joint.epoch is self._epoch:
            return joint
        old = joint.epoch.units
        keys = [unit.automaton.key(s) for unit, s in zip(old, joint.states, strict=True)]
        states = tuple(unit.automaton.intern(k) for unit, k in zip(self._epoch.units, keys, strict=True))
        return self._joint(joint.pending, joint.modes, states)

    @property
    def table_bytes(self) -> int:
        """Memory of the automata's tables."""
        return sum(unit.n_bytes for unit in self._epoch.units)

    def trim(self) -> None:
        """Drop automata, tables and masks together if they have outgrown their bound. States stay valid."""
        if self.table_bytes > self._table_bytes:
            self._epoch = self._new_epoch()
            self.rows.clear()
            self._reference_rows.clear()
            self._joints.clear()
            self._escapable.clear()

    # ---- reading

    def advance(self, joint: Joint, token_id: int) -> Joint | None:
        """The state after a token, or None where the token is forbidden. The end of text is not read here."""
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
        pieces = utf8.split(token)
        if pieces is None:
            return None
        states: list[int] = []
        modes = list(joint.modes)
        shared: dict[int, list[int] | None] = {}
        for i, unit in enumerate(joint.epoch.units):
            group, mode = self._group_of[i], joint.modes[self._scope_of[i]]
            known = unit.after(mode, joint.states[i], token_id)
            if known is None:
                symbols = shared[id(group)] if id(group) in shared else group.token_symbols(mode, token_id)
                shared[id(group)] = symbols
                if symbols is None:
                    return None
                known = run(unit.automaton, joint.states[i], [s for s in map(unit.symbol_list.__getitem__, symbols) if s >= 0])
            if not known and self.program.units[i].forbids:
                return None
            states.append(known)
            modes[self._scope_of[i]] = group.mode_after(mode, token_id)
        return self._settle(pieces.tail, tuple(modes), tuple(states))

    def _settle(self, pending: bytes, modes: tuple[str, ...], states: tuple[int, ...]) -> Joint | None:
        """The joint state, unless a requirement is broken for good or an unfinished character has no way on."""
        if self._is_broken(states):
            return None
        joint = self._joint(pending, modes, states)
        return joint if not pending or self._can_complete(joint, pending) else None

    def advance_bytes(self, joint: Joint, data: bytes, lenient: bool = False) -> Joint | None:
        """The state after bytes that need not be tokens. ``lenient`` reads every JSON escape, as a prefix may hold."""
        joint = self.current(joint)
        pieces = utf8.split(joint.pending + data)
        if pieces is None or pieces.head:
            return None
        modes: list[str] = []
        read: list[Sequence[int]] = []
        for lexer, mode in zip(self._lexers, joint.modes, strict=True):
            reader = _LENIENT if lenient and isinstance(lexer, JsonLexer) else lexer
            result = reader.read(mode, pieces.text)
            if result is None or (pieces.tail and not lexer.in_content(result[0])):
                return None
            modes.append(result[0])
            read.append(result[1])
        states = self._run(joint, read)
        return self._settle(pieces.tail, tuple(modes), states) if states is not None else None

    def _run(self, joint: Joint, read: Sequence[Sequence[int]]) -> tuple[int, ...] | None:
        states: list[int] = []
        shared: dict[int, list[int]] = {}
        for i, unit in enumerate(joint.epoch.units):
            group = self._group_of[i]
            if id(group) not in shared:
                points = on_view(group.view, read[self._scope_of[i]])
                shared[id(group)] = group.shared(np.array(points, np.int64)).tolist()
            symbols = [s for s in map(unit.symbol_list.__getitem__, shared[id(group)]) if s >= 0]
            state = run(unit.automaton, joint.states[i], symbols)
            if not state and self.program.units[i].forbids:
                return None
            states.append(state)
        return tuple(states)

    def _can_complete(self, joint: Joint, tail: bytes) -> bool:
        """Whether one completion of the unfinished character keeps *all* automata alive."""
        for strings in self._completions_of(tail):
            alive: list[int] = []
            for i, unit in enumerate(joint.epoch.units):
                classes = strings[self._group_index[i]]
                alive.append(run(unit.automaton, joint.states[i], [unit.symbol_list[c] for c in classes]))
            if all(alive[i] for i in self._forbids) and not self._is_broken(alive):
                return True
        return not self._groups

    def _completions_of(self, tail: bytes) -> list[tuple[tuple[int, ...], ...]]:
        """What a tail can become, as class strings per group; the most frequent first."""
        known = self._completions.get(tail)
        if known is None:
            low, high = utf8.completions(tail)
            if not self._groups:
                return []
            ids = np.stack([group.string_ids[low:high] for group in self._groups.values()], 1)
            distinct, count = np.unique(ids, axis=0, return_counts=True)
            rows = distinct[np.argsort(-count, kind="stable")].tolist()
            groups = list(self._groups.values())
            known = [tuple(g.strings[i] for g, i in zip(groups, row, strict=True)) for row in rows]
            self._completions[tail] = known
        return known

    # ---- requirements

    def _is_broken(self, states: Sequence[int]) -> bool:
        return any(_for_good(r.formula, states) for r in self.program.requirements)

    def may_end(self, joint: Joint) -> bool:
        """Whether every rule lets the text end here: no character unfinished, no boundary or requirement open."""
        if joint.pending:
            return False
        joint = self.current(joint)
        units = joint.epoch.units
        found = [not s or unit.automaton.end_found(s) for unit, s in zip(units, joint.states, strict=True)]
        if any(found[i] for i in self._forbids):
            return False
        return not any(_holds(r.formula, found) for r in self.program.requirements)

    # ---- masks

    def mask(self, joint: Joint) -> Row:
        """The packed mask of a state, ``int32 [ceil(V/32)]``. Shared: do not write to it."""
        joint = self.current(joint)
        key = (joint.pending, joint.modes, joint.states)
        row = self.rows.get(key)
        if row is None:
            row = self._pending_mask(joint) if joint.pending else self._whole_mask(joint)
            self._set_eos(row, self.may_end(joint))
            row.flags.writeable = False
            self.rows.put(key, row)
            self.trim()
        return row

    def _set_eos(self, row: Row, allowed: bool) -> None:
        words = row.view(np.uint32)
        for eos in self._eos.tolist():
            bit = np.uint32(1 << (eos & 31))
            words[eos >> 5] = words[eos >> 5] | bit if allowed else words[eos >> 5] & ~bit

    def _whole_mask(self, joint: Joint) -> Row:
        units = joint.epoch.units
        for i in range(len(units)):
            self._prepared_mode(i, joint)
        references = tuple(
            unit.automaton.reference(s) if i in self._forbids else 0
            for i, (unit, s) in enumerate(zip(units, joint.states, strict=True))
        )
        row = self._reference_row(joint.modes, references).copy()
        touched = 0
        for i in self._forbids:
            if joint.states[i] != references[i]:
                own = self._unit_row(i, joint)
                touched += bool(np.any(self._tail_row & ~own))
                np.bitwise_and(row, own, out=row)
        if self.program.requirements:
            found = {i: ~self._unit_row(i, joint) for i in self._wanted}
            for requirement in self.program.requirements:
                np.bitwise_and(row, ~_for_good_rows(requirement.formula, found, self._plain), out=row)
            touched += 2
        if touched:
            self._check_tails(joint, row)
        if self._fragile:
            self._close_traps(joint, row)
        return row

    def _reference_row(self, modes: tuple[str, ...], references: tuple[int, ...]) -> Row:
        key = (modes, references)
        row = self._reference_rows.get(key)
        if row is None:
            row = self._plain.copy()
            for i in self._forbids:
                np.bitwise_and(row, self._epoch.units[i].row(modes[self._scope_of[i]], references[i]), out=row)
            self._reference_rows[key] = row
        return row

    def _unit_row(self, i: int, joint: Joint) -> Row:
        mode = joint.modes[self._scope_of[i]]
        key = (i, mode, joint.states[i])
        row = self.rows.get(key)
        if row is None:
            row = joint.epoch.units[i].row(mode, joint.states[i])
            self.rows.put(key, row)
        return row

    def held_mask(self, joint: Joint, units: Sequence[int]) -> Row:
        """Tokens after which the escape does not free one of these automata, packed."""
        row = np.zeros_like(self._plain)
        for i in units:
            mode = self._prepared_mode(i, joint)
            key = ("held", i, mode, joint.states[i])
            held = self.rows.get(key)
            if held is None:
                held = joint.epoch.units[i].held_row(mode, joint.states[i])
                self.rows.put(key, held)
            row |= held
        return row

    def open_mask(self, joint: Joint) -> Row:
        """:meth:`held_mask` of all forbidding automata: tokens after which some rule holds on to the text."""
        return self.held_mask(self.current(joint), self._forbids)

    def _close_traps(self, joint: Joint, row: Row) -> None:
        """Close tokens that lead a fragile automaton to where no known text frees all of them."""
        held = np.unpackbits((row & self.held_mask(joint, self._fragile)).view(np.uint8), bitorder="little")
        for token_id in np.flatnonzero(held).tolist():
            after = self.advance(joint, token_id)
            if after is not None and not self.can_escape(after):
                row.view(np.uint32)[token_id >> 5] &= ~np.uint32(1 << (token_id & 31))

    def can_escape(self, joint: Joint) -> bool:
        """Whether one of the known texts is admitted here and may be the end (of the text, or of its JSON string)."""
        joint = self.current(joint)
        if joint.pending:
            return True  # completions were tried when the character was begun
        known = self._escapable.get(joint.states)
        if known is None:
            known = self._escapable[joint.states] = any(self._frees(joint, text) for text in ESCAPES)
        return known

    def _frees(self, joint: Joint, text: str) -> bool:
        units = joint.epoch.units
        for i in self._forbids:
            unit = units[i]
            if not unit.freed_by(joint.states[i], unit.automaton.alphabet.encode(self._group_of[i].view.apply(text))):
                return False
        return True

    def _prepared_mode(self, i: int, joint: Joint) -> str:
        mode = joint.modes[self._scope_of[i]]
        self._group_of[i].prepare(joint.epoch.units[i], mode)
        return mode

    def closes_strings(self, joint: Joint) -> bool:
        """Whether no JSON string is open: rules on string contents have forgotten everything."""
        return not joint.pending and all(
            mode == lexer.start for lexer, mode in zip(self._lexers, joint.modes, strict=True) if isinstance(lexer, JsonLexer)
        )

    def _check_tails(self, joint: Joint, row: Row) -> None:
        """Tokens that end inside a character: the automata were asked one by one whether some completion survives,
        but it must be the same completion for all of them."""
        bits = np.unpackbits((row & self._tail_row).view(np.uint8), bitorder="little")
        for token_id in np.flatnonzero(bits).tolist():
            if self.advance(joint, token_id) is None:
                row.view(np.uint32)[token_id >> 5] &= ~np.uint32(1 << (token_id & 31))

    def _pending_mask(self, joint: Joint) -> Row:
        """Inside a character: only tokens that begin with its continuation bytes, each tried."""
        allowed = sorted(self.vocabulary.special_ids.difference(self.vocabulary.eos_ids))
        for head, tokens in cut(self.vocabulary).heads.items():
            after = self.advance_bytes(joint, head)
            if after is None:
                continue
            allowed += [i for i, rest in tokens if not rest or self.advance_bytes(after, rest) is not None]
        return self._row_of(allowed)

    # ---- explanations

    def closed_by(self, joint: Joint, token_id: int) -> tuple[str, ...]:
        """The rules that forbid a token in this state, by name."""
        joint = self.current(joint)
        if token_id in self.vocabulary.eos_ids:
            return self._open_rules(joint)
        pieces = utf8.split(joint.pending + self.vocabulary.tokens[token_id])
        if pieces is None or pieces.head:
            return ()
        names: dict[str, None] = {}
        for i in self._forbids:
            names |= dict.fromkeys(self._owners(joint, i, pieces.text))
        if not names and self.advance(joint, token_id) is None:
            names |= dict.fromkeys(r.rule for r in self.program.requirements)
        return tuple(names)

    def _owners(self, joint: Joint, i: int, text: str) -> list[str]:
        lexer, mode = self._lexers[self._scope_of[i]], joint.modes[self._scope_of[i]]
        read = lexer.read(mode, text)
        if read is None:
            return []
        unit, group, state = joint.epoch.units[i], self._group_of[i], joint.states[i]
        for symbol in group.shared(np.array(on_view(group.view, read[1]), np.int64)).tolist():
            if unit.symbol_list[symbol] < 0:
                continue
            after = unit.automaton.step(state, unit.symbol_list[symbol])
            if not after:
                return [self.program.units[i].owners[p] for p in unit.automaton.culprits(state, unit.symbol_list[symbol])]
            state = after
        return []

    def _open_rules(self, joint: Joint) -> tuple[str, ...]:
        names: dict[str, None] = {}
        units = joint.epoch.units
        found = [not s or unit.automaton.end_found(s) for unit, s in zip(units, joint.states, strict=True)]
        for i in self._forbids:
            if found[i]:
                names |= dict.fromkeys(self.program.units[i].owners[p] for p in units[i].automaton.culprits(joint.states[i], None))
        names |= dict.fromkeys(r.rule for r in self.program.requirements if _holds(r.formula, found))
        return tuple(names)


def _scope(spec: UnitSpec) -> Within:
    return Within.JSON_STRINGS if spec.within == Within.JSON_STRINGS else Within.TEXT


def _holds(formula: Formula, found: Sequence[bool]) -> bool:
    """The formula's value with what has been found."""
    if isinstance(formula, Literal):
        return any(found[u] for u in formula.units) == formula.positive
    values = (_holds(item, found) for item in formula.items)
    return all(values) if isinstance(formula, Every) else any(values)


def _for_good(formula: Formula, states: Sequence[int]) -> bool:
    """Whether the formula is true whatever follows: an absence can always still be mended."""
    if isinstance(formula, Literal):
        return formula.positive and any(states[u] == FOUND for u in formula.units)
    values = (_for_good(item, states) for item in formula.items)
    return all(values) if isinstance(formula, Every) else any(values)


def _for_good_rows(formula: Formula, found: dict[int, Row], plain: Row) -> Row:
    """:func:`_for_good` for every token at once, on packed rows."""
    if isinstance(formula, Literal):
        out = np.zeros_like(plain)
        for unit in formula.units if formula.positive else ():
            out |= found[unit]
        return out
    rows = [_for_good_rows(item, found, plain) for item in formula.items]
    join = np.bitwise_and if isinstance(formula, Every) else np.bitwise_or
    return join.reduce(rows)


