"""Entities as they are defined: every start of every text by itself, every end from the longest to the shortest.

Slow, and free of what the finder does for speed. The automaton of the body and the validators are the finder's.
"""

import re

from policykit.automata.anchored import AnchoredAutomaton
from policykit.automata.nfa import Pattern, build
from policykit.entities import body_of, entity_type, needs_context
from policykit.entities.context import SEAM
from policykit.entities.entity import AFTER, BEFORE
from policykit.entities.patterns import words_near
from policykit.ir.document import Entity
from policykit.text import View

Stretch = tuple[int, int]


class SlowFinder:
    """One entity on one view."""

    def __init__(self, entity: Entity, view: View) -> None:
        self.entity, self.kind = entity, entity_type(entity.type)
        self.body = AnchoredAutomaton(build(view, Pattern(body_of(entity))))
        self.behind, self.ahead = re.compile(self.kind.guard.behind), re.compile(self.kind.guard.ahead)
        self.words = words_near(self.kind, view) if needs_context(entity) else None
        self.longest_word = max((len(view.apply(w)) + 2 * w.count(" ") for w in self.kind.words), default=0)

    def valid(self, text: str, lead: str) -> list[Stretch]:
        found: list[Stretch] = []
        symbols = self.body.alphabet.encode(text)
        for start in range(len(text)):
            if not self.behind.match(text, start):
                continue
            for end in reversed(self.body.ends(symbols, start)):
                if self.ahead.match(text, end) and self.is_valid(text, start, end, lead):
                    found.append((start, end))
                    break
        return found

    def is_valid(self, text: str, start: int, end: int, lead: str) -> bool:
        if self.kind.check:
            stretch = text[start:end]
            seen = stretch if self.kind.as_seen else re.sub("[^0-9A-Za-z]", "", stretch).upper()
            if not self.kind.check.run(seen, self.entity):
                return False
        return self.words is None or self.has_context(text, start, end, lead)

    def has_context(self, text: str, start: int, end: int, lead: str) -> bool:
        assert self.words is not None
        whole = f"{lead}{SEAM}{text}" if lead else text
        start, end = start + len(whole) - len(text), end + len(whole) - len(text)
        low, high = max(0, start - BEFORE - self.longest_word), min(len(whole), end + AFTER + self.longest_word + 1)
        before = any(start - found.end() <= BEFORE for found in self.words.finditer(whole, low, start))
        return before or any(found.start() - end <= AFTER for found in self.words.finditer(whole, end, high))


def without_contained(found: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """(start, end, index) that no other contains; of equal ones the one with the least index."""

    def is_beaten(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
        if one[:2] == other[:2]:
            return other[2] < one[2]
        return other[0] <= one[0] and one[1] <= other[1]

    return sorted(one for one in found if not any(is_beaten(one, other) for other in found))
