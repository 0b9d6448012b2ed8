r"""Automata for the text that a consumer decodes, from automata for texts: ``&#103;uaranteed``, ``%67uaranteed``.

A state is (pending escape, inner state). What is undecided is kept outside the inner automaton, as text; beginnings
that can never make a difference to the inner automaton are kept as one of them, so that states stay few: ``&#0103`` is
``&#103``, and of the numbers that no pattern tells apart one stands for all.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from policykit.automata.alphabet import Alphabet, class_strings
from policykit.automata.interned import Interned
from policykit.automata.lazy import FOUND, Automaton, run
from policykit.ir.regex import MAX_CODE_POINT
from policykit.text import utf8, view
from policykit.text.escapes import (
    ESCAPES,
    NAMES,
    REPLACEMENT,
    Escapes,
    advance,
    flush,
    json_escape,
    json_shorts,
    referenced,
)

Classes: TypeAlias = tuple[int, ...]
_HIGH, _SURROGATES = range(0xD800, 0xDC00), range(0xD800, 0xE000)
_PLANES = range(0, MAX_CODE_POINT, 0x10000)


class _Decoding:
    """One kind of escapes over the classes of an inner alphabet; shared by all automata that have this alphabet.

    ``alphabet`` has the characters of the raw text: those that spell escapes by themselves, the others by their images.
    ``images[symbol]`` are the inner classes of a symbol that stands for itself.
    """

    def __init__(self, kind: Escapes, inner: Alphabet) -> None:
        self.kind = kind
        self._ids, self._strings = class_strings(inner)
        key = self._ids.astype(np.int64)
        letters = sorted(kind.letters)
        for i, char in enumerate(letters):
            key[ord(char)] = len(self._strings) + i
        starts = np.concatenate(([0], np.flatnonzero(np.diff(key)) + 1))
        kinds, classes = np.unique(key[starts], return_inverse=True)
        self.alphabet = Alphabet(view("raw"), starts, classes.reshape(-1).astype(np.int32), (0,) * len(kinds))
        self.symbol = {char: self.alphabet.of(char) for char in letters}
        self.starter = self.symbol[kind.starter]
        self._chars = [chr(point) for point in self.alphabet.representatives.tolist()]
        self.images = [self._classes(char) for char in self._chars]
        self.erased = frozenset(s for s, image in enumerate(self.images) if not image)
        self._read: dict[tuple[str, int], tuple[Classes, str]] = {}
        self._flushed: dict[str, Classes] = {}
        self._canonical: dict[str, str] = {}
        self._possible: dict[str, dict[Classes, str]] = {}
        self._first: dict[object, str] = {}
        self._beginning: dict[int, list[int]] = {}
        for symbol, image in enumerate(self.images):
            if image:
                self._beginning.setdefault(image[0], []).append(symbol)

    def _classes(self, text: str) -> Classes:
        return tuple(c for char in text for c in self._strings[int(self._ids[ord(char)])])

    def read(self, pending: str, symbol: int) -> tuple[Classes, str]:
        """The inner classes that are read once the symbol has followed, and what is pending then."""
        known = self._read.get((pending, symbol))
        if known is None:
            decoded, rest = advance(self.kind, pending, self._chars[symbol])
            known = self._read[pending, symbol] = (self._classes(decoded), self._kept(rest))
        return known

    def flushed(self, pending: str) -> Classes:
        """The inner classes of what is pending where it ends."""
        known = self._flushed.get(pending)
        if known is None:
            known = self._flushed[pending] = self._classes(flush(self.kind, pending))
        return known

    def following(self, pending: str) -> set[int]:
        """The symbols that may go on with what is pending."""
        return {self.symbol[char] for char in self.kind.follow(pending)} | {self.starter}

    def beginning(self, inner: Iterable[int]) -> set[int]:
        """The symbols whose first class is one of these, those that are erased, and the starter."""
        return {s for c in inner for s in self._beginning.get(c, ())} | self.erased | {self.starter}

    # ---- what an escape that was begun can become

    def possible(self, pending: str) -> Mapping[Classes, str]:
        """The inner classes of everything that what is pending can still be decoded to, other than by ending there;
        and for each a text that makes it so."""
        known = self._possible.get(pending)
        if known is None:
            known = self._possible[pending] = {}
            for classes, text in self._becoming(pending):
                known.setdefault(classes, text)
        return known

    def _becoming(self, pending: str) -> Iterator[tuple[Classes, str]]:
        match self.kind.name:
            case "html":
                for name, value in NAMES.items():
                    if f"&{name}".startswith(pending):
                        yield self._classes(value), f"&{name}"[len(pending) :]
                if pending[:2] in ("&", "&#"):
                    yield from self._numbers(pending)
            case "url":
                for low, high in _bytes(pending):
                    for classes, point in self._spelled(self._ids, low, high):
                        encoded = "".join(f"%{byte:02x}" for byte in chr(point).encode())
                        yield classes, encoded[len(pending) :]
            case _:
                yield from ((self._classes(said), short) for short, said in json_shorts(pending))
                for low, high in _units(pending):
                    for classes, point in self._spelled(self._ids, low, high):
                        yield classes, json_escape(point)[len(pending) :]

    def _numbers(self, pending: str) -> Iterator[tuple[Classes, str]]:
        is_hex = pending[2:3] in ("x", "X")
        begun = len(pending) - 2 - is_hex
        for n_more, (low, high) in enumerate(_numbers(pending)):
            for classes, number in self._spelled(self._numbered, low, high):
                digits = f"{number:x}" if is_hex else str(number)
                more = digits[len(digits) - n_more :] if begun and n_more else "" if begun else digits
                yield classes, ("#" if pending == "&" else "") + more + ";"

    def _spelled(self, ids: NDArray[np.int32], low: int, high: int) -> Iterator[tuple[Classes, int]]:
        """The class strings in a range, each with the first code point (or number) that has it."""
        if low < high:
            distinct, first = np.unique(ids[low:high], return_index=True)
            for i, at in zip(distinct.tolist(), first.tolist(), strict=True):
                yield self._strings[i] if i >= 0 else (), low + at

    # ---- pending escapes that are alike

    def _kept(self, pending: str) -> str:
        if pending not in self._canonical:
            self._canonical[pending] = self._first.setdefault(self._future(pending), pending)
        return self._canonical[pending]

    def _future(self, pending: str) -> object:
        """Equal for beginnings that whatever follows makes the same: what they can become, and say where they fail."""
        match self.kind.name:
            case "html" if pending[:2] == "&#" and pending[2:].strip("xX"):
                return self._reference(pending)
            case "url":
                return self._percent(pending)
            case "json":
                return self._json(pending)
            case _:
                return pending

    def _reference(self, pending: str) -> object:
        """A number is one of all that begin with it, by how many digits are to come."""
        hashed = blake2b()
        for low, high in _numbers(pending):
            hashed.update(self._numbered[low:high].tobytes() + b"|")
        return pending[2] in "xX", hashed.digest()

    @cached_property
    def _numbered(self) -> NDArray[np.int32]:
        """For every number the class string of what ``&#n;`` stands for (-1: nothing)."""
        ids = self._ids.copy()
        special = (range(0xA0), _SURROGATES, range(0xFDD0, 0xFDF0), *(range(p + 0xFFFE, p + 0x10000) for p in _PLANES))
        for number in (n for numbers in special for n in numbers):
            char = referenced(number)
            ids[number] = self._ids[ord(char)] if char else -1
        return ids

    def _percent(self, pending: str) -> object:
        whole = len(pending) // 3 * 3
        begun, partial = bytes.fromhex(pending[:whole].replace("%", "")), pending[whole:]
        if not begun:
            return self._literal(partial), partial.lower()
        first, end = utf8.completions(begun)
        missing = 64 ** (len(chr(first).encode()) - len(begun))
        possible = blake2b(self._ids[first:end].tobytes()).digest()
        return self._literal(partial), partial.lower(), missing, first % missing, possible

    def _json(self, pending: str) -> object:
        value = pending[2:6]
        if len(value) < 4:
            low, n = int(value or "0", 16), 16 ** (4 - len(value))
            ahead = b"".join(self._unit(v) for v in range(low * n, (low + 1) * n)) if value else b""
            return self._literal(pending), len(pending), blake2b(ahead).digest()
        rest = pending[6:]
        return self._unit(int(value, 16)), self._literal(rest), rest.lower()

    def _unit(self, value: int) -> bytes:
        if value not in _HIGH:
            return self._ids[value if value not in _SURROGATES else ord(REPLACEMENT)].tobytes()
        first = 0x10000 + (value - _HIGH.start) * 0x400
        return blake2b(self._ids[first : first + 0x400].tobytes()).digest()

    def _literal(self, text: str) -> tuple[Classes, ...]:
        return tuple(map(self._classes, text))


