"""What automata look for: the bodies of matches, and the context around them."""

from dataclasses import dataclass
from typing import TypeAlias

from policykit.ir.chains import Unit
from policykit.ir.regex import Ranges, Regex


@dataclass(frozen=True, slots=True)
class Separated:
    """A phrase already on the view: pieces between runs of separators, with word boundaries where asked."""

    pieces: tuple[str, ...]
    left_boundary: bool
    right_boundary: bool


@dataclass(frozen=True, slots=True)
class Squeezed:
    """A phrase already on the view whose letters may be set apart (see :mod:`policykit.automata.squeezed`)."""

    words: tuple[str, ...]
    left_boundary: bool
    right_boundary: bool


@dataclass(frozen=True, slots=True)
class Room:
    """At most ``most`` words or characters of any text; None: any text at all."""

    in_words: bool
    most: int | None


@dataclass(frozen=True, slots=True)
class Measured:
    """From the start of the text to the first character of its ``at_least``-th unit (of a character: that one)."""

    unit: Unit
    at_least: int


@dataclass(frozen=True, slots=True)
class Determined:
    """A deterministic automaton over the view's characters, from state 0 to the last of ``n`` states; the end of the
    text leads there from those in ``at_end``."""

    n: int
    edges: tuple[tuple[int, Ranges, int], ...]
    at_end: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chained:
    """Parts one behind the other: alternatives, room between them, measures, automata."""

    parts: tuple[tuple[Regex | Separated, ...] | Room | Measured | Determined, ...]


Body: TypeAlias = Regex | Separated | Squeezed | Chained
"""What a match consists of, without the context around it."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A body with optional context on either side, at most ``gap`` characters away."""

    body: Body
    before: tuple[Regex, int] | None = None
    after: tuple[Regex, int] | None = None
