"""From tokens to text while they come: whole code points only, and nothing that may be the beginning of a stop text."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


def _decoder() -> Any:
    return codecs.getincrementaldecoder("utf-8")("replace")


@dataclass(slots=True)
class Texts:
    """The text of one row. ``stopped`` is the stop text that ended it; that text itself is not part of it."""

    stops: Sequence[str] = ()
    stopped: str | None = None
    _decode: Any = field(default_factory=_decoder)
    _held: str = ""

    def feed(self, data: bytes) -> str:
        """What can be shown now."""
        self._held += self._decode.decode(data)
        found = [(at, stop) for stop in self.stops if (at := self._held.find(stop)) >= 0]
        if found:
            at, self.stopped = min(found)
            shown, self._held = self._held[:at], ""
            return shown
        n = max((_overlap(self._held, stop) for stop in self.stops), default=0)
        shown, self._held = self._held[: len(self._held) - n], self._held[len(self._held) - n :]
        return shown

    def close(self) -> str:
        """The rest; a code point that was cut is dropped."""
        rest, self._held = self._held, ""
        return rest


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of the text that begins the stop text."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
