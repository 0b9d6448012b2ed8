"""Fast tests that a text certainly holds no match, so that most texts never reach an automaton.

A prefilter may say *maybe* too often and never too rarely: whatever the leaf finds in a text, or in any part of
it, the prefilter does not rule out. It drops boundaries, assertions and context. Only the automata decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, assert_never, cast

import ahocorasick_rs
import numpy as np
import re2  # pyright: ignore[reportMissingTypeStubs]

from policykit.automata import separate, squeeze
from policykit.automata.alphabet import image_ranges
from policykit.ir.document import Chains, Gap, Link, Measure, Phrases, Regexes, Searched, Uncited, patterns
from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Ranges, Regex, Repeat
from policykit.text import View, is_letter

_SURROGATES = (0xD800, 0xDFFF)


class Prefilter(Protocol):
    def may_find(self, view_text: str) -> bool:
        """False only where the leaf finds nothing in any part of ``view_text``."""
        ...


@dataclass(frozen=True, slots=True)
class Undecided:
    """Rules nothing out: the expression is too large for RE2, which costs time and nothing else."""

    def may_find(self, view_text: str) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Longer:
    """Texts with as many characters as the units that are asked for."""

    at_least: int

    def may_find(self, view_text: str) -> bool:
        return len(view_text) >= self.at_least


@dataclass(frozen=True, slots=True)
class Every:
    """Where all parts of a chain may be."""

    parts: tuple[Prefilter, ...]

    def may_find(self, view_text: str) -> bool:
        return all(part.may_find(view_text) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Some:
    """Where one of them may be."""

    items: tuple[Prefilter, ...]

    def may_find(self, view_text: str) -> bool:
        return any(item.may_find(view_text) for item in self.items)


class Fragments:
    """Aho–Corasick over the longest separator-free piece of every phrase (Aho and Corasick, CACM 18(6), 1975)."""

    def __init__(self, leaf: Phrases, view: View) -> None:
        pieces = (separate(view, phrase.text, leaf.exact).pieces for phrase in leaf.phrases)
        fragments = {max(found, key=len) for found in pieces if found}
        self._search = ahocorasick_rs.AhoCorasick(sorted(fragments), store_patterns=False)

    def may_find(self, view_text: str) -> bool:
        return bool(self._search.find_matches_as_indexes(view_text))


class Letters:
    """Aho–Corasick over the letters of every phrase, on the letters of the text alone: what may stand between those of
    a phrase is none."""

    def __init__(self, leaf: Phrases, view: View) -> None:
        letters = {only_letters("".join(squeeze(view, phrase.text).words)) for phrase in leaf.phrases}
        self._search = None if "" in letters else ahocorasick_rs.AhoCorasick(sorted(letters), store_patterns=False)

    def may_find(self, view_text: str) -> bool:
        return self._search is None or bool(self._search.find_matches_as_indexes(only_letters(view_text)))


def only_letters(text: str) -> str:
    """The letters, marks and digits of a text, in order."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
    return points[is_letter[points]].tobytes().decode("utf-32-le", "surrogatepass")


class _Compiled(Protocol):
    """A compiled expression of google-re2, which ships no types."""

    def search(self, text: str) -> object | None: ...


@dataclass(frozen=True, slots=True)
class Expressions:
    """RE2 on one alternation of the expressions, carried to the view, without their assertions."""

    pattern: _Compiled

    def may_find(self, view_text: str) -> bool:
        return self.pattern.search(view_text) is not None


def compile_prefilter(leaf: Searched, view: View) -> Prefilter:
    """The prefilter of a leaf for texts on ``view``."""
    if isinstance(leaf, Chains):
        return Some(tuple(Every(tuple(_of_part(part, leaf, view) for part in set(c.parts))) for c in leaf.chains))
    if isinstance(leaf, Phrases):
        return Letters(leaf, view) if leaf.squeeze else Fragments(leaf, view)
    return _of_expressions(tuple(item.regex for item in leaf.regexes), view)


@lru_cache(maxsize=256)
def _of_expressions(regexes: tuple[Regex, ...], view: View) -> Prefilter:
    """Remembered: the same few expressions stand in many chains, and RE2 takes long over the images of one."""
    compiled = _compile("|".join(render(regex, view) for regex in regexes))
    return Expressions(compiled) if compiled else Undecided()


def _of_part(part: Link | Gap | Measure | Uncited, leaf: Chains, view: View) -> Prefilter:
    match part:
        case Link(phrases, regexes, exact):
            by_phrase = Phrases(phrases, exact, None, None, leaf.reading, leaf.place)
            by_regex = Regexes(regexes, None, None, leaf.reading, leaf.place)
            own = [some for some in (by_phrase, by_regex) if patterns(some)]
            return Some(tuple(compile_prefilter(some, view) for some in own))
        case Gap() | Uncited():
            return Undecided()
        case Measure(_, at_least):
            return Longer(at_least)


def _compile(source: str) -> _Compiled | None:
    """The expression, or None where it is larger than RE2's memory limit."""
    engine = cast(Any, re2)  # the package ships no types
    options = engine.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        return engine.compile(source, options)
    except engine.error:
        return None


def render(regex: Regex, view: View) -> str:
    """RE2 source for what the expression can match on the view, with every assertion taken as true."""
    match regex:
        case Empty() | Assertion():
            return "(?:)"
        case Chars():
            return _group(_images(regex, view))
        case Concat(items):
            return _group(["".join(render(item, view) for item in items)])
        case Alternation(items):
            return _group([render(item, view) for item in items])
        case Repeat(item, least, most):
            return _group([f"{render(item, view)}{{{least},{'' if most is None else most}}}"])
        case _:
            assert_never(regex)


def _images(chars: Chars, view: View) -> list[str]:
    """What one character of the expression can look like on the view: classes, and images of other lengths."""
    singles, others = image_ranges(view, chars.literal)
    classes = [_class(ranges) for ranges in (chars.on_view, singles)]
    return [source for source in classes if source] + ["".join(map(_char, image)) for image in sorted(others)]


def _group(branches: list[str]) -> str:
    return f"(?:{'|'.join(branches)})" if branches else "[^\\x{0}-\\x{10FFFF}]"


def _char(char: str) -> str:
    return f"\\x{{{ord(char):x}}}"


def _class(ranges: Ranges) -> str:
    inner = "".join(f"\\x{{{low:x}}}-\\x{{{high:x}}}" for low, high in _scalar_values(ranges))
    return f"[{inner}]" if inner else ""


def _scalar_values(ranges: Ranges) -> Iterator[tuple[int, int]]:
    """The ranges without surrogates: texts are valid Unicode, and RE2 works on UTF-8."""
    for low, high in ranges:
        if low < _SURROGATES[0]:
            yield low, min(high, _SURROGATES[0] - 1)
        if high > _SURROGATES[1]:
            yield max(low, _SURROGATES[1] + 1), high
