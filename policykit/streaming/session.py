"""What is known about a text so far, and what of it has gone out: one step takes a piece of text."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from policykit.ir.document import Block, Mask, Replace
from policykit.ir.verdict import CheckError, TransformApplied, Violation
from policykit.streaming.glide import MANY, Glide
from policykit.streaming.joint import Match
from policykit.streaming.output import Output, readings_of
from policykit.streaming.program import Program, Role, Slot, holds
from policykit.streaming.readings import ALL, TRANSFORMS, Reading, TextReading
from policykit.streaming.settle import Chosen, Unions, confirmed, finding_of
from policykit.streaming.tags import UNITS
from policykit.streaming.trail import Trail
from policykit.streaming.window import Window
from policykit.verify.findings import Finding
from policykit.verify.judgement import RuleCheck
from policykit.verify.transforms import TransformFailed, Transforms, wanted_by

OPEN_END = 1 << 60
MAX_WAITING = 10_000
"""Matches that wait for what follows them, at most."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a stream ends before its text: what is shown instead, what was found, what could not be checked."""

    message: str = ""
    violations: tuple[Violation, ...] = ()
    errors: tuple[CheckError, ...] = ()


@dataclass(slots=True)
class Found:
    """The findings of one rule that are final, with the number of the leaf and view that found them."""

    check: RuleCheck
    findings: list[tuple[int, Finding]] = field(default_factory=list[tuple[int, Finding]])


@dataclass(slots=True)
class Journal:
    """What only grows with the text: findings by rule, edits, and the numbers given to masked values."""

    found: dict[int, Found] = field(default_factory=dict[int, Found])
    edits: list[TransformApplied] = field(default_factory=list[TransformApplied])
    numbers: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])

    def note(self, slot: Slot, finding: Finding) -> None:
        bare = finding._replace(content="")
        self.found.setdefault(slot.check.order, Found(slot.check)).findings.append((slot.selection, bare))

    def mark(self) -> "Mark":
        return Mark(
            {order: len(own.findings) for order, own in self.found.items()},
            len(self.edits),
            {label: len(own) for label, own in self.numbers.items()},
        )

    def undo(self, mark: "Mark") -> None:
        """Forget what was written since the mark."""
        for order, own in self.found.items():
            del own.findings[mark.found.get(order, 0) :]
        del self.edits[mark.n_edits :]
        for label, own in self.numbers.items():
            while len(own) > mark.numbers.get(label, 0):
                own.popitem()


@dataclass(frozen=True, slots=True)
class Mark:
    """How much a journal held at some time."""

    found: dict[int, int]
    n_edits: int
    numbers: dict[str, int]


