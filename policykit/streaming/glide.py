"""Reading where nothing happens: no match is complete, nothing waits to be replaced.

Then a state is a row of the joint automaton and what is held back is a short end of the text: a chunk costs a look-up
per character and no copies. The session stays where the gliding began; landing brings it up to date.
"""

from collections.abc import Callable
from typing import Any

from policykit.streaming.joint import Joint, Row

MANY = 4096
"""Characters that are read before the session is brought up to date, and at most in one piece."""


class Glide:
    """``held`` is the text that was read and has not gone out, of which the first ``n_output`` characters have been
    read as output. ``output_row`` is None where the output is not read again."""

    __slots__ = (
        "_joint", "_land", "_max_held", "_n_read", "_read", "_stopped", "_table",
        "held", "n_output", "n_shown", "output_row", "row",
    )  # fmt: skip

    def __init__(
        self, joint: Joint, row: Row, output_row: Row | None, held: str, n_output: int, max_held: int,
        land: "Callable[[Glide, str], None]",
    ) -> None:  # fmt: skip
        self._joint = joint
        self._table = joint.ascii
        self.row, self.output_row = row, output_row
        self.held, self.n_output = held, n_output
        self._max_held = max_held // 4
        self._land = land
        self._read: list[str] = []
        self._n_read = self.n_shown = 0
        self._stopped: tuple[str, int] | None = None

    def read(self, text: str) -> str | None:
        """Read on: what may go out. None where something happens in the text, or may; then nothing was read."""
        row: Any = self.row
        try:
            for symbol in text.encode("ascii").translate(self._table):
                row = row[symbol]
            info = row[0]
        except (TypeError, IndexError, UnicodeEncodeError):
            row, n = self._walk(self.row, text)
            if n < len(text):
                self._stopped = text, n
                return None
            info = row[0]
        held = self.held + text
        n = len(held)
        if n > self._max_held:
            return None
        if self.output_row is None:
            n -= info.held
        else:
            n_output = n - info.held_by_transforms
            output_row, n_quiet = self._walk(self.output_row, held[self.n_output : n_output])
            if n_quiet < n_output - self.n_output:
                return None
            n = min(n - info.held, n_output - output_row[0].held)
            self.output_row, self.n_output = output_row, n_output - n
        self.row, self._stopped = row, None
        self.held = held[n:]
        self._read.append(text)
        self._n_read += len(text)
        self.n_shown += n
        if self._n_read > MANY:
            self.land()
        return held[:n]

    def n_quiet(self, text: str) -> int:
        """How many characters come before the first at which something happens."""
        if self._stopped is not None and self._stopped[0] == text:
            return self._stopped[1]
        return self._walk(self.row, text)[1]

    def stops_in(self, text: str) -> bool:
        """Whether it is known that something happens in the text, which :meth:`read` has tried from where it stands."""
        return self._stopped is not None and self._stopped[0] == text

    def land(self) -> None:
        """Bring the session up to date. Gliding may go on from there."""
        self._land(self, "".join(self._read))
        self._read.clear()
        self._n_read = self.n_shown = 0

    def _walk(self, row: Row, text: str) -> tuple[Row, int]:
        """The row that is reached, and how many characters were read until something happens."""
        return self._joint.run(row, self._joint.symbols(text), 0)
