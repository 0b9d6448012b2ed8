"""Matchers that are put together: texts near each other, counted texts, and how long a text is."""

from dataclasses import dataclass
from enum import StrEnum

from policykit.diagnostics import Place
from policykit.ir.citations import Uncited as Uncited
from policykit.ir.reading import Phrase, Reading, RegexSource


class Unit(StrEnum):
    """What texts are measured in: code points, words, sentences or lines of the view.

    A word is a run of word characters of phrases, or one letter of a script that sets no space between words. A
    sentence has a letter or digit and lasts to a line feed, to a stop of a script without spaces (`。`), or to another
    (`.`, `!`, `?`, `…`) that white space follows, behind closing quotes and brackets. A line lasts to a line feed.
    """

    CHARACTERS = "characters"
    WORDS = "words"
    SENTENCES = "sentences"
    LINES = "lines"


@dataclass(frozen=True, slots=True)
class Gap:
    """Text between two links: at most ``most`` words (of which a part counts as one) or characters; None: any text."""

    unit: Unit
    most: int | None


@dataclass(frozen=True, slots=True)
class Measure:
    """The beginning of the text, up to where its ``at_least``-th unit begins."""

    unit: Unit
    at_least: int


@dataclass(frozen=True, slots=True)
class Link:
    """Any of the phrases or expressions; phrases as in :class:`Phrases`."""

    phrases: tuple[Phrase, ...]
    regexes: tuple[RegexSource, ...]
    exact: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """Its parts one behind the other, without overlap. ``name`` says what it looks for."""

    name: str
    parts: tuple[Link | Gap | Measure | Uncited, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Chains:
    """Any of the chains, anywhere in the text. ``counts``: they say how much or how often, and not where."""

    chains: tuple[Chain, ...]
    reading: Reading
    place: Place
    counts: bool = False
