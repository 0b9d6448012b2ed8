"""Other spellings of what rules found: what their views and matchers claim to see through.

Derived from the views themselves: a spelling is claimed where every view that found something reads it as it read
the text. Nothing here knows a technique by name, so a view that is added is tried without a line of code.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby

import numpy as np

from policykit.testing.encodings import encoded, encodings, says
from policykit.text import is_separator, view

MAX_SPELLINGS = 4_000
"""Spellings per find; where there are more, every n-th of each technique."""
_ROUNDS = 6
_LONGEST_SOURCE = 3
_MAX_RUN = 32
_SURROGATES = range(0xD800, 0xE000)
_JSON_SPECIAL = frozenset('"\\') | {chr(c) for c in range(0x20)}


@dataclass(frozen=True, slots=True)
class Claim:
    """A rule found ``[start, end)`` on ``view``. ``loose``: any run of separators stands for one; ``in_json``: the
    text is inside a JSON string, without an escape in it; ``kinds``: the escapes that are decoded."""

    rule: str
    start: int
    end: int
    view: str
    loose: bool
    in_json: bool
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spelling:
    """``technique`` says what was done to the text, and to which characters."""

    technique: str
    text: str


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    put: str


def spellings(text: str, claim: Claim, others: Sequence[Claim]) -> tuple[Spelling, ...]:
    """Respellings of one find that it and everything else found in the same place claim: one technique on one
    character each, then whole texts. At most ``MAX_SPELLINGS``, always the same ones, none twice.
    """
    maker = _Maker(text, claim, _partners(claim, others))
    found: dict[str, Spelling] = {}
    for technique, edits in maker.edits():
        spelled = _applied(text, edits, claim.in_json)
        if spelled != text:
            found.setdefault(spelled, Spelling(technique, spelled))
    return _thinned(tuple(found.values()))


def _thinned(found: tuple[Spelling, ...]) -> tuple[Spelling, ...]:
    if len(found) <= MAX_SPELLINGS:
        return found
    step = -(-len(found) // MAX_SPELLINGS)
    return found[::step]


def _applied(text: str, edits: Sequence[_Edit], in_json: bool) -> str:
    out, at = "", 0
    for edit in sorted(edits, key=lambda e: (e.start, e.end)):
        out += text[at : edit.start] + (_escaped(edit.put) if in_json else edit.put)
        at = edit.end
    return out + text[at:]


def _escaped(put: str) -> str:
    return "".join(f"\\u{ord(char):04x}" if char in _JSON_SPECIAL else char for char in put)


def _partners(claim: Claim, others: Iterable[Claim]) -> tuple[Claim, ...]:
    """For every other rule that found something in the same place one claim that has to hold as well."""
    chosen: dict[str, Claim] = {}
    for other in others:
        if other.rule != claim.rule and other.start < claim.end and claim.start < other.end:
            known = chosen.get(other.rule)
            if known is None or (known.view != claim.view and other.view == claim.view):
                chosen[other.rule] = other
    return (claim, *chosen.values())


class _Maker:
    """Edits of one find, each admitted by everything that was found where it changes the text."""

    def __init__(self, text: str, claim: Claim, holders: Sequence[Claim]) -> None:
        self._text, self._claim, self._holders = text, claim, holders
        self._view = view(claim.view)

    def edits(self) -> Iterator[tuple[str, Sequence[_Edit]]]:
        swaps = self._swaps()
        runs = self._separators() if self._claim.loose else []
        erased = [char for char in _erased(self._claim.view) if self._is_admitted(self._between(1, char))]
        for edit in (edit for per_place in swaps for edit in per_place):
            yield self._named(edit), (edit,)
        for edit in (edit for per_run in runs for edit in per_run):
            yield self._named(edit), (edit,)
        yield from self._insertions(erased)
        yield from self._whole(swaps, runs, erased[:: max(len(erased) // 3, 1)])
        for kind in self._claim.kinds:
            if all(kind in holder.kinds for holder in self._holders) and not self._is_spelled_by(kind):
                yield from self._encoded(kind, swaps)

    def _named(self, edit: _Edit) -> str:
        source = self._text[edit.start : edit.end]
        return f"{_shown(edit.put)} for {_shown(source)} at {edit.start}"

    def _is_admitted(self, edit: _Edit) -> bool:
        if not self._claim.start <= edit.start <= edit.end <= self._claim.end:
            return False
        source = self._text[edit.start : edit.end]
        for holder in self._holders:
            if holder.end <= edit.start or edit.end <= holder.start:
                continue
            seen = view(holder.view)
            before, after = seen.apply(source), seen.apply(edit.put)
            if before != after and not (holder.loose and _separates(before) and _separates(after)):
                return False
        return True

    def _swaps(self) -> list[list[_Edit]]:
        """Per place, other characters that the view reads as it reads those there."""
        readings = _readings(self._claim.view)
        places: list[list[_Edit]] = []
        for start in range(self._claim.start, self._claim.end):
            for end in range(start + 1, min(start + _LONGEST_SOURCE, self._claim.end) + 1):
                source = self._text[start:end]
                image = self._view.apply(source)
                puts = [*readings.get(image, ()), *((image,) if end == start + 1 and image else ())]
                edits = [_Edit(start, end, put) for put in puts if put != source]
                admitted = [edit for edit in edits if self._is_admitted(edit)]
                if admitted:
                    places.append(admitted)
        return places

    def _separators(self) -> list[list[_Edit]]:
        """Per run of separators, every other one and some longer runs."""
        puts = [*_separating(self._claim.view), "  ", "\n\n", " - ", "**", "** ", "__", " \t\n"]
        runs: list[list[_Edit]] = []
        at = self._claim.start
        for separates, group in groupby(self._text[at : self._claim.end], lambda c: _separates(self._view.apply(c))):
            end = at + len(list(group))
            if separates and self._claim.start < at and end < self._claim.end:
                edits = (_Edit(at, end, put) for put in puts)
                runs.append([edit for edit in edits if self._is_admitted(edit)])
            at = end
        return [run for run in runs if run]

    def _is_spelled_by(self, kind: str) -> bool:
        """Whether JSON spells the string with the very escapes, so that it is not clear what stands before the find."""
        return self._claim.in_json and kind == "json" and "\\" in self._text

    def _encoded(self, kind: str, swaps: Sequence[Sequence[_Edit]]) -> Iterator[tuple[str, Sequence[_Edit]]]:
        """Every character by each of its escapes, all characters at once, and other characters of the view so."""
        places = range(self._claim.start, self._claim.end)
        for at in places:
            for put in encodings(kind, self._text[at]):
                yield from self._decoded_alike(kind, f"{_shown(put)} at {at}", [_Edit(at, at + 1, put)], [])
        for n in range(_ROUNDS):
            whole = [_Edit(at, at + 1, encoded(kind, self._text[at], n)) for at in places]
            yield from self._decoded_alike(kind, f"every character as {kind} escape, way {n + 1}", whole, [])
            respelled = [place[n % len(place)] for place in swaps if place[0].end == place[0].start + 1]
            spelled = [replace(edit, put=encoded(kind, edit.put, n)) for edit in respelled]
            what = f"every character respelled and as {kind} escape, way {n + 1}"
            yield from self._decoded_alike(kind, what, spelled, respelled)

    def _decoded_alike(
        self, kind: str, what: str, edits: Sequence[_Edit], plain: Sequence[_Edit]
    ) -> Iterator[tuple[str, Sequence[_Edit]]]:
        """The edits, where decoding makes the same of them as of the plain ones: what stands around them is no part
        of an escape."""
        spelled, meant = (_applied(self._text, some, False) for some in (edits, plain))
        if self._claim.in_json or says(kind, spelled, meant):
            yield what, edits

    def _between(self, offset: int, char: str) -> _Edit:
        return _Edit(self._claim.start + offset, self._claim.start + offset, char)

    def _insertions(self, erased: Sequence[str]) -> Iterator[tuple[str, Sequence[_Edit]]]:
        """Every character that the view drops at one inner place, and a few of them at every inner place."""
        inner = self._claim.end - self._claim.start - 1
        if inner < 1:
            return
        few = set(erased[:: max(len(erased) // 3, 1)])
        for n, char in enumerate(erased):
            for offset in range(1, inner + 1) if char in few else (1 + n % inner,):
                edit = self._between(offset, char)
                if self._is_admitted(edit):
                    yield f"{_shown(char)} put in at {edit.start}", (edit,)

    def _whole(
        self, swaps: Sequence[Sequence[_Edit]], runs: Sequence[Sequence[_Edit]], erased: Sequence[str]
    ) -> Iterator[tuple[str, Sequence[_Edit]]]:
        """All characters at once, all separators at once, and everything together."""
        single = [place for place in swaps if place[0].end == place[0].start + 1]
        inner = range(1, self._claim.end - self._claim.start)
        for n in range(_ROUNDS):
            respelled = [place[n % len(place)] for place in single]
            separated = [run[(n * 7) % len(run)] for run in runs]
            if respelled:
                yield f"every character respelled, way {n + 1}", respelled
            if separated:
                yield f"every separator replaced, way {n + 1}", separated
            if erased:
                char = erased[n % len(erased)]
                strewn = [self._between(offset, char) for offset in inner]
                put = [edit for edit in strewn if self._is_admitted(edit)]
                yield f"{_shown(char)} between all characters", put
                taken = {edit.start for edit in separated} | {edit.end for edit in separated}
                spelled = [edit for edit in respelled if edit.start not in {e.start for e in separated}]
                both = [edit for edit in put if edit.start not in taken and not _inside(edit.start, separated)]
                yield f"everything at once, way {n + 1}", _disjoint([*both, *spelled, *separated])


def _inside(at: int, edits: Iterable[_Edit]) -> bool:
    return any(edit.start < at < edit.end for edit in edits)


def _disjoint(edits: Iterable[_Edit]) -> list[_Edit]:
    """The edits in order without those that overlap an earlier one."""
    kept: list[_Edit] = []
    for edit in sorted(edits, key=lambda e: (e.start, e.end)):
        if not kept or edit.start >= kept[-1].end:
            kept.append(edit)
    return kept


def _separates(image: str) -> bool:
    return bool(image) and all(is_separator[ord(char)] for char in image)


@cache
def _readings(name: str) -> dict[str, tuple[str, ...]]:
    """For every image the characters that have it, among them those that are their own."""
    on = view(name)
    found: dict[str, list[str]] = {}
    for point, image in on.images.items():
        if image and point not in _SURROGATES:
            found.setdefault(image, []).append(chr(point))
    for image, points in found.items():
        if len(image) == 1 and ord(image) not in on.images:
            points.append(image)
    return {image: tuple(sorted(points)) for image, points in found.items()}


@cache
def _erased(name: str) -> tuple[str, ...]:
    """Characters that the view drops; of long runs of code points some."""
    points = sorted(point for point, image in view(name).images.items() if not image)
    runs = groupby(enumerate(points), lambda pair: pair[1] - pair[0])
    kept: list[str] = []
    for _, run in runs:
        members = [point for _, point in run]
        step = max(len(members) // _MAX_RUN, 1)
        kept += [chr(point) for point in {*members[::step], members[-1]}]
    return tuple(sorted(kept))


@cache
def _separating(name: str) -> tuple[str, ...]:
    """Single characters that separate the words of a phrase on the view."""
    images = view(name).images
    own = [int(point) for point in np.flatnonzero(is_separator) if int(point) not in images]
    return tuple(map(chr, sorted([*own, *(point for point, image in images.items() if _separates(image))])))


def _shown(text: str) -> str:
    points = "+".join(f"U+{ord(char):04X}" for char in text)
    return f"`{text}` ({points})" if text.isprintable() and text.strip() else points
