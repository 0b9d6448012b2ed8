"""Reading where nothing happens: no match is complete, at most a candidate that is none; nothing waits to be replaced.

Then a state is a row of the joint automaton and what is held back is a short end of the text: a chunk costs a look-up
per character and no copies. The session stays where the gliding began; landing brings it up to date.
"""

from collections.abc import Callable, Sequence
from typing import Any

from policykit.streaming.joint import Joint, Row
from policykit.streaming.trail import Trail

MANY = 4096
"""Characters that are read before the session is brought up to date, and at most in one piece."""


class Glide:
    """``held`` is the text that was read and has not gone out, of which the first ``n_output`` characters have been
    read as output. ``output_row`` and ``output_trail`` are None where the output is not read again."""

    __slots__ = (
        "_joint", "_land", "_max_held", "_stopped",
        "held", "n_output", "n_shown", "output_row", "output_trail", "row", "table", "trail",
    )  # fmt: skip

    def __init__(
        self, joint: Joint, row: Row, trail: Trail, output_row: Row | None, output_trail: Trail | None, held: str,
        n_output: int, max_held: int, land: "Callable[[Glide], None]",
    ) -> None:  # fmt: skip
        self._joint = joint
        self.table = joint.ascii
        self.row, self.trail = row, trail
        self.output_row, self.output_trail = output_row, output_trail
        self.held, self.n_output = held, n_output
        self._max_held = max_held // 4
        self._land = land
        self.n_shown = 0
        self._stopped: tuple[str, int] | None = None

    def read_on(self, text: str) -> str | None:
        """:meth:`read` for any text."""
        return self.read(text, self._joint.symbols(text))

    def read(self, text: str, symbols: Sequence[int]) -> str | None:
        """Read on a text, given with its symbols: what may go out. None where something happens in the text, or may;
        then nothing was read."""
        row: Any = self.row
        try:
            for symbol in symbols:
                row = row[symbol]
            info = row[0]
        except (TypeError, IndexError):
            row, n = self.trail.walk(self._joint, self.row, text)
            if n < len(text):
                self._stopped = text, n
                return None
            info = row[0]
        trail, held = self.trail, self.held + text
        n = len(held)
        if n > self._max_held:
            return None
        if self.output_row is None or self.output_trail is None:
            n -= info.held
        else:
            n_output = n - info.held_by_transforms
            settled = held[self.n_output : n_output]
            output_row, n_quiet = self.output_trail.walk(self._joint, self.output_row, settled)
            if n_quiet < len(settled):
                return None
            self.output_trail.add(settled)
            n = min(n - info.held, n_output - output_row[0].held)
            self.output_row, self.n_output = output_row, n_output - n
        self.row, self._stopped = row, None
        self.held = held[n:]
        trail.pieces.append(text)
        trail.n += len(text)
        self.n_shown += n
        if trail.n > MANY:
            self.land()
        return held[:n]

    def n_quiet(self, text: str) -> int:
        """How many characters come before the first at which something happens."""
        if self._stopped is not None and self._stopped[0] == text:
            return self._stopped[1]
        return self.trail.walk(self._joint, self.row, text)[1]

    def stops_in(self, text: str) -> bool:
        """Whether it is known that something happens in the text, which :meth:`read` has tried from where it stands."""
        return self._stopped is not None and self._stopped[0] == text

    def land(self) -> None:
        """Bring the session up to date. Gliding may go on from there."""
        self._land(self)
        self.n_shown = 0
