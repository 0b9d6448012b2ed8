"""Every text of a small world, and what matchers find in it, by `re` alone.

A world has one character for every class of characters that its matchers can tell apart: what the character is
itself, and what its image on the view is, spelled in those classes. So no text that is not in the world is shorter
and different. The views' maps and the word and separator tables are data here; they are tested on their own.
"""

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policykit.text import is_regex_word, is_separator, is_word, view

Match = dict[str, Any]
Parts = tuple[str, ...]
NAMED = "ab -\n_."
"""Characters that a matcher here can name; any other is known by its flags alone."""


def _class(char: str) -> str:
    point = ord(char)
    if char in NAMED:
        return char
    if is_separator[point]:
        return "\u2010"  # a separator that no expression names
    return "x" if is_word[point] else "w" if is_regex_word[point] else "!"


def read(text: str, name: str) -> str:
    """The text on a view, each character as its class: all that a matcher of this world can see."""
    return "".join(map(_class, view(name).apply(text)))


_WORD, _REGEX_WORD, _SEPARATORS = "[abx]", "[abx_w]", "[ \\-\n_\u2010]+"


@cache
def _classes() -> list[str]:
    return [_class(chr(point)) for point in range(0x110000)]


def representatives(*views: str) -> list[str]:
    """One character for every way in which characters differ on these views, ASCII first."""
    found: dict[tuple[str, ...], str] = {}
    classes = _classes()
    for point in itertools.chain(map(ord, "ab x.!-_\n"), range(0xD800), range(0xE000, 0x110000)):
        images = (view(name).images.get(point) for name in views)
        seen = tuple(classes[point] if image is None else "".join(map(_class, image)) for image in images)
        found.setdefault(seen, chr(point))
    return list(found.values())


