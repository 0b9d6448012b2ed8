"""What a glide has read, for the reading that stands still meanwhile: candidates are looked at from there."""

from collections.abc import Sequence
from dataclasses import dataclass

from policykit.streaming.bunch import Effect
from policykit.streaming.joint import Joint, Match, Row
from policykit.streaming.program import Slot
from policykit.streaming.readings import Seen, TextReading
from policykit.streaming.settle import confirmed
from policykit.streaming.tags import UNITS
from policykit.text import View


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A reading with the text that comes next."""

    reading: TextReading
    text: str

    def seen(self, on: View, first: int, at: int) -> Seen:
        return self.reading.seen(on, first, at, self.text)


class Trail:
    """Text behind where a reading stands. The reading learns of it where a candidate is looked at, and at the end."""

    __slots__ = ("_n_noted", "_passed", "_reading", "_slots", "n", "pieces")

    def __init__(self, reading: TextReading, slots: Sequence[Slot]) -> None:
        self._reading = reading
        self._slots = slots
        self._n_noted = 0
        self._passed: set[int] = set()
        self.pieces: list[str] = []
        """The text, as it came."""
        self.n = 0
        """Characters of the text."""

    def add(self, text: str) -> None:
        self.pieces.append(text)
        self.n += len(text)

    def walk(self, joint: Joint, row: Row, text: str) -> tuple[Row, int]:
        """The row that a text leads to, which goes on from here, and how many of its characters were read until
        something happens. Candidates that are no match are passed over."""
        symbols = joint.symbols(text)
        row, at = joint.run(row, symbols, 0)
        while at < len(text):
            step = joint.step(row, symbols[at])
            if not self._rejects(step.effects, text, at):
                break
            row, at = joint.run(step.row, symbols, at + 1)
        return row, at

    def land(self, row: Row) -> str:
        """Have the reading stand behind the text, which is returned and forgotten here."""
        text = "".join(self.pieces)
        self._note()
        self._reading.jump(row, self.n)
        self.pieces.clear()
        self._passed.clear()
        self.n = self._n_noted = 0
        return text

    def _rejects(self, effects: tuple[Effect, ...], text: str, at: int) -> bool:
        """Whether all that happens with a character of the text that comes next is that candidates are complete, and
        none of them is a match."""
        slots = self._slots
        if any(effect.registers or slots[effect.part].confirms is None for effect in effects):
            return False
        position = self._reading.cursor.position + self.n + at
        if position in self._passed:
            return True
        self._note()
        base = position * UNITS
        completed = [(effect.part, match) for effect in effects for match in effect.completed]
        found = [Match(part, c.pattern, base + c.start, base + c.end, base + c.at) for part, c in completed]
        try:
            if any(confirmed(slots, _Ahead(self._reading, text), found, is_end=False)):
                return False
        except Exception:  # whoever reads this carefully meets it again, and says so
            return False
        self._passed.add(position)
        return True

    def _note(self) -> None:
        new = self.pieces[self._n_noted :]
        if new:
            self._reading.note("".join(new))
            self._n_noted = len(self.pieces)
