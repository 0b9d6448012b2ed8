"""What automata look for: the bodies of matches, and the context around them."""

from dataclasses import dataclass
from typing import TypeAlias

from policykit.ir.chains import Unit
from policykit.ir.regex import Regex


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
class Chained:
    """Parts one behind the other: alternatives, room between them, and measures."""

    parts: tuple[tuple[Regex | Separated, ...] | Room | Measured, ...]


Body: TypeAlias = Regex | Separated | Squeezed | Chained
"""What a match consists of, without the context around it."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A body with optional context on either side, at most ``gap`` characters away."""

    body: Body
    before: tuple[Regex, int] | None = None
    after: tuple[Regex, int] | None = None