_N = MAX_CODE_POINT + 1


def _numbers(pending: str) -> Iterator[tuple[int, int]]:
    """The numbers that a reference which was begun can have, by how many digits are to come. All beyond U+10FFFF are
    one: the empty range."""
    if not pending[2:].strip("xX"):
        yield 0, _N
        return
    base = 16 if pending[2] in "xX" else 10
    low = int(pending[2:].lstrip("xX0")[:8] or "0", base)
    high = low + 1
    while low < _N:
        yield low, high
        if high >= _N:
            return
        low, high = low * base, high * base


def _bytes(pending: str) -> Iterator[tuple[int, int]]:
    """The code points that percent-encoded bytes which were begun can become."""
    whole = len(pending) // 3 * 3
    begun, partial = bytes.fromhex(pending[:whole].replace("%", "")), pending[whole + 1 :]
    for byte in range(0x100):
        if f"{byte:02x}".startswith(partial.lower()):
            data = begun + bytes([byte])
            said = data.decode("utf-8", "ignore")
            yield (ord(said), ord(said) + 1) if said and said.encode() == data else utf8.completions(data)


def _units(pending: str) -> Iterator[tuple[int, int]]:
    r"""The code points that a `\\uXXXX` which was begun can become."""
    value, rest = pending[2:6], pending[6:]
    n = 16 ** (4 - len(value))
    low = int(value or "0", 16) * n
    if not rest and n > 1:
        yield low, min(low + n, _SURROGATES.start)
        yield max(low, _SURROGATES.stop), low + n
        if low < _SURROGATES.stop and low + n > _SURROGATES.start:
            yield ord(REPLACEMENT), ord(REPLACEMENT) + 1
    for high in range(max(low, _HIGH.start), min(low + n, _HIGH.stop)):
        first = 0x10000 + (high - _HIGH.start) * 0x400
        digits = rest[2:].lower()
        m = 16 ** (4 - len(digits))
        least = int(digits or "0", 16) * m
        yield first + max(least - 0xDC00, 0), first + min(least + m - 0xDC00, 0x400)


