"""What many leaves find on one view, in a few passes over the text for all of them together.

Phrases come from Aho–Corasick, expressions from RE2, both exact and both compared with the automata by laws. What
these do not take (context around a match, expressions too large for RE2) is not for here: see :func:`takes`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import numpy as np

from policykit.automata import Finder, Matches, Stretches, compile_finder
from policykit.automata.columns import joined, leftmost_longest_of, stretches
from policykit.ir.document import Chains, Phrases, Regexes, Searched
from policykit.ir.regex import Regex
from policykit.text import View
from policykit.text.joined import Joined
from policykit.verify.groups import Groups
from policykit.verify.literals import LiteralScan, literals
from policykit.verify.together import Together
from policykit.verify.units import Seen, Span


def takes(leaf: Searched) -> bool:
    """Whether a scan finds exactly what the automata of the leaf find."""
    if isinstance(leaf, Chains):
        return False
    is_squeezed = isinstance(leaf, Phrases) and leaf.squeeze
    return leaf.before is None and leaf.after is None and not is_squeezed


@dataclass(frozen=True, slots=True)
class _Expression:
    """An expression, which expressions of which leaves (leaf, index) it is, and its own search by automata."""

    regex: Regex
    owners: tuple[tuple[int, int], ...]
    by_automata: Callable[[str], list[Span]]


class Scan:
    """Searches for numbered leaves on a view. Compiles on first use; may be shared between threads."""

    def __init__(self, view: View, leaves: Sequence[Searched]) -> None:
        assert all(map(takes, leaves)), "a scan is asked only for what it takes"
        phrases = [(n, leaf) for n, leaf in enumerate(leaves) if isinstance(leaf, Phrases)]
        self._view = view
        self._phrases = [_PhraseScan(view, phrases, exact) for exact in (False, True)]
        self._expressions = _ExpressionScan(view, _expressions(view, leaves))

    def find(self, seen: Seen) -> Mapping[int, Matches]:
        """By leaf, what it finds in the joined units: leftmost-longest as :meth:`Finder.findall` selects."""
        found: dict[int, list[Matches]] = {}
        for scan in self._phrases:
            for leaf, some in scan.find(seen.joined):
                found.setdefault(leaf, []).append(some)
        for leaf, some in self._expressions.find(seen):
            found.setdefault(leaf, []).append(some)
        return {leaf: leftmost_longest_of(joined(parts)) for leaf, parts in found.items()}


def _expressions(view: View, leaves: Sequence[Searched]) -> list[_Expression]:
    owners: dict[Regex, list[tuple[int, int]]] = {}
    for n, leaf in enumerate(leaves):
        if isinstance(leaf, Regexes):
            for index, item in enumerate(leaf.regexes):
                owners.setdefault(item.regex, []).append((n, index))
    made = {regex: (leaves[found[0][0]], found[0][1]) for regex, found in owners.items()}
    return [_Expression(r, tuple(owners[r]), _by_automata(view, leaf, i)) for r, (leaf, i) in made.items()]


def _by_automata(view: View, leaf: Searched, index: int) -> Callable[[str], list[Span]]:
    """One expression of a leaf by the automata alone, which grow while they run: one thread at a time."""
    assert isinstance(leaf, Regexes), "only expressions"
    alone = Regexes((leaf.regexes[index],), None, None, leaf.reading, leaf.place)
    lock, made = Lock(), list[Finder]()

    def find(text: str) -> list[Span]:
        with lock:
            if not made:
                made.append(compile_finder(alone, view))
            return [(found.start, found.end) for found in made[0].findall(text)]

    return find


class _PhraseScan:
    """The phrases of all leaves that are exact, or of all that are not; texts in ASCII have an automaton of theirs."""

    def __init__(self, view: View, leaves: Iterable[tuple[int, Phrases]], exact: bool) -> None:
        self._view, self._exact = view, exact
        self._literals = literals(view, [(n, leaf) for n, leaf in leaves if leaf.exact == exact])
        self._lock = Lock()

    def find(self, joined: Joined) -> Iterable[tuple[int, Matches]]:
        if not self._literals:
            return ()
        with self._lock:
            scan = self._wide if joined.points is not None else self._ascii
        return scan.find(joined)

    @cached_property
    def _ascii(self) -> LiteralScan:
        return LiteralScan(self._view, self._literals, exact=self._exact, ascii_only=True)

    @cached_property
    def _wide(self) -> LiteralScan:
        return LiteralScan(self._view, self._literals, exact=self._exact, ascii_only=False)


class _ExpressionScan:
    def __init__(self, view: View, found: Sequence[_Expression]) -> None:
        self._found, self._view = found, view
        self._lock, self._many = Lock(), dict[tuple[int, ...], Together]()
        self._groups = Groups(view, [one.regex for one in found])

    def find(self, seen: Seen) -> Iterator[tuple[int, Matches]]:
        if not self._found:
            return
        groups = self._groups.of(seen)
        spans = {number: self._automata(number, seen) for number in groups.rest}
        for group in groups.groups:
            names = group.expressions.names
            for number, found in group.spans(seen, lambda at, names=names: self._together(names, seen, at)).items():
                spans[number] = self._automata(number, seen) if found is None else found
        for number, (starts, ends) in spans.items():
            for leaf, index in self._found[number].owners if len(starts) else ():
                yield leaf, Matches(starts, ends, np.full(len(starts), index))

    def _together(self, names: tuple[int, ...], seen: Seen, at: Mapping[int, int]) -> Mapping[int, Stretches | None]:
        with self._lock:
            if names not in self._many:
                self._many[names] = Together(self._view, {n: self._found[n].regex for n in names})
            many = self._many[names]
        return many.find(seen.joined, at)

    def _automata(self, number: int, seen: Seen) -> Stretches:
        find = self._found[number].by_automata
        pairs = zip(seen.units, seen.joined.starts, strict=False)
        return stretches([(start + at, end + at) for unit, at in pairs for start, end in find(unit.text)])
