"""Which entities may occur in a text, and where, in a pass or two of RE2 for all of them together.

What is said here is never too little: whatever is valid begins in a stretch that is named. The finder decides.
"""

from collections.abc import Mapping, Sequence

from policykit.automata import Stretches
from policykit.entities import Read, guarded, needs_context, words_of
from policykit.ir.document import Entity
from policykit.text import View
from policykit.verify.groups import Group, Groups
from policykit.verify.units import Seen

_MOST = 1_000
"""Stretches that are cheaper to look at one by one than the whole text."""


class EntityScan:
    """Numbered entities on a view. Compiles on first use; may be shared between threads."""

    def __init__(self, view: View, entities: Sequence[Entity]) -> None:
        self._n = len(entities)
        in_context = [number for number, entity in enumerate(entities) if needs_context(entity)]
        self._words = {number: self._n + i for i, number in enumerate(in_context)}
        self._groups = Groups(view, [*map(guarded, entities), *(words_of(entities[number]) for number in in_context)])

    def find(self, seen: Seen) -> Mapping[int, Stretches | None]:
        """By entity that may occur in the joined units, the stretches in which it may begin."""
        groups = self._groups.of(seen)
        matching: dict[int, tuple[Group, int, bytes] | None] = dict.fromkeys(groups.rest)
        for group in groups.groups:
            data = group.encoded(seen)
            if data is None:
                matching |= dict.fromkeys(group.expressions.names)
            else:
                matching |= {group.expressions.names[i]: (group, i, data) for i in group.expressions.matching(data)}
        found: dict[int, Stretches | None] = {}
        for number in sorted(matching):
            lacks_words = number in self._words and self._words[number] not in matching
            if number >= self._n or (lacks_words and not any(unit.unit.lead for unit in seen.units)):
                continue
            where = matching[number]
            stretches = where and _some(*where)
            if stretches is None or len(stretches[0]):
                found[number] = stretches
        return found


def _some(group: Group, index: int, data: bytes) -> Stretches | None:
    """The matches and one character more, which another match may share with them; None where there are many."""
    spans = group.expressions.some_spans(index, data, _MOST)
    return spans and (spans[0], spans[1] + 1)


def read_of(seen: Seen) -> Read:
    """The units as entity finders read them."""
    return Read([unit.text for unit in seen.units], lambda number: seen.units[number].lead, seen.joined)
