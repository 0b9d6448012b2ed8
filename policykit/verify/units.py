"""The parts of a text that matchers read, and where each of their characters stands in the original.

A reading of the text as `text` is one unit, the text itself. A reading as `json.strings` is one unit per decoded
string, or per run of array strings where they are joined by a space; as `json.scalars`, one per string and number.
Everything is computed at most once per text.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import TypeAlias, TypeVar, cast

import numpy as np

from policykit.automata import Places, Stretches
from policykit.diagnostics import Place
from policykit.ir.document import (
    Join,
    Within,
)
from policykit.ir.opaque import Classifier, Predicate
from policykit.text import Origins, View
from policykit.text.escapes import ESCAPES, unescape
from policykit.text.joined import Joined, join
from policykit.text.json_prefix import begins_like_json, has_other_strings
from policykit.text.json_strings import JsonString, scalars_of, strings_of
from policykit.verify.subject import BROKEN_JSON, Ambiguous

Span = tuple[int, int]
_ANYWHERE = Place("")
Asked: TypeAlias = tuple[tuple[Span, ...], bool]
"""Spans in the text, and whether they say where something stands, or only how the text as a whole was found to be."""
Ask: TypeAlias = Callable[[Predicate | Classifier, str], Asked]
_WITHIN_A_NAME = re.compile("(?<=[a-z0-9])(?=[A-Z])")
Computed = TypeVar("Computed")


@dataclass(frozen=True, slots=True)
class Unit:
    """A text that one match may lie in.

    Character ``i`` was read from the code points ``starts[i]..ends[i]`` of the original (None: from ``i..i+1``).
    ``seams`` are the indices, ascending, of the spaces that join array strings; no part of the original's strings is
    behind them. ``lead`` are the JSON keys that a value belongs to, their words set apart. A number (``is_number``) is
    replaced as a whole: each of its characters stands for all of it.
    """

    text: str
    starts: Sequence[int] | None = None
    ends: Sequence[int] | None = None
    seams: tuple[int, ...] = ()
    lead: str = ""
    is_number: bool = False

    def span(self, i: int, j: int) -> Span:
        """Where the characters ``[i, j)`` stand in the original; an empty range has no width there either."""
        if self.starts is None or self.ends is None:
            return i, j
        if i >= j:
            at = self.starts[i] if i < len(self.starts) else (self.ends[-1] if self.ends else 0)
            return at, at
        return self.starts[i], self.ends[j - 1]

    def pieces(self, i: int, j: int) -> tuple[Span, ...]:
        """The spans of ``[i, j)`` string by string: the seams are left out. Never empty."""
        if not self.seams:
            return (self.span(i, j),)
        inside = self.seams[bisect_left(self.seams, i) : bisect_left(self.seams, j)]
        cuts = [i, *(cut for seam in inside for cut in (seam, seam + 1)), j]
        parts = [(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=True) if a < b]
        return tuple(self.span(a, b) for a, b in parts) or (self.span(i, i),)


class SeenUnit:
    """A unit on one view. Offsets are only computed where something was found."""

    def __init__(self, unit: Unit, view: View) -> None:
        self.unit = unit
        self.text = view.apply(unit.text)
        self._view = view

    @cached_property
    def lead(self) -> str:
        """The unit's lead on the view."""
        return self._view.apply(self.unit.lead)

    @cached_property
    def _origins(self) -> Origins:
        return self._view.origins(self.unit.text)

    def in_unit(self, start: int, end: int) -> Span:
        """The unit's characters that ``[start, end)`` of the view was read from, from the first to the last."""
        if not self._view.images:
            return start, max(start, end)
        at = self._origins.one(start)
        return at, at if start >= end else self._origins.one(end - 1) + 1

    def all_in_unit(self, starts: Places, ends: Places) -> Stretches:
        """:meth:`in_unit` of many."""
        if not self._view.images:
            return starts, np.maximum(starts, ends)
        at = self._origins.of(starts)
        return at, np.where(starts < ends, self._origins.of(ends - 1) + 1, at)


class Seen:
    """All units of a reading on one view."""

    def __init__(self, units: tuple[SeenUnit, ...]) -> None:
        self.units = units
        self._known: dict[Callable[[Seen], object], object] = {}

    @cached_property
    def whole(self) -> str:
        """The concatenation of the units: what it lacks, no unit has."""
        return "".join(unit.text for unit in self.units)

    @cached_property
    def joined(self) -> Joined:
        return join([unit.text for unit in self.units])

    def once(self, compute: "Callable[[Seen], Computed]") -> Computed:
        """What ``compute`` makes of this, worked out once."""
        if compute not in self._known:
            self._known[compute] = compute(self)
        return cast(Computed, self._known[compute])


