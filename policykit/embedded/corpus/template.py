"""A small template language: enough variety for a corpus, and every text a pure function of the seed.

`[a|b]` is one of its alternatives (they nest; an alternative may be empty), `{slot}` is a slot's value, drawn once
per chat and then kept, `#` is a digit and `&` a digit from 1 to 9.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

Slots = Mapping[str, tuple[str, ...]]


@dataclass(slots=True)
class Scene:
    """The values that one chat has settled on: a name that the customer gave is the name in the reply."""

    rng: Random
    slots: Slots
    bound: dict[str, str] = field(default_factory=dict[str, str])

    def value(self, slot: str) -> str:
        """The slot's value in this chat. Raises KeyError for a slot that no domain defines."""
        if slot not in self.bound:
            self.bound[slot] = self.write(self.rng.choice(self.slots[slot]))
        return self.bound[slot]

    def write(self, template: str) -> str:
        """The template with every choice made. Raises ValueError where a bracket is not closed."""
        text, end = self._sequence(template, 0, nested=False)
        if end != len(template):
            raise ValueError(f"unbalanced bracket in `{template}`")
        return text

    def one_of(self, templates: tuple[str, ...]) -> str:
        """One of the templates, written."""
        return self.write(self.rng.choice(templates))

    def _sequence(self, template: str, at: int, *, nested: bool) -> tuple[str, int]:
        parts: list[str] = []
        while at < len(template):
            match template[at]:
                case "[":
                    text, at = self._alternatives(template, at + 1)
                    parts.append(text)
                    continue
                case "{":
                    end = template.index("}", at)
                    parts.append(self.value(template[at + 1 : end]))
                    at = end
                case "]" | "|" if nested:
                    break
                case "#":
                    parts.append(str(self.rng.randrange(10)))
                case "&":
                    parts.append(str(self.rng.randrange(1, 10)))
                case letter:
                    parts.append(letter)
            at += 1
        return "".join(parts), at

    def _alternatives(self, template: str, at: int) -> tuple[str, int]:
        """One alternative of the group whose first character is at ``at``, and the index after its `]`.

        The choice is made before anything is written, so that slots in the other alternatives stay unbound.
        """
        starts, end = _group(template, at)
        chosen = self.rng.choice(starts)
        text, _ = self._sequence(template, chosen, nested=True)
        return text, end


def _group(template: str, at: int) -> tuple[list[int], int]:
    starts, depth = [at], 1
    for index in range(at, len(template)):
        letter = template[index]
        depth += (letter == "[") - (letter == "]")
        if depth == 0:
            return starts, index + 1
        if letter == "|" and depth == 1:
            starts.append(index + 1)
    raise ValueError(f"unbalanced bracket in `{template}`")
