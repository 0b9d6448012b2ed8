"""The transformed text on its way out: it is judged once more, and goes out as far as nothing can want it changed."""

from collections.abc import Sequence

from policykit.ir.verdict import TransformApplied
from policykit.streaming.joint import Match, Row
from policykit.streaming.program import Slot, Watch
from policykit.streaming.readings import ALL, JsonReading, Reading, TextReading
from policykit.streaming.settle import confirmed
from policykit.streaming.tags import UNITS
from policykit.streaming.trail import Trail
from policykit.streaming.window import Window


def readings_of(watches: Sequence[Watch]) -> list[Reading]:
    """Fresh readings of a text that begins."""
    return [
        JsonReading(watch.joint, watch.join) if watch.within.is_json else TextReading(watch.joint, watch.looked_at)
        for watch in watches
    ]


class Output:
    """Text that is edited for good and has not gone out.

    Where there are transforms it is read like the original: what is found in it blocks it, and what can still be
    found in it, whatever comes behind, holds it back.
    """

    def __init__(self, watches: Sequence[Watch], judges: bool) -> None:
        self._slots = [watch.slots for watch in watches] if judges else []
        self._readings = readings_of(watches) if judges else []
        self.text = Window()
        self._cuts: list[tuple[int, int, int, int]] = []
        self._stop: int | None = None

    def copy(self) -> "Output":
        """See :meth:`Reading.copy`."""
        made = Output((), False)
        made._slots = self._slots
        made._readings = [reading.copy() for reading in self._readings]
        made.text, made._cuts = self.text.copy(), self._cuts.copy()
        made._stop = self._stop
        return made

    def rewind(self) -> None:
        for reading in self._readings:
            reading.rewind()

    def keep(self, start: int, text: str) -> list[tuple[Slot, Match]]:
        """Text of the original that stays as it is; what is found in the output now."""
        self._note_kept(start, text)
        return self._read(text)

    def _note_kept(self, start: int, text: str) -> None:
        cuts = self._cuts
        if cuts and cuts[-1][1] == start and _is_kept(cuts[-1]):
            first = cuts.pop()
            cuts.append((first[0], start + len(text), first[2], self.text.end + len(text)))
        else:
            cuts.append((start, start + len(text), self.text.end, self.text.end + len(text)))

    def edit(self, edit: TransformApplied) -> list[tuple[Slot, Match]]:
        """Text that takes the place of some of the original; what is found in the output now."""
        new = edit.replacement
        if len(new) == edit.end - edit.start:  # as two parts, so that it is not taken for text that was kept
            self._cuts.append((edit.start, edit.end, self.text.end, self.text.end))
            self._cuts.append((edit.end, edit.end, self.text.end, self.text.end + len(new)))
        else:
            self._cuts.append((edit.start, edit.end, self.text.end, self.text.end + len(new)))
        return self._read(new)

    def calm(self) -> tuple[str, Row | None, Trail | None] | None:
        """What has not gone out, the row of the one reading, and where it learns of what is read elsewhere; None where
        there is more to know about it."""
        is_plain = not self.text.n_bytes or (_is_kept(self._cuts[-1]) and self._cuts[-1][2] <= self.text.start)
        readings = self._readings
        if self._stop is not None or not is_plain or len(readings) > 1 or any(r.cursor.registers for r in readings):
            return None
        held = self.text.text(self.text.start, self.text.end)
        if not readings:
            return held, None, None
        reading = readings[0]
        if not isinstance(reading, TextReading):
            return None
        return held, reading.cursor.row, Trail(reading, self._slots[0])

    def jump(self, start: int, text: str, n_shown: int) -> None:
        """Take text that stays as it is and was read on the trail; ``n_shown`` characters have gone out."""
        if text:
            self._note_kept(start, text)
        self.text.append(text)
        self.text.take(self.text.start + n_shown)
        self._cuts = [cut for cut in self._cuts if cut[3] > self.text.start]

    def finish(self) -> list[tuple[Slot, Match]]:
        """What the end of the output completes."""
        return self._found([reading.finish() for reading in self._readings], is_end=True)

    def take(self, before: int) -> str:
        """What may go out, where ``before`` is how far the original lets it."""
        until = min([self._place(before), *(reading.hold(ALL) for reading in self._readings)])
        until = until if self._stop is None else min(until, self._stop)
        if until <= self.text.start:
            return ""
        self._cuts = [cut for cut in self._cuts if cut[3] > until]
        return self.text.take(until)

    def let_go(self) -> None:
        for reading in self._readings:
            reading.let_go(self.text.start)

    def rest(self) -> str:
        """All that is left."""
        return self.text.take(self.text.end)

    def _place(self, before: int) -> int:
        """Where in the output a place of the original is; inside an edit, where the edit begins."""
        for cut in self._cuts:
            start, end, at, _ = cut
            if before < end:
                return at + (max(before - start, 0) if _is_kept(cut) else 0)
        return self.text.end

    def _read(self, text: str) -> list[tuple[Slot, Match]]:
        self.text.append(text)
        return self._found([reading.read(text) for reading in self._readings])

    def _found(self, read: Sequence[Sequence[Match]], *, is_end: bool = False) -> list[tuple[Slot, Match]]:
        """Matches, before the first of which everything ends."""
        out: list[tuple[Slot, Match]] = []
        for slots, reading, matches in zip(self._slots, self._readings, read, strict=True):
            for match in confirmed(slots, reading, matches, is_end):
                at = reading.pieces(match.start // UNITS, match.start // UNITS + 1)[0][0][0]
                self._stop = at if self._stop is None else min(self._stop, at)
                out.append((slots[match.part], match))
        return out


def _is_kept(cut: tuple[int, int, int, int]) -> bool:
    return cut[1] - cut[0] == cut[3] - cut[2]
