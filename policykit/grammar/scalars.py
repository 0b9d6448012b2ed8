"""Classes of characters in a form that the masking engine reads as they are meant.

Surrogates are no characters: no text has them, and the engine refuses an expression that names one. The complement of a
class with a range that ends at U+D7FF and one that begins at U+E000 holds these two for it (llguidance 1.7, from Rust's
`regex-syntax`), so such a class is written without negation.
"""

from typing import Final

from policykit.ir.regex import Alternation, Chars, Concat, Ranges, Regex, Repeat, complement, ranges_of

_FIRST, _LAST = 0xD800, 0xDFFF
_EDGE: Final = range(_FIRST - 1, _LAST + 2)


def without_surrogates(ranges: Ranges) -> Ranges:
    kept = [(low, min(high, _FIRST - 1)) for low, high in ranges if low < _FIRST]
    return ranges_of(kept + [(max(low, _LAST + 1), high) for low, high in ranges if high > _LAST])


def meets_surrogates(ranges: Ranges) -> bool:
    """Whether a range begins or ends among them or next to them."""
    return any(low in _EDGE or high in _EDGE for low, high in ranges)


def of_characters(language: Regex) -> Regex:
    """The same texts; classes that meet surrogates are written by their members, whatever view they are read on."""
    match language:
        case Chars(literal, on_view) if meets_surrogates(literal) or meets_surrogates(complement(on_view)):
            return Chars(without_surrogates(ranges_of([*literal, *on_view])))
        case Concat(items):
            return Concat(tuple(map(of_characters, items)))
        case Alternation(items):
            return Alternation(tuple(map(of_characters, items)))
        case Repeat(item, least, most):
            return Repeat(of_characters(item), least, most)
        case _:
            return language


def is_void(language: Regex) -> bool:
    """Whether no text matches, as of a class that leaves no character."""
    match language:
        case Chars(literal, on_view):
            return not without_surrogates((*literal, *on_view))
        case Concat(items):
            return any(map(is_void, items))
        case Alternation(items):
            return all(map(is_void, items))
        case Repeat(item, least):
            return least > 0 and is_void(item)
        case _:
            return False
