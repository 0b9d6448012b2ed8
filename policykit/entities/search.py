"""Where valid entities stand in a text: every one of them, also behind or inside a longer candidate that is not valid.

An occurrence is a stretch of the type's language with nothing beside it that the type's guard forbids, which the
validator passes and near which a context word stands where one is needed. Of occurrences of which one contains the
other only the longer is reported; so whoever removes what is reported removes every valid occurrence.
"""

import re
from collections.abc import Iterator

from policykit.automata import Found
from policykit.automata.anchored import AnchoredAutomaton
from policykit.automata.nfa import Pattern, build
from policykit.entities.entity import AFTER, BEFORE, compact
from policykit.entities.patterns import body_of, needs_context, words_near
from policykit.entities.registry import entity_type
from policykit.ir.document import Entities, Entity
from policykit.text import View

SEAM = "\x1f"
"""Stands between a JSON key and its value where the key is read as context. No body of a type can read it."""

_BESIDE_NOTHING = "0"
"""Stands for a continuation: no guard lets a digit stand behind the point or colon that is beside a match."""
_GOES_ON = "a"
"""Stands for a continuation of a context word."""


class EntityFinder:
    """A leaf on one view. Finders grow their automata while they run."""

    def __init__(self, leaf: Entities, view: View) -> None:
        self._types = [_Candidates(entity, view) for entity in leaf.entities]

    def findall(self, view_text: str, lead: str = "") -> list[Found]:
        """All maximal valid occurrences, in order; ``index`` is the leaf's entity. ``lead`` stands before the text and
        is context only.

        Raises whatever a validator raises: what could not be validated is not valid and not invalid.
        """
        found = [
            Found(start, end, index)
            for index, candidates in enumerate(self._types)
            for start, end in candidates.valid(view_text, lead)
        ]
        return maximal(found)

    def arrived(self, index: int, view_text: str, first: int, *, lead: str = "", is_end: bool) -> list[tuple[int, int]]:
        """Valid occurrences of one entity from ``first`` on that none of the others contains, and that are so whatever
        follows the text; ``is_end`` says that nothing follows. Raises what a validator raises."""
        return list(self._types[index].arrived(view_text, lead, first, is_end))


def maximal(found: list[Found]) -> list[Found]:
    """Those that no other contains; of equal stretches the first of the leaf."""
    kept: list[Found] = []
    reach = -1
    for item in sorted(found, key=lambda f: (f.start, -f.end, f.index)):
        if item.end > reach:
            kept.append(item)
            reach = item.end
    return kept


class _Candidates:
    """One entity on one view."""

    def __init__(self, entity: Entity, view: View) -> None:
        kind = entity_type(entity.type)
        self._entity = entity
        self._check = kind.check
        self._as_seen = kind.as_seen
        self._body = AnchoredAutomaton(build(view, Pattern(body_of(entity))))
        self._behind, self._ahead = re.compile(kind.guard.behind), re.compile(kind.guard.ahead)
        self._has_right_guard = bool(kind.guard.right)
        self._words = words_near(kind, view) if needs_context(entity) else None
        self._longest_word = max((len(view.apply(word)) + 2 * word.count(" ") for word in kind.words), default=0)

    def valid(self, text: str, lead: str) -> Iterator[tuple[int, int]]:
        """For every start the longest valid occurrence, unless an earlier one contains it."""
        return self.arrived(text, lead, 0, True)

    def arrived(self, text: str, lead: str, begin: int, is_end: bool) -> Iterator[tuple[int, int]]:
        """The same from a place on. Where the text may go on, what holds however it does."""
        reach = -1
        symbols = self._body.alphabet.encode(text)
        first = self._body.first
        beside = text if is_end else text + _BESIDE_NOTHING
        last = len(text) - (self._has_right_guard and not is_end)
        for start in range(begin, len(symbols)):
            if symbols[start] not in first or not self._behind.match(text, start):
                continue
            for end in reversed(self._body.ends(symbols, start)):
                if end <= reach:
                    break
                if end <= last and self._ahead.match(beside, end) and self._is_valid(text, start, end, lead, is_end):
                    reach = end
                    yield start, end
                    break

    def _is_valid(self, text: str, start: int, end: int, lead: str, is_end: bool) -> bool:
        if self._check:
            stretch = text[start:end]
            if not self._check.run(stretch if self._as_seen else compact(stretch), self._entity):
                return False
        return self._words is None or self._has_context(text, start, end, lead, is_end)

    def _has_context(self, text: str, start: int, end: int, lead: str, is_end: bool) -> bool:
        assert self._words is not None
        whole = f"{lead}{SEAM}{text}" if lead else text
        start, end = start + len(whole) - len(text), end + len(whole) - len(text)
        low = max(0, start - BEFORE - self._longest_word)
        if any(start - found.end() <= BEFORE for found in self._words.finditer(whole, low, start)):
            return True
        read = whole if is_end else whole + _GOES_ON
        high = min(len(read), end + AFTER + self._longest_word + 1)  # a word ends where the character behind it says so
        near = self._words.finditer(read, end, high)
        return any(found.start() - end <= AFTER and found.end() <= len(whole) for found in near)
