"""What `near`, `count`, `length` and `script` mean, by plain Python over a small alphabet."""

import re
from collections.abc import Callable, Iterator
from itertools import permutations, product
from typing import Any

UNSPACED = "漢"
Naive = Callable[[str], bool]
Match = tuple[int, int]


def is_word(char: str) -> bool:
    return char.isalnum() and char not in UNSPACED


def n_words(text: str) -> int:
    found = re.findall(f"[{UNSPACED}]|[^\\W_{UNSPACED}]+", text)
    return len(found)


def n_sentences(text: str) -> int:
    """Pieces with a letter, cut at line feeds, at stops without spaces, and at stops with white space behind."""
    pieces = re.split(r"""\n|。|(?<=[.!?])[.!?"')]*\s""", text)
    return sum(any(char.isalnum() for char in piece) for piece in pieces)


def n_lines(text: str) -> int:
    return len(text.removesuffix("\n").split("\n")) if text else 0


MEASURES: dict[str, Callable[[str], int]] = {
    "characters": len,
    "words": n_words,
    "sentences": n_sentences,
    "lines": n_lines,
}


def matches(text: str, side: dict[str, Any]) -> list[Match]:
    """Every place where a phrase stands between boundaries, or an expression matches, short matches included."""
    found: list[Match] = []
    for phrase in side.get("phrases", ()):
        words = "[ -]+".join(map(re.escape, phrase.split()))
        for start, end in _everywhere(words, text):
            before, after = text[start - 1 : start], text[end : end + 1]
            if not (before and is_word(before)) and not (after and is_word(after)):
                found.append((start, end))
    for expression in side.get("regex", ()):
        found += _everywhere(expression, text)
    return found


def _everywhere(expression: str, text: str) -> Iterator[Match]:
    compiled = re.compile(expression)
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            if compiled.fullmatch(text, start, end):
                yield start, end


def near(spec: dict[str, Any]) -> Naive:
    sides, unit = spec["of"], "words" if "words" in spec else "characters"
    orders = [tuple(sides)] if spec.get("ordered") else list(permutations(sides))

    def goes_on(text: str, end: int, rest: tuple[dict[str, Any], ...]) -> bool:
        if not rest:
            return True
        close = (m for m in matches(text, rest[0]) if m[0] >= end and MEASURES[unit](text[end : m[0]]) <= spec[unit])
        return any(goes_on(text, m[1], rest[1:]) for m in close)

    def finds(text: str) -> bool:
        return any(goes_on(text, m[1], order[1:]) for order in orders for m in matches(text, order[0]))

    return finds


def _bounded(spec: dict[str, Any], n: int) -> bool:
    return spec.get("atLeast", 0) <= n <= spec.get("atMost", n)


def count(spec: dict[str, Any]) -> Naive:
    def largest(found: list[Match]) -> int:
        """The most matches without overlap, by trying all."""
        best = 0
        for i, (_, end) in enumerate(found):
            rest = [m for m in found[i + 1 :] if m[0] >= end]
            best = max(best, 1 + largest(rest))
        return best

    return lambda text: _bounded(spec, largest(sorted(matches(text, spec))))


def length(spec: dict[str, Any]) -> Naive:
    return lambda text: _bounded(spec, MEASURES[spec["unit"]](text))


def script(spec: dict[str, Any]) -> Naive:
    names = {"a": "Latin", "b": "Latin", "漢": "Han", "ж": "Cyrillic"}

    def finds(text: str) -> bool:
        own = {names[char] for char in text if char in names}
        return bool(own & set(spec["in"])) if "in" in spec else bool(own - set(spec["notIn"]))

    return finds


NAIVE: dict[str, Callable[[dict[str, Any]], Naive]] = {"near": near, "count": count, "length": length, "script": script}


def naive(match: dict[str, Any]) -> Naive:
    """Whether any of the match's matchers finds something."""
    made = [NAIVE[name](spec) for name, spec in match.items() if name in NAIVE]
    return lambda text: any(finds(text) for finds in made)


def texts(alphabet: str, longest: int) -> Iterator[str]:
    for n in range(longest + 1):
        for chars in product(alphabet, repeat=n):
            yield "".join(chars)
