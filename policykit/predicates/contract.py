"""What a predicate is: a function of a text, by contract and with a version."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Spans: TypeAlias = tuple[tuple[int, int], ...]
Find: TypeAlias = Callable[[str, Mapping[str, Any], Mapping[str, str]], bool | Iterable[tuple[int, int]]]
"""From the text, the rule's ``args`` (JSON values) and the plan's context (profile, tenant, locale, jurisdiction, as
far as they are given) to what was found."""


class PredicateError(Exception):
    """A predicate gave no answer: it failed, took too long, or answered something else. It is never read as either."""


@dataclass(frozen=True, slots=True)
class TextPredicate:
    """A function that finds something in a text: True or False about the text as a whole; or, with ``finds_spans``, the
    stretches that it found, as code point offsets ``(start, end)`` with ``start < end``.

    It depends on nothing but its arguments, and ``version`` changes with what it finds.

    >>> shouting = TextPredicate(lambda text, args, context: text.isupper(), "1.0.0")
    >>> checked(shouting.find("HELP", {}, {}), 4, shouting.finds_spans)
    True
    """

    find: Find
    version: str
    finds_spans: bool = False


def checked(found: object, n_chars: int, finds_spans: bool) -> bool | Spans:
    """What a predicate answered about a text of ``n_chars`` characters. Raises PredicateError for what is no answer."""
    if not finds_spans:
        if isinstance(found, bool):
            return found
        raise PredicateError(f"it answered {type(found).__name__}, not true or false")
    if isinstance(found, bool | str | bytes) or not isinstance(found, Iterable):
        raise PredicateError(f"it answered {type(found).__name__}, not spans")
    spans = sorted({_span(item, n_chars) for item in found})  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return tuple(spans)


def _span(item: object, n_chars: int) -> tuple[int, int]:
    match item:
        case (int(start), int(end)) if not isinstance(start, bool) and not isinstance(end, bool):
            if 0 <= start < end <= n_chars:
                return start, end
        case _:
            pass
    raise PredicateError(f"it answered a span that is none: {item!r:.80}")