class Session:
    """One text under one program. ``step`` is exact for a single character; a longer piece is taken whole only where
    the stream does not end inside it."""

    def __init__(self, program: Program, transforms: Transforms, max_held: int) -> None:
        self.program = program
        self._transforms = transforms
        self._max_held = max_held
        self.position = 0
        self._readings = readings_of(program.watches)
        self._observers = readings_of(program.observed)
        self._chosen = [Chosen(watch.slots) for watch in program.watches]
        self._observed = [Chosen(watch.slots) for watch in program.observed]
        self._text = Window()
        self._unions = Unions()
        self._output = Output(program.watches, program.transforms)
        self._combined: dict[int, set[int]] = {}
        self._parts: list[tuple[Slot, Finding]] = []
        self._pin: int | None = None
        self.journal = Journal()

    def copy(self) -> "Session":
        """A session that goes on from here; it writes into the same journal. This one may be used again after
        :meth:`rewind`, and then the copy not."""
        made = Session.__new__(Session)
        made.program, made._transforms, made._max_held = self.program, self._transforms, self._max_held
        made.position, made._pin = self.position, self._pin
        made._readings = [reading.copy() for reading in self._readings]
        made._observers = [reading.copy() for reading in self._observers]
        made._chosen = [chosen.copy() for chosen in self._chosen]
        made._observed = [chosen.copy() for chosen in self._observed]
        made._text, made._unions, made._output = self._text.copy(), self._unions.copy(), self._output.copy()
        made._combined = {order: set(own) for order, own in self._combined.items()}
        made._parts = self._parts.copy()
        made.journal = self.journal
        return made

    def rewind(self) -> None:
        """Forget what a copy has read; its journal is undone apart."""
        for reading in (*self._readings, *self._observers):
            reading.rewind()
        self._output.rewind()

    def let_go(self) -> None:
        """Drop what is not needed any more. There is no way back to sessions that this one is a copy of."""
        for reading in self._readings:
            reading.let_go(min(self._hold(ALL), self._text.start))
        for reading in self._observers:
            reading.let_go(reading.hold(ALL))
        self._output.let_go()

    # -- where nothing happens ----------------------------------------------------------------------------------

    def glide(self) -> Glide | None:
        """A faster way of reading on, where the session knows nothing that its automata do not."""
        reading = self._readings[0] if len(self._readings) == 1 and not self._observers else None
        if not isinstance(reading, TextReading) or self._n_waiting or self._n_held > MANY or reading.cursor.registers:
            return None
        calm = self._output.calm()
        if calm is None:
            return None
        text, row, output_trail = calm
        held = text + self._text.text(self._text.start, self.position)
        trail = Trail(reading, self._chosen[0].slots)
        at = reading.cursor.row
        return Glide(reading.cursor.joint, at, trail, row, output_trail, held, len(text), self._max_held, self._land)

    def _land(self, glide: Glide) -> None:
        """Bring up to date what stood still while the glide read."""
        text = glide.trail.land(glide.row)
        self.position += len(text)
        self._text.append(text)
        start = self._text.start
        n_behind = 0 if glide.output_row is None else len(glide.held) - glide.n_output
        if glide.output_row is not None and glide.output_trail is not None:
            glide.output_trail.land(glide.output_row)
        self._output.jump(start, self._text.take(self.position - n_behind), glide.n_shown)
        self.let_go()

    # -- one step ------------------------------------------------------------------------------------------------

    def step(self, text: str) -> tuple[str, Ending | None]:
        """Read on: what may go out, and whether the stream ends here."""
        n_most = self._n_held + len(text.encode("utf-8"))
        if len(text) > 1 and n_most > self._max_held:
            return "", Ending()
        self.position += len(text)
        self._text.append(text)
        fatal: list[tuple[Slot, Finding]] = []
        for chosen, reading in zip(self._chosen, self._readings, strict=True):
            fatal += self._sort(chosen, reading, reading.read(text))
        self._observe([reading.read(text) for reading in self._observers], None)
        if len(text) > 1 and (fatal or self._n_waiting > MAX_WAITING):
            return "", Ending()
        ending = self._ending(fatal)
        n_edits = len(self.journal.edits)
        residual = self._settle(self._hold(TRANSFORMS))
        if len(text) > 1:
            n_new = sum(len(edit.replacement.encode("utf-8")) for edit in self.journal.edits[n_edits:])
            if n_most + n_new > self._max_held:
                return "", Ending()
        shown = self._release(min(self._hold(ALL), _first(fatal)))
        return shown, ending or residual or self._too_much()

    def finish(self) -> tuple[str, Ending | None]:
        """The end of the text."""
        fatal: list[tuple[Slot, Finding]] = []
        for chosen, reading in zip(self._chosen, self._readings, strict=True):
            fatal += self._sort(chosen, reading, reading.finish(), is_end=True)
        self._observe([reading.finish() for reading in self._observers], OPEN_END * UNITS)
        residual = self._settle(OPEN_END)
        ending = self._ending(fatal) or residual or self._residual(self._output.finish())
        return (self._release(_first(fatal)) if ending else self._output.rest()), ending

    def _hold(self, group: int) -> int:
        """Where the earliest match begins that can still be completed, of those that change the output."""
        at = min((reading.hold(group) for reading in self._readings), default=self.position)
        return at if self._pin is None or group == TRANSFORMS else min(at, self._pin)

    def _release(self, before: int) -> str:
        open_from = self._unions.open_from
        return self._output.take(before if open_from is None else min(before, open_from))

    # -- what is found -------------------------------------------------------------------------------------------

    def _sort(
        self, chosen: Chosen, reading: Reading, matches: Sequence[Match], *, is_end: bool = False
    ) -> list[tuple[Slot, Finding]]:
        """Note matches of transforms and of parts of combinations; return those that end the stream."""
        fatal: list[tuple[Slot, Finding]] = []
        for match in confirmed(chosen.slots, reading, matches, is_end):
            slot = chosen.slots[match.part]
            if slot.role is Role.TRANSFORM:
                chosen.add(reading, match)
                continue
            finding = finding_of(slot, reading, match)
            if slot.role is Role.COMBINE:
                fatal += self._combine(slot, finding)
            else:
                fatal.append((slot, finding))
        return fatal

    def _combine(self, slot: Slot, finding: Finding) -> list[tuple[Slot, Finding]]:
        rule = slot.check.rule
        assert rule.matcher is not None
        own = self._combined.setdefault(slot.check.order, set())
        own.add(slot.leaf)
        self._parts.append((slot, finding))
        self._pin = finding.start if self._pin is None else min(self._pin, finding.start)
        if not holds(rule.matcher, lambda leaf: leaf in own):
            return []
        return [part for part in self._parts if part[0].check is slot.check]

    def _observe(self, read: list[list[Match]], before: int | None) -> None:
        for chosen, reading, matches in zip(self._observed, self._observers, read, strict=True):
            for match in confirmed(chosen.slots, reading, matches, before is not None):
                chosen.add(reading, match)
            for slot, finding in chosen.final(reading.cursor.oldest(ALL) if before is None else before):
                self.journal.note(slot, finding)

    def _ending(self, fatal: Sequence[tuple[Slot, Finding]]) -> Ending | None:
        if not fatal:
            return None
        by_rule: dict[int, list[tuple[Slot, Finding]]] = {}
        for slot, finding in fatal:
            by_rule.setdefault(slot.check.order, []).append((slot, finding))
        message: str | None = None
        errors: list[CheckError] = []
        for order in sorted(by_rule):
            slot = by_rule[order][0][0]
            if slot.role is Role.ERROR:
                errors.append(CheckError(slot.check.name, self.program.undecided[order]))
                continue
            assert isinstance(slot.check.rule.action, Block)
            message = (slot.check.rule.action.message or "") if message is None else message
            for found_slot, finding in by_rule[order]:
                self.journal.note(found_slot, finding)
        return Ending(message or "", (), tuple(errors))

    # -- what becomes of the text --------------------------------------------------------------------------------

    def _settle(self, before: int) -> Ending | None:
        """Edit what is final where nothing that begins before ``before`` can still be completed."""
        for chosen, reading in zip(self._chosen, self._readings, strict=True):
            if not chosen.waiting:
                continue
            limit = OPEN_END * UNITS if before == OPEN_END else reading.cursor.oldest(TRANSFORMS)
            for slot, finding in chosen.final(limit):
                self.journal.note(slot, finding)
                rule = slot.check.rule
                assert isinstance(rule.action, Mask | Replace)
                for wanted in wanted_by(rule, rule.action, slot.check.name, slot.check.order, [finding]):
                    self._unions.add(wanted)
        for span, group in self._unions.final(before):
            wrong = self._keep(span[0])
            if wrong:
                return wrong
            original = self._text.take(span[1])
            try:
                (edit,) = self._transforms.replaced(original, span[0], group, self.journal.numbers)
            except TransformFailed as error:
                return Ending(errors=(CheckError(error.rule, str(error)),))
            self.journal.edits.append(edit)
            wrong = self._residual(self._output.edit(edit))
            if wrong:
                return wrong
        open_from = self._unions.open_from
        limit = before if open_from is None else min(before, open_from)
        return self._keep(min(limit, self.position))

    def _keep(self, until: int) -> Ending | None:
        start = self._text.start
        return self._residual(self._output.keep(start, self._text.take(until))) if until > start else None

    def _residual(self, matches: Sequence[tuple[Slot, Match]]) -> Ending | None:
        """What fires on the transformed text blocks it. It has no place in the original."""
        if not matches:
            return None
        message: str | None = None
        violations: dict[int, Violation] = {}
        errors: list[CheckError] = []
        for slot, match in sorted(matches, key=lambda m: m[0].check.order):
            rule, name = slot.check.rule, slot.check.name
            if slot.role is Role.ERROR:
                errors.append(CheckError(name, self.program.undecided[slot.check.order]))
                continue
            matched = f"after transforms: {slot.names[slot.first + match.pattern]}"
            violations.setdefault(
                slot.check.order, Violation(name, None, None, None, matched, rule.severity, rule.cost)
            )
            if isinstance(rule.action, Block) and message is None:
                message = rule.action.message or ""
        return Ending(message or "", tuple(violations.values()), tuple(errors))

    @property
    def _n_held(self) -> int:
        return self._text.n_bytes + self._output.text.n_bytes

    @property
    def _n_waiting(self) -> int:
        unions = self._unions
        return (
            len(self._parts)
            + len(unions.group)
            + len(unions.waiting)
            + sum(len(chosen.waiting) for chosen in self._chosen)
        )

    def _too_much(self) -> Ending | None:
        if self._n_held <= self._max_held and self._n_waiting <= MAX_WAITING:
            return None
        what = f"{self._max_held} bytes" if self._n_held > self._max_held else f"{MAX_WAITING} matches"
        return Ending(errors=(CheckError("stream", f"more than {what} would be held back: {self._holder()}"),))

    def _holder(self) -> str:
        """What holds the text back, in words."""
        if self._parts and self._pin is not None:
            slot, finding = min(self._parts, key=lambda part: part[1].start)
            return f"`{slot.check.name}` found `{finding.matched}` and waits for the rest of its match until the end"
        for watch, reading in zip(self.program.watches, self._readings, strict=True):
            part = reading.cursor.oldest_part(ALL)
            if part is not None:
                slot = watch.slots[part]
                return f"a match of `{slot.check.name}` that began can still be completed"
        return "what replaces a match can still be part of another one"


def _first(fatal: Sequence[tuple[Slot, Finding]]) -> int:
    return min((finding.start for _, finding in fatal), default=OPEN_END)
