"""Automata that count the units of a text: characters, words, sentences or lines.

Deterministic: a state says how many units have begun, and where in the last of them the text stands.
"""

from collections.abc import Iterator
from typing import TypeAlias, assert_never

from policykit.automata.alphabet import (
    LETTER_RANGES,
    NEWLINE_RANGES,
    NOT_LETTER_RANGES,
    UNSPACED_RANGES,
    WHITE_RANGES,
    WORD_RANGES,
)
from policykit.ir.chains import Unit
from policykit.ir.regex import MAX_CODE_POINT, Ranges, complement, ranges_of

Edge: TypeAlias = tuple[int, Ranges, int]
"""From a state, over characters, to a state."""
ANY: Ranges = ((0, MAX_CODE_POINT),)
STOPS = ".!?\u2026\u203c\u203d\u2047\u2048\u2049\u0589\u061f\u06d4\u0964\u0965"
"""Marks that end a sentence where white space follows: full stops, question and exclamation marks of scripts that set
spaces."""
FULL_STOPS = "\u3002\uff01\uff0e\uff1f\uff61"
"""Marks that end a sentence whatever follows: those of scripts without spaces."""
CLOSERS = "\"')]}\u00bb\u2019\u201d\u203a"
"""Quotes and brackets that may stand between a stop and the white space after it."""


def _set(chars: str) -> Ranges:
    return ranges_of([(ord(c), ord(c)) for c in chars])


def _but(*sets: Ranges) -> Ranges:
    return complement(ranges_of([pair for ranges in sets for pair in ranges]))


def measured(unit: Unit, at_least: int) -> tuple[int, list[Edge]]:
    """The number of states, and edges from state 0 (the start of the text) to the last state, which is reached with the
    first character of the ``at_least``-th unit."""
    match unit:
        case Unit.CHARACTERS:
            edges = [(k, ANY, k + 1) for k in range(at_least)]
        case Unit.LINES:
            edges = [edge for k in range(at_least - 1) for edge in _line(k)]
            edges.append((at_least - 1, ANY, at_least))
        case Unit.WORDS:
            edges = list(_words(at_least))
        case Unit.SENTENCES:
            edges = list(_sentences(at_least))
        case _:
            assert_never(unit)
    last = max(to for _, _, to in edges)
    return last + 1, edges


def _line(k: int) -> Iterator[Edge]:
    yield k, NEWLINE_RANGES, k + 1
    yield k, complement(NEWLINE_RANGES), k


def _words(n: int) -> Iterator[Edge]:
    """State ``2 * k`` has begun k words and is in none; ``2 * k - 1`` is in the k-th."""
    for k in range(n):
        out = 2 * k
        inside, behind = (2 * k + 1, 2 * k + 2) if k + 1 < n else (2 * n - 1, 2 * n - 1)
        yield out, NOT_LETTER_RANGES, out
        yield out, WORD_RANGES, inside
        yield out, UNSPACED_RANGES, behind
        if k:
            yield out - 1, WORD_RANGES, out - 1
            yield out - 1, NOT_LETTER_RANGES, out
            yield out - 1, UNSPACED_RANGES, behind


def _sentences(n: int) -> Iterator[Edge]:
    """State ``3 * k`` waits for sentence k + 1 to begin; behind it come its inside, and its inside behind a stop."""
    stops, full, closers = _set(STOPS), _set(FULL_STOPS), _set(CLOSERS)
    ended = ranges_of([*full, *NEWLINE_RANGES])
    for k in range(n):
        waits, inside, stopped = 3 * k, 3 * k + 1, 3 * k + 2
        yield waits, NOT_LETTER_RANGES, waits
        yield waits, LETTER_RANGES, inside
        if k + 1 == n:
            return
        yield inside, stops, stopped
        yield inside, ended, waits + 3
        yield inside, _but(stops, ended), inside
        yield stopped, ranges_of([*stops, *closers]), stopped
        yield stopped, ranges_of([*ended, *WHITE_RANGES]), waits + 3
        yield stopped, _but(stops, closers, ended, WHITE_RANGES), inside