class Readings:
    """One text as every matcher of a plan may read it. ``is_json`` says whether the plan's grammar makes it JSON;
    ``asked`` answers for predicates and classifiers; ``facts`` are those of the request."""

    def __init__(
        self, text: str, is_json: bool, asked: Ask | None = None, facts: Mapping[str, object] | None = None
    ) -> None:
        self.text = text
        self.facts = facts or {}
        self._ask = asked
        self._asked: dict[tuple[Predicate | Classifier, str], Asked] = {}
        self._is_json = is_json
        self._units: dict[tuple[Within, Join], tuple[Unit, ...]] = {}
        self._unescaped: dict[tuple[Within, Join, str], tuple[Unit, ...]] = {}
        self._seen: dict[tuple[Within, Join, str, str], Seen] = {}

    def ask(self, leaf: Predicate | Classifier, text: str) -> Asked:
        """What a predicate or classifier finds in the text as a view shows it, asked once for each. Raises what it
        raises."""
        key = replace(leaf, place=_ANYWHERE, views=()), text
        found = self._asked.get(key)
        if found is None:
            if self._ask is None:
                raise LookupError("nobody is there to ask")
            found = self._asked[key] = self._ask(leaf, text)
        return found

    @cached_property
    def has_strings(self) -> bool:
        """Whether `json.strings` can be read: the grammar is JSON, or the text is, as far as it goes: what is cut off,
        has text behind it, or is JSON for lenient readers alone, hides nothing."""
        return self._is_json or parses_as_json(self.text) or begins_like_json(self.text)

    def resolve(self, within: Within, in_json: Within = Within.JSON_STRINGS) -> Within:
        """`auto` as what it stands for here: ``in_json`` where the text is read as JSON."""
        if within is not Within.AUTO:
            return within
        return in_json if self._is_json else Within.TEXT

    def seen(self, within: Within, join: Join, view: View, kind: str = "") -> Seen:
        """The units of a reading on ``view``; with a ``kind`` of escapes those that have some, with these decoded.

        Raises `ValueError` where a JSON string is no Unicode text, `Ambiguous` where lenient readers may see others.
        """
        key = (within, join, view.name, kind)
        found = self._seen.get(key)
        if found is None:
            units = self._decoded(within, join, kind) if kind else self._read(within, join)
            found = self._seen[key] = Seen(tuple(SeenUnit(unit, view) for unit in units))
        return found

    def _decoded(self, within: Within, join: Join, kind: str) -> tuple[Unit, ...]:
        found = self._unescaped.get((within, join, kind))
        if found is None:
            units = (decoded(unit, kind) for unit in self._read(within, join))
            found = self._unescaped[within, join, kind] = tuple(unit for unit in units if unit is not None)
        return found

    def _read(self, within: Within, join: Join) -> tuple[Unit, ...]:
        if not within.is_json:
            return (Unit(self.text),)
        found = self._units.get((within, join))
        if found is None:
            if not self._is_json and has_other_strings(self.text):
                raise Ambiguous(BROKEN_JSON)
            scalars = self._scalars if within is Within.JSON_SCALARS else self._strings
            found = self._units[within, join] = json_units(scalars, join)
        return found

    @cached_property
    def _strings(self) -> list[JsonString]:
        return _checked(strings_of(self.text))

    @cached_property
    def _scalars(self) -> list[JsonString]:
        return _checked(scalars_of(self.text))


def _checked(strings: list[JsonString]) -> list[JsonString]:
    """The strings. Raises ValueError where one is no Unicode text."""
    for string in strings:
        if any("\ud800" <= char <= "\udfff" for char in string.content):
            raise ValueError("a JSON string has an unpaired surrogate escape, which has no agreed meaning")
    return strings


def decoded(unit: Unit, kind: str) -> Unit | None:
    """The unit with its escapes of a kind decoded, None where it has none. No escape runs across a seam."""
    made = unescape(ESCAPES[kind], unit.text)
    if made is None:
        return None
    starts, ends = unit.starts or range(len(unit.text)), unit.ends or range(1, len(unit.text) + 1)
    return replace(
        unit,
        text=made.text,
        starts=[starts[i] for i in made.starts],
        ends=[ends[i - 1] for i in made.ends],
        seams=tuple(bisect_left(made.starts, seam) for seam in unit.seams),
    )


def parses_as_json(text: str) -> bool:
    """Whether a lenient reader takes ``text`` for one JSON value; a byte order mark, raw control characters and
    numbers of any length are let pass, since another reader may let them pass too.

    Raises `RecursionError` where the nesting is too deep to tell.
    """
    if not text.lstrip("\ufeff \t\r\n")[:1]:
        return False
    reader = json.JSONDecoder(parse_int=str, parse_float=str, strict=False)
    try:
        reader.decode(text.lstrip("\ufeff"))
    except json.JSONDecodeError:
        return False
    return True


def json_units(strings: Sequence[JsonString], join: Join) -> tuple[Unit, ...]:
    """One unit per string; with `join: array` one per run of consecutive string elements of an array."""
    if join is Join.NONE:
        return tuple(_joined([string]) for string in strings)
    lonely = [_joined([string]) for string in strings if string.array_run is None]
    in_arrays = sorted((s for s in strings if s.array_run is not None), key=_run)
    return (*lonely, *(_joined(list(run)) for _, run in groupby(in_arrays, key=_run)))


def _run(string: JsonString) -> int:
    assert string.array_run is not None
    return string.array_run


def _joined(strings: Sequence[JsonString]) -> Unit:
    starts: list[int] = []
    ends: list[int] = []
    seams: list[int] = []
    for string in strings:
        if string is not strings[0]:
            seams.append(len(starts))
            starts.append(ends[-1] if ends else string.offsets[0])
            ends.append(string.offsets[0])
        whole = len(string.content) if string.is_number else 1
        starts += string.offsets[:-1] * whole
        ends += string.offsets[1:] * whole
    text = " ".join(string.content for string in strings)
    return Unit(text, starts, ends, tuple(seams), _set_apart(strings[0].key), any(s.is_number for s in strings))


def _set_apart(key: str) -> str:
    """A key's words: `patientSsn` as `patient Ssn`."""
    return _WITHIN_A_NAME.sub(" ", key)
