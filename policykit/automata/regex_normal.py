"""Expressions of the IR in normal form, what can be said about them, and RE2 source for them."""

from collections.abc import Callable, Iterable
from typing import assert_never

from policykit.ir.regex import (
    Alternation,
    Assertion,
    Chars,
    Concat,
    Empty,
    Look,
    Ranges,
    Regex,
    Repeat,
    complement,
    ranges_of,
)


def concat(items: Iterable[Regex]) -> Regex:
    """The items in sequence: flat, without empty items."""
    flat: list[Regex] = []
    for item in items:
        if isinstance(item, Concat):
            flat += item.items
        elif not isinstance(item, Empty):
            flat.append(item)
    if not flat:
        return Empty()
    return flat[0] if len(flat) == 1 else Concat(tuple(flat))


def alternation(items: Iterable[Regex]) -> Regex:
    """Any of the items: flat, all single characters joined in one set, no item twice."""
    flat: list[Regex] = []
    for item in items:
        flat += item.items if isinstance(item, Alternation) else (item,)
    sets = [item for item in flat if isinstance(item, Chars)]
    joined = Chars(
        literal=ranges_of([pair for item in sets for pair in item.literal]),
        on_view=ranges_of([pair for item in sets for pair in item.on_view]),
    )
    unique = tuple(dict.fromkeys(joined if isinstance(item, Chars) else item for item in flat))
    return unique[0] if len(unique) == 1 else Alternation(unique)


def repeat(item: Regex, least: int, most: int | None) -> Regex:
    """``least`` to ``most`` copies of the item."""
    if isinstance(item, Empty) or most == 0:
        return Empty()
    return item if (least, most) == (1, 1) else Repeat(item, least, most)


def normal(regex: Regex) -> Regex:
    """The normal form: the same language, flat, single characters joined. Idempotent."""
    match regex:
        case Empty() | Chars() | Assertion():
            return regex
        case Concat(items):
            return concat(map(normal, items))
        case Alternation(items):
            return alternation(map(normal, items))
        case Repeat(item, least, most):
            return repeat(normal(item), least, most)
        case _:
            assert_never(regex)


def written_out(regex: Regex) -> int:
    """How many characters and assertions the expression has when counted repetitions are written out."""
    match regex:
        case Empty():
            return 0
        case Chars() | Assertion():
            return 1
        case Concat(items) | Alternation(items):
            return sum(map(written_out, items))
        case Repeat(item, least, most):
            return written_out(item) * (least + 1 if most is None else most)
        case _:
            assert_never(regex)


def _never_erased(_: Ranges) -> bool:
    return False


def matches_empty(regex: Regex, erased: Callable[[Ranges], bool] = _never_erased, looks: bool = True) -> bool:
    """Whether the empty string may match. An assertion counts as empty if ``looks``.

    ``erased`` says whether the view drops one of these literal characters, which then matches nothing at all.
    """
    match regex:
        case Empty():
            return True
        case Assertion():
            return looks
        case Chars(literal, _):
            return erased(literal)
        case Concat(items):
            return all(matches_empty(item, erased, looks) for item in items)
        case Alternation(items):
            return any(matches_empty(item, erased, looks) for item in items)
        case Repeat(item, least, _):
            return least == 0 or matches_empty(item, erased, looks)
        case _:
            assert_never(regex)


def matches_nothing(regex: Regex) -> bool:
    """Whether no text can match, for want of a character (contradicting assertions are not looked at)."""
    match regex:
        case Empty() | Assertion():
            return False
        case Chars(literal, on_view):
            return not literal and not on_view
        case Concat(items):
            return any(map(matches_nothing, items))
        case Alternation(items):
            return all(map(matches_nothing, items))
        case Repeat(item, least, _):
            return least > 0 and matches_nothing(item)
        case _:
            assert_never(regex)


_SPECIAL = frozenset("\\.+*?()|[]{}^$-")
_LOOKS = {
    Look.TEXT_START: r"\A",
    Look.TEXT_END: r"\z",
    Look.LINE_START: "(?m:^)",
    Look.LINE_END: "(?m:$)",
    Look.WORD_BOUNDARY: r"\b",
    Look.NOT_WORD_BOUNDARY: r"\B",
}


def unparse(regex: Regex) -> str:
    """RE2 source of the expression: parsing it gives the same expression in normal form.

    Sets are written as ranges of code points. `\\b` is RE2's own and so sees ASCII words only.
    """
    match regex:
        case Empty():
            return "(?:)"
        case Chars(literal, on_view):
            return _set(literal, on_view)
        case Concat(items):
            return "".join(_grouped(item) if isinstance(item, Alternation) else unparse(item) for item in items)
        case Alternation(items):
            return "|".join(map(unparse, items))
        case Repeat(item, least, most):
            inner = unparse(item) if isinstance(item, Chars) else _grouped(item)
            return inner + _counts(least, most)
        case Assertion(look):
            return _LOOKS[look]
        case _:
            assert_never(regex)


def _grouped(regex: Regex) -> str:
    return f"(?:{unparse(regex)})"


def _counts(least: int, most: int | None) -> str:
    match (least, most):
        case (0, None):
            return "*"
        case (1, None):
            return "+"
        case (0, 1):
            return "?"
        case (_, None):
            return f"{{{least},}}"
        case _:
            return f"{{{least}}}" if least == most else f"{{{least},{most}}}"


def _set(literal: Ranges, on_view: Ranges) -> str:
    # A negated class is how a set is written that is read on the view.
    rest = complement(on_view)
    view_part = f"[^{_members(rest)}]" if rest else "(?s:.)"
    if not literal:
        return view_part
    single = literal[0][0] == literal[0][1] and len(literal) == 1
    literal_part = _char(literal[0][0]) if single else f"[{_members(literal)}]"
    return f"(?:{literal_part}|{view_part})" if on_view else literal_part


def _members(ranges: Ranges) -> str:
    return "".join(_char(low) if low == high else f"{_char(low)}-{_char(high)}" for low, high in ranges)


def _char(code_point: int) -> str:
    if not 0x20 <= code_point < 0x7F:
        return f"\\x{{{code_point:X}}}"
    char = chr(code_point)
    return "\\" + char if char in _SPECIAL else char
