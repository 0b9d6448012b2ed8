"""Texts of a structural tag, read back: which tags stand where, and whether their JSON is what the schemas say.

This is the meaning of a structural tag; the mask admits a part of it (compact JSON, keys in the schema's order).
"""

import json
from collections.abc import Callable, Iterator, Sequence as Several
from functools import lru_cache
from typing import Any, assert_never

import re2  # pyright: ignore[reportMissingTypeStubs]

from policykit.automata import unparse
from policykit.grammar.tag_forms import (
    Const,
    Either,
    Expression,
    Format,
    Free,
    Repeated,
    Separated,
    Sequence,
    Tag,
    Triggered,
    Value,
)
from policykit.ir.grammar import Cfg, GrammarSpec

Fault = tuple[str, str, str]
"""Pointer, keyword, message."""
Judge = Callable[[str], list[Fault]]
_JSON = json.JSONDecoder()
MOST = 100
"""Repetitions up to which a format is read as one expression with its neighbours."""


class TagReader:
    """Reads whole texts. ``judge_of`` gives what judges the JSON of a schema."""

    def __init__(self, form: Format, judge_of: Callable[[GrammarSpec], Judge]) -> None:
        self._form = form
        self._judges: dict[str, Judge] = {}
        self._judge_of = judge_of

    def check(self, text: str) -> list[Fault]:
        """Nothing where ``text`` is of the structural tag; else what is wrong with its JSON, or with all of it."""
        reading = _Reading(text, self._judge)
        if any(end == len(text) for end in reading.ends(Sequence((self._form,)), 0, ())):
            return []
        return reading.faults or [("", "structural_tag", "the text does not belong to the grammar")]

    def _judge(self, value: Value) -> Judge:
        if value.path not in self._judges:
            self._judges[value.path] = self._judge_of(value.spec)
        return self._judges[value.path]


class _Reading:
    """One text. Every method gives the places where what it reads from ``at`` on may end, behind one of ``ends`` where
    there are any."""

    def __init__(self, text: str, judge: Callable[[Value], Judge]) -> None:
        self._text = text
        self._judge = judge
        self._values: dict[tuple[str, int], int | None] = {}
        self.faults: list[Fault] = []

    def ends(self, form: Format, at: int, ends: tuple[str, ...]) -> Iterator[int]:
        match form:
            case Free(excludes):
                yield from self._free(excludes, at, ends)
            case Triggered():
                yield from self._triggered(form, at, ends)
            case Sequence():
                yield from self._sequence(_flat(form), at, ends)
            case Const() | Value() | Expression() | Either() | Repeated() | Tag() | Separated():
                for place in set(self._closed(form, at)):
                    yield from self._behind(place, ends)
            case _:
                assert_never(form)

    def _sequence(self, items: Several[Format], at: int, ends: tuple[str, ...]) -> Iterator[int]:
        """Items that are regular and stand side by side are also read as one: the longest match of the first may have
        taken what the second needs."""
        reached: list[set[int]] = [{at}, *(set[int]() for _ in items)]
        for i, item in enumerate(items):
            source, last = _run(items, i)
            for place in reached[i]:
                if source is not None and (end := _fitting(source, self._text, place)) is not None:
                    reached[last].add(end)
                if i + 1 < len(items):
                    reached[i + 1].update(self.ends(item, place, ()))
        for place in reached[-1]:
            yield from self._behind(place, ends)
        for place in reached[-2]:
            yield from self.ends(items[-1], place, ends)

    def _closed(self, form: Const | Value | Expression | Either | Repeated | Tag | Separated, at: int) -> Iterator[int]:
        """Formats that know their own end."""
        match form:
            case Const(text):
                yield from self._behind(at, (text,))
            case Value():
                if (end := self._value(form, at)) is not None:
                    yield end
            case Expression(spec):
                if (end := _matched(spec, self._text, at)) is not None:
                    yield end
            case Either(items):
                for item in items:
                    yield from self.ends(item, at, ())
            case Repeated(item, least, most):
                yield from self._repeated(item, least, most, at)
            case Tag(begin, content, own):
                for place in self._behind(at, (begin,)):
                    yield from self.ends(content, place, own)
            case Separated():
                yield from self._separated(form, at)
            case _:
                assert_never(form)

    def _behind(self, at: int, texts: tuple[str, ...]) -> Iterator[int]:
        if not texts:
            yield at
        for text in texts:
            if self._text.startswith(text, at):
                yield at + len(text)

    def _value(self, value: Value, at: int) -> int | None:
        key = (value.path, at)
        if key not in self._values:
            self._values[key] = self._json(value, at)
        return self._values[key]

    def _json(self, value: Value, at: int) -> int | None:
        try:
            _, end = _JSON.raw_decode(self._text, at)
        except (ValueError, RecursionError):
            return None
        wrong = self._judge(value)(self._text[at:end])
        self.faults += [(value.path + pointer, keyword, message) for pointer, keyword, message in wrong]
        return None if wrong else end

    def _first(self, words: Several[str], at: int) -> tuple[int, int] | None:
        """Begin and end of the word that is complete first."""
        found = [(place + len(word), place) for word in words if word and (place := self._text.find(word, at)) >= 0]
        return None if not found else (min(found)[1], min(found)[0])

    def _holds(self, words: Several[str], at: int, end: int) -> bool:
        return any(word and self._text.find(word, at, end) >= 0 for word in words)

    def _free(self, excludes: tuple[str, ...], at: int, ends: tuple[str, ...]) -> Iterator[int]:
        over = (len(self._text), len(self._text)) if not ends else self._first(ends, at)
        if over is not None and not self._holds(excludes, at, over[0]):
            yield over[1]

    def _triggered(self, form: Triggered, at: int, ends: tuple[str, ...]) -> Iterator[int]:
        words = (*form.triggers, *form.excludes)
        begun = {end for tag in form.tags for end in self.ends(tag, at, ())} if form.at_least_one else {at}
        if form.stop_after_first:
            if not form.at_least_one:
                yield from self._free(words, at, ends)
                begun = set(self._next(form, at, ends))
            for place in begun:
                yield from self._behind(place, ends)
            return
        seen: set[int] = set()
        while begun:
            place = begun.pop()
            if place not in seen:
                seen.add(place)
                yield from self._free(words, place, ends)
                begun |= set(self._next(form, place, ends))

    def _next(self, form: Triggered, at: int, ends: tuple[str, ...]) -> Iterator[int]:
        """Behind the tag that the next trigger begins."""
        first = self._first(form.triggers, at)
        if first is None or self._holds((*form.excludes, *ends), at, first[1]):
            return
        trigger = self._text[first[0] : first[1]]
        for tag in form.tags:
            if tag.begin.startswith(trigger):
                yield from self.ends(tag, first[0], ())

    def _repeated(self, item: Format, least: int, most: int | None, at: int) -> Iterator[int]:
        reached, seen, n = {at}, set[int](), 0
        while reached and (most is None or n <= most):
            if n >= least:
                yield from reached - seen
                reached -= seen
                seen |= reached
            reached = {end for place in reached for end in self.ends(item, place, ())}
            n += 1

    def _separated(self, form: Separated, at: int) -> Iterator[int]:
        if not form.at_least_one:
            yield at
        begun = {end for tag in form.tags for end in self.ends(tag, at, ())}
        seen: set[int] = set()
        while begun:
            place = begun.pop()
            if place in seen:
                continue
            seen.add(place)
            yield place
            if not form.stop_after_first:
                for next_at in self._behind(place, (form.separator,)):
                    begun |= {end for tag in form.tags for end in self.ends(tag, next_at, ())}