@lru_cache(maxsize=64)
def _decoding(kind: str, inner: Alphabet) -> _Decoding:
    return _Decoding(ESCAPES[kind], inner)


class Unescaped:
    """What the inner automaton finds in the text with the escapes of one kind decoded."""

    def __init__(self, inner: Automaton, kind: str) -> None:
        self.inner = inner
        self.kind = kind
        self._decoding = _decoding(kind, inner.alphabet)
        self.alphabet = self._decoding.alphabet
        self._states = Interned[tuple[str, int]]()
        self.start = self._number("", inner.start)

    @property
    def n_symbols(self) -> int:
        return self.alphabet.n

    @property
    def n_states(self) -> int:
        return len(self._states)

    def key(self, state: int) -> object:
        if not state:
            return None
        pending, inner = self._states.key(state)
        return pending, self.inner.key(inner)

    def intern(self, key: object) -> int:
        if key is None:
            return FOUND
        pending, inner = cast(tuple[str, object], key)
        return self._number(pending, self.inner.intern(inner))

    def _number(self, pending: str, inner: int) -> int:
        return self._states.number((pending, inner)) if inner else FOUND

    def step(self, state: int, symbol: int) -> int:
        memo = self._states.memo[state]
        found = memo.get(symbol)
        if found is None:
            found = memo[symbol] = self._step(state, symbol) if state else FOUND
        return found

    def _step(self, state: int, symbol: int) -> int:
        pending, inner = self._states.key(state)
        if not pending and symbol != self._decoding.starter:
            return self._number("", run(self.inner, inner, self._decoding.images[symbol]))
        classes, rest = self._decoding.read(pending, symbol)
        return self._number(rest, run(self.inner, inner, classes))

    def _flushed(self, state: int) -> int:
        """The inner state where what is pending ends."""
        pending, inner = self._states.key(state)
        return run(self.inner, inner, self._decoding.flushed(pending))

    def end_found(self, state: int) -> bool:
        return not state or self.inner.end_found(self._flushed(state))

    def reference(self, state: int) -> int:
        if not state:
            return FOUND
        pending, inner = self._states.key(state)
        return self._number(pending, self.inner.reference(inner))

    def hot(self, state: int) -> Iterable[int] | None:
        pending, inner = self._states.key(state) if state else ("", FOUND)
        hot = None if pending or not state else self.inner.hot(inner)
        return None if hot is None else self._decoding.beginning(hot)

    def alike(self, state: int) -> tuple[int, Iterable[int]] | None:
        """A state without a pending escape that does the same on all symbols but these: what cannot go on with the
        escape ends it. None where nothing is pending."""
        pending = self._states.key(state)[0] if state else ""
        if not pending:
            return None
        return self._number("", self._flushed(state)), self._decoding.following(pending)

    def settled(self, state: int) -> set[int] | None:
        """Where any text leads from a state with a pending escape once that is decided; None where nothing is pending.

        An escape that fails says what it says where the text ends, and what follows is read from there.
        """
        pending, inner = self._states.key(state) if state else ("", FOUND)
        if not pending:
            return None
        ways = (run(self.inner, inner, classes) for classes in self._decoding.possible(pending))
        return {self._number("", to) for to in (*ways, self._flushed(state))}

    def completing(self, state: int) -> Iterable[str]:
        """Texts that complete the pending escape, one for everything that it can be decoded to."""
        pending = self._states.key(state)[0] if state else ""
        return self._decoding.possible(pending).values() if pending else ()

    def culprits(self, state: int, symbol: int | None) -> tuple[int, ...]:
        pending, inner = self._states.key(state)
        classes = self._decoding.flushed(pending) if symbol is None else self._decoding.read(pending, symbol)[0]
        for c in classes:
            after = self.inner.step(inner, c)
            if not after:
                return self.inner.culprits(inner, c)
            inner = after
        return self.inner.culprits(inner, None)

    def pass_over(self, state: int, symbol: int) -> int:
        pending, inner = self._states.key(state)
        classes, rest = self._decoding.read(pending, symbol)
        for c in classes:
            inner = self.inner.step(inner, c) or self.inner.pass_over(inner, c)
        return self._number(rest, inner)
