"""Phrases and expressions with one apostrophe, where a text may have the other: `can't` is not found as `can’t`.

No view but `skeleton` takes the two for one, and keyboards write the one while models and word processors write the
other, French most of all.
"""

import re
from collections.abc import Iterator, Sequence
from typing import assert_never

from policykit.diagnostics import Diagnostic, Place, Severity
from policykit.ir.chains import Chains, Link
from policykit.ir.document import AllOf, AnyOf, Document, Entities, Matcher, Not, Phrases, Regexes, Rule, Sources, Tally
from policykit.ir.opaque import Classifier, Language, Predicate
from policykit.ir.reading import Phrase, Reading, RegexSource

_BOTH = "'’"
_SWAPPED = str.maketrans(_BOTH, _BOTH[::-1])
_INSIDE = re.compile(rf"[^\W\d_][{_BOTH}](?=[^\W\d_])")
_SEES_BOTH = "skeleton"


def warn_of_apostrophes(document: Document) -> Iterator[Diagnostic]:
    """A warning for each list of phrases or expressions that finds one of the apostrophes only."""
    for rule in document.rules:
        yield from _of_rule(rule)


def _of_rule(rule: Rule) -> Iterator[Diagnostic]:
    parts = list(_parts(rule.matcher)) if rule.matcher else []
    named = {phrase.text.casefold() for phrases, _, _ in parts for phrase in phrases}
    for phrases, regexes, reading in parts:
        if _SEES_BOTH in reading.views:
            continue
        alone = [
            (phrase.text, phrase.place)
            for phrase in phrases
            if _has_one(phrase.text) and phrase.text.translate(_SWAPPED).casefold() not in named
        ]
        if alone:
            twin = alone[0][0].translate(_SWAPPED)
            yield _warning(alone, f"add `{twin}` and its like, or say `views: [compat, skeleton]` for longer phrases")
        bare = [(regex.source, regex.place) for regex in regexes if _has_one(regex.source)]
        if bare:
            yield _warning(bare, f"write `[{_BOTH}]` for it")


def _has_one(text: str) -> bool:
    """Whether an apostrophe stands between letters, and the other one nowhere."""
    return bool(_INSIDE.search(text)) and not all(one in text for one in _BOTH)


def _warning(alone: Sequence[tuple[str, Place]], help: str) -> Diagnostic:
    (text, place), *others = alone
    more = f" (and {len(others)} more beside it)" if others else ""
    other = next(one for one in _BOTH if one not in text)
    return Diagnostic("PK071", f"`{text}` is not found with `{other}`{more}", place, help, Severity.WARNING)


def _parts(matcher: Matcher) -> Iterator[tuple[tuple[Phrase, ...], tuple[RegexSource, ...], Reading]]:
    match matcher:
        case Phrases(phrases):
            yield phrases, (), matcher.reading
        case Regexes(regexes):
            yield (), regexes, matcher.reading
        case Chains(chains, reading):
            for part in (part for chain in chains for part in chain.parts):
                if isinstance(part, Link):
                    yield part.phrases, part.regexes, reading
        case AnyOf(items) | AllOf(items):
            for item in items:
                yield from _parts(item)
        case Not(item):
            yield from _parts(item)
        case Entities() | Tally() | Sources() | Predicate() | Classifier() | Language():
            return
        case _:
            assert_never(matcher)