def _matched(spec: GrammarSpec, text: str, at: int) -> int | None:
    """The end of the longest match."""
    return _longest(_source(spec), text, at)


def _source(spec: GrammarSpec) -> str:
    assert isinstance(spec.shape, Cfg)
    return unparse(spec.shape.terminals[0].regex)


def _longest(source: str, text: str, at: int) -> int | None:
    found: Any = _compiled(source).match(text, at)
    return None if found is None else int(found.end())


def _fitting(source: str, text: str, at: int) -> int | None:
    """:func:`_longest` of an expression that was put together, which may be too large."""
    try:
        return _longest(source, text, at)
    except re2.error:  # pyright: ignore[reportUnknownMemberType]
        return None


def _flat(form: Sequence) -> list[Format]:
    """The items of a sequence, and of the sequences in it."""
    return [inner for item in form.items for inner in (_flat(item) if isinstance(item, Sequence) else [item])]


def _run(items: Several[Format], first: int) -> tuple[str | None, int]:
    """The regular items that stand side by side from ``first`` on, as one expression, and where they end. None for an
    expression alone, which has one longest match."""
    sources: list[str] = []
    for item in items[first:]:
        source = _regular(item)
        if source is None:
            break
        sources.append(f"(?:{source})")
    is_one = len(sources) == 1 and isinstance(items[first], Const | Expression)
    return ("".join(sources) if sources and not is_one else None), first + len(sources)


def _regular(form: Format) -> str | None:
    """A format as an expression, if it is made of texts and expressions alone."""
    match form:
        case Const(text):
            return str(re2.escape(text))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        case Expression(spec):
            return _source(spec)
        case Either(items):
            return _joined(items, "|")
        case Sequence(items):
            return _joined(items, "")
        case Repeated(item, least, most):
            source = _regular(item)
            bound = "" if most is None else str(most)
            return None if source is None or max(least, most or 0) > MOST else f"(?:{source}){{{least},{bound}}}"
        case Value() | Free() | Tag() | Triggered() | Separated():
            return None
        case _:
            assert_never(form)


def _joined(items: Several[Format], between: str) -> str | None:
    sources = [source for item in items if (source := _regular(item)) is not None]
    return between.join(f"(?:{source})" for source in sources) if len(sources) == len(items) else None


@lru_cache(256)
def _compiled(source: str) -> Any:
    options: Any = re2.Options()
    options.longest_match = True
    return re2.compile(source, options)  # pyright: ignore[reportUnknownMemberType]