@dataclass
class World:
    """All texts of at most ``most`` characters; of JSON texts, string contents of at most ``most`` characters and
    strings together."""

    views: tuple[str, ...]
    most: int
    in_strings: bool = False
    _known: dict[tuple[str, str], NDArray[np.bool_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        characters = representatives(*self.views)
        texts = ("".join(cs) for n in range(self.most + 1) for cs in itertools.product(characters, repeat=n))
        self.samples: list[Parts] = (
            list(_strings("".join(characters), self.most)) if self.in_strings else [(t,) for t in texts]
        )
        self.lengths = np.array([self.length(parts) for parts in self.samples])
        seen = {name: [tuple(read(p, name) for p in parts) for parts in self.samples] for name in self.views}
        self._numbers: dict[str, NDArray[np.int64]] = {}
        self._distinct: dict[str, list[Parts]] = {}
        for name, parts in seen.items():
            distinct = list(dict.fromkeys(parts))
            number = {p: i for i, p in enumerate(distinct)}
            self._distinct[name] = distinct
            self._numbers[name] = np.array([number[p] for p in parts])

    def length(self, parts: Parts) -> int:
        return sum(map(len, parts)) + (len(parts) if self.in_strings else 0)

    def truth(self, match: Match) -> NDArray[np.bool_]:
        """In which samples the matcher finds something."""
        if "all" in match:
            return np.logical_and.reduce([self.truth(item) for item in match["all"]])
        if "any" in match:
            return np.logical_or.reduce([self.truth(item) for item in match["any"]])
        if "not" in match:
            return ~self.truth(match["not"])
        return np.logical_or.reduce([self._leaf(match, name) for name in match["views"]])

    def _leaf(self, match: Match, name: str) -> NDArray[np.bool_]:
        return np.logical_or.reduce([self._source(source, name) for source in self._sources(match)])

    def _source(self, source: str, name: str) -> NDArray[np.bool_]:
        key = (source, name)
        if key not in self._known:
            compiled = re.compile(source)
            found = [any(map(compiled.search, parts)) for parts in self._distinct[name]]
            self._known[key] = np.array(found)[self._numbers[name]]
        return self._known[key]

    def holds(self, match: Match, parts: Parts) -> bool:
        """Whether the matcher finds something in a sample that need not be of this world."""
        if "all" in match:
            return all(self.holds(item, parts) for item in match["all"])
        if "any" in match:
            return any(self.holds(item, parts) for item in match["any"])
        if "not" in match:
            return not self.holds(match["not"], parts)
        seen = [read(part, name) for name in match["views"] for part in parts]
        return any(re.search(source, text) for source in self._sources(match) for text in seen)

    def _sources(self, match: Match) -> list[str]:
        bodies = [self._phrase(p, match.get("exact", False)) for p in match.get("phrases", [])]
        bodies += [self._regex(r) for r in match.get("regex", [])]
        left, right = "", ""
        if "before" in match:
            left = f"(?:{self._regex(match['before']['regex'])})[\\s\\S]{{0,{match['before']['within']}}}"
        if "after" in match:
            right = f"[\\s\\S]{{0,{match['after']['within']}}}(?:{self._regex(match['after']['regex'])})"
        return [f"{left}(?:{body}){right}" for body in bodies]

    def _phrase(self, phrase: str, exact: bool) -> str:
        pieces = [phrase] if exact else phrase.split(" ")
        left = f"(?<!{_WORD})" if re.match(_WORD, pieces[0]) else ""
        right = f"(?!{_WORD})" if re.match(_WORD, pieces[-1][-1]) else ""
        return left + _SEPARATORS.join(map(re.escape, pieces)) + right

    def _regex(self, source: str) -> str:
        word = _REGEX_WORD
        at = f"(?:(?<={word})(?!{word})|(?<!{word})(?={word}))"
        return source.replace(r"\b", at).replace(r"\w", word).replace("$", r"\Z")


def _strings(characters: str, most: int) -> Iterator[Parts]:
    texts = ["".join(cs) for n in range(most) for cs in itertools.product(characters, repeat=n)]

    def extended(parts: Parts, room: int) -> Iterator[Parts]:
        yield parts
        for text in texts:
            if len(text) + 1 <= room:
                yield from extended((*parts, text), room - len(text) - 1)

    yield from extended((), most)


PHRASES = ("a", "b", "ab", "a b", "b a", "a a", ".", "a.", "aa", "b b")
REGEXES = (
    "a",
    "ab",
    r"\ba",
    r"a\b",
    "a b",
    "^a",
    "b$",
    "a.b",
    "[^a]b",
    r"\w a",
    "a-",
    "(?:a|b)b",
    "a{2}",
    "^b$",
    "a *b",
)
CONTEXTS = ("a", "b", r"\bb", "^")


def matcher(rng: random.Random, views: tuple[str, ...], depth: int = 2) -> Match:
    """A random matcher, as a policy document has it."""
    kind = rng.choice(["leaf", "leaf", "leaf", "all", "any", "not"] if depth else ["leaf"])
    if kind in ("all", "any"):
        return {kind: [matcher(rng, views, depth - 1) for _ in range(2)]}
    if kind == "not":
        return {"not": matcher(rng, views, depth - 1)}
    some = rng.sample(views, rng.randint(1, len(views)))
    if rng.random() < 0.5:
        leaf: Match = {"phrases": rng.sample(PHRASES, rng.randint(1, 3)), "views": some}
        if rng.random() < 0.2:
            leaf["exact"] = True
    else:
        leaf = {"regex": rng.sample(REGEXES, rng.randint(1, 2)), "views": some}
    for side in ("before", "after"):
        if rng.random() < 0.1:
            leaf[side] = {"regex": rng.choice(CONTEXTS), "within": rng.randint(0, 2)}
    return leaf


def related(rng: random.Random, match: Match, views: tuple[str, ...]) -> Match:
    """A matcher that is often comparable to ``match``: a part of it, or it with something added."""
    other = matcher(rng, views, 1)
    turn = rng.randrange(5)
    if turn == 0 and "phrases" in match:
        return {**match, "phrases": [p + rng.choice([" a", ""]) for p in match["phrases"]]}
    if turn == 1:
        return {"any": [match, other]}
    if turn == 2:
        return {"all": [match, other]}
    if turn == 3:
        return {"not": {"not": match}}
    return other
