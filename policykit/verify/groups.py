"""Expressions in groups that share an encoding, each of which RE2 runs over a text in one pass."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import numpy as np

from policykit.automata import Stretches
from policykit.ir.regex import Regex
from policykit.text import View
from policykit.verify.encoded import LINE_LOOKS, Encoding, encoding_for, looks_of
from policykit.verify.expressions import Compiled, Expressions, Many, compile_expression, expressions
from policykit.verify.units import Seen

_GROUP = 64
"""Expressions that are run as one set at most."""


@dataclass(frozen=True, slots=True)
class Group:
    """Expressions over one encoding (None: ASCII as it is), named by their numbers."""

    encoding: Encoding | None
    expressions: Expressions

    def encoded(self, seen: Seen) -> bytes | None:
        """The joined units, None where each has to be read by itself."""
        joined, encoding = seen.joined, self.encoding
        if encoding is None:
            return joined.ascii
        # Expressions that look at lines cannot have the line feed byte as the joint.
        return None if encoding.lines and joined.is_jointed else encoding.encode_joined(joined)

    def spans(self, seen: Seen, many: Many) -> Mapping[int, Stretches | None]:
        """By expression its spans in the joined units, of which ``many`` is asked where they are very many; None where
        it wants the automata."""
        data = self.encoded(seen)
        if data is not None:
            return self.expressions.spans(data, many)
        assert self.encoding is not None, "without an encoding nothing looks at lines"
        found: dict[int, list[Stretches | None]] = {}
        for unit, at in zip(seen.units, seen.joined.starts, strict=True):
            for number, spans in self.expressions.spans(self.encoding.encode(unit.text)).items():
                found.setdefault(number, []).append(spans and (spans[0] + at, spans[1] + at))
        return {number: _joined(parts) for number, parts in found.items()}


def _joined(parts: Sequence[Stretches | None]) -> Stretches | None:
    """The parts one behind the other, None where one is not known."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return np.concatenate([starts for starts, _ in known]), np.concatenate([ends for _, ends in known])


@dataclass(frozen=True, slots=True)
class Grouped:
    """All expressions in groups; ``rest`` are the numbers of those that RE2 does not take."""

    groups: tuple[Group, ...]
    rest: tuple[int, ...]


class Groups:
    """Numbered expressions on a view. Compiles on first use; may be shared between threads."""

    def __init__(self, view: View, regexes: Sequence[Regex]) -> None:
        self._view, self._regexes = view, regexes
        # Texts of one kind do not wait until the groups for the other are compiled.
        self._plain_lock, self._encoded_lock = Lock(), Lock()

    def of(self, seen: Seen) -> Grouped:
        """The groups for such units."""
        plain = seen.joined.points is None and not seen.joined.is_jointed
        with self._plain_lock if plain else self._encoded_lock:
            return self._plain if plain else self._encoded

    @cached_property
    def _plain(self) -> Grouped:
        """For single units in ASCII."""
        groups, rest = self._grouped(range(len(self._regexes)), None)
        return Grouped(tuple(groups), tuple(rest))

    @cached_property
    def _encoded(self) -> Grouped:
        """For everything else: groups with few enough classes, those that look at lines apart."""
        lines = [bool(looks_of(regex) & LINE_LOOKS) for regex in self._regexes]
        groups: list[Group] = []
        rest: list[int] = []
        for kind in (False, True):
            numbers = [number for number, is_lines in enumerate(lines) if is_lines == kind]
            for part, encoding in self._parts(numbers):
                made, left = self._grouped(part, encoding) if encoding else ([], part)
                groups += made
                rest += left
        return Grouped(tuple(groups), tuple(rest))

    def _parts(self, numbers: Sequence[int]) -> Iterable[tuple[Sequence[int], Encoding | None]]:
        """The numbers in parts that have an encoding, halved as often as it takes; None for what has none alone."""
        if not numbers:
            return
        encoding = encoding_for(self._view, (self._regexes[n] for n in numbers))
        if encoding or len(numbers) == 1:
            yield numbers, encoding
            return
        half = len(numbers) // 2
        yield from self._parts(numbers[:half])
        yield from self._parts(numbers[half:])

    def _grouped(self, numbers: Sequence[int], encoding: Encoding | None) -> tuple[list[Group], list[int]]:
        made: list[tuple[int, Compiled, bytes]] = []
        rest: list[int] = []
        for number in numbers:
            compiled = compile_expression(self._regexes[number], self._view, encoding)
            if compiled:
                made.append((number, *compiled))
            else:
                rest.append(number)
        return [Group(encoding, expressions(made[i : i + _GROUP])) for i in range(0, len(made), _GROUP)], rest
