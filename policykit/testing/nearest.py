"""Why a rule did not fire: the nearest thing to a match that the text holds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from policykit.automata import separate
from policykit.entities import body_of
from policykit.ir.document import (
    AllOf,
    AnyOf,
    Chain,
    Chains,
    Entities,
    Link,
    Matcher,
    Measure,
    Not,
    Phrase,
    Phrases,
    Regexes,
    RegexSource,
    Sources,
    Tally,
    Uncited,
)
from policykit.ir.opaque import Classifier, Language, Predicate
from policykit.text import View, is_word, view
from policykit.verify import CompiledSearches, Searches, compile_check
from policykit.verify.matching import counted, leaf_names
from policykit.verify.units import Readings

_MAX_PHRASES = 2_000
_MAX_WORDS = 2_000
"""Bounds of the search: it explains a failure and decides nothing."""


@dataclass(frozen=True, slots=True, order=True)
class _Near:
    """How much of a phrase the text has: whole words, then characters of the next word."""

    n_words: int
    n_chars: int
    phrase: str
    found: str
    is_whole: bool


def why_missed(matcher: Matcher, readings: Readings, searches: Searches) -> str:
    """One line on what keeps ``matcher``, which does not fire on this text, from firing."""
    match matcher:
        case Phrases():
            return _why_phrases(matcher, readings, searches)
        case Regexes():
            return _why_regexes(matcher, readings, searches)
        case Chains():
            return _why_chains(matcher, readings, searches)
        case Predicate(name):
            return f"the predicate `{name}` finds nothing"
        case Classifier(model, _, label, threshold):
            return f"`{model}` gives `{label}` less than {threshold:g}"
        case Language():
            return f"the text is not found to be in {matcher.name}"
        case Entities():
            return _why_entities(matcher, readings, searches)
        case Tally():
            return _why_tally(matcher, readings, searches)
        case Sources():
            return f"whatever the text cites is listed by `{matcher.fact}`"
        case AnyOf(items):
            return "; ".join(why_missed(item, readings, searches) for item in items)
        case AllOf(items):
            missing = (item for item in items if not compile_check(item, searches, True)(readings).fired)
            return why_missed(next(missing), readings, searches)
        case Not(item):
            found = compile_check(item, searches, True)(readings).findings
            return f"found `{found[0].content}`, which it wants absent" if found else "what it wants absent is there"
        case _:
            assert_never(matcher)


def _why_phrases(leaf: Phrases, readings: Readings, searches: Searches) -> str:
    if _found_without_context(leaf, readings, searches):
        return f"a phrase is there, but not with its {_context_names(leaf)}"
    near = max((_nearest(leaf, readings, view(name)) for name in leaf.reading.views), default=None)
    if near is None or not (near.n_words or near.n_chars > 1):
        return f"nothing in the text begins like {_listed(leaf_names(leaf))}"
    if near.is_whole:
        return f"nearest is `{near.phrase}`: its words are there, but separated or bounded differently"
    return f"nearest is `{near.phrase}`, of which the text has `{near.found}`"


def _why_regexes(leaf: Regexes, readings: Readings, searches: Searches) -> str:
    if _found_without_context(leaf, readings, searches):
        return f"an expression matches, but not with its {_context_names(leaf)}"
    return f"nothing in the text matches {_listed(leaf_names(leaf))}"


def _why_chains(leaf: Chains, readings: Readings, searches: Searches) -> str:
    """What is not there at all; else how many are, or that they do not stand as they should."""

    def found(chain: Chain) -> bool:
        return bool(compile_check(replace(leaf, chains=(chain,)), searches, True)(readings).fired)

    chain = leaf.chains[0]
    links = [part for part in chain.parts if isinstance(part, Link)]
    if any(isinstance(part, Measure) for part in chain.parts):
        return f"the text does not have {chain.name}"
    if any(isinstance(part, Uncited) for part in chain.parts):
        return f"the text does not have {chain.name}"
    missing = [link for link in links if not found(replace(chain, parts=(link,)))]
    if missing:
        names = [item.text if isinstance(item, Phrase) else item.source for item in _items(missing[0])]
        return f"nothing in the text matches {_listed(names)}"
    if not leaf.counts:
        return f"all are there, but not {chain.name}"
    n = next(n for n in range(len(links) - 1, 0, -1) if found(replace(chain, parts=chain.parts[: 2 * n - 1])))
    return f"the text has {n}, not {chain.name}"


def _items(link: Link) -> tuple[Phrase | RegexSource, ...]:
    return (*link.phrases, *link.regexes)


def _why_tally(tally: Tally, readings: Readings, searches: Searches) -> str:
    """How many there are, or why there is none."""
    found = compile_check(tally.item, searches, True)(readings).findings
    if not found:
        return _why_entities(tally.item, readings, searches)
    different = "different " * tally.distinct
    wanted = f"at least {tally.at_least} {different}of {_listed(leaf_names(tally.item))}"
    return f"the text has {counted(found, tally.distinct)}, not {wanted}"


def _why_entities(leaf: Entities, readings: Readings, searches: Searches) -> str:
    """Whether words are missing, or the check digits do not hold, or there is nothing of the form."""
    bare = replace(leaf, entities=tuple(replace(entity, context=False) for entity in leaf.entities))
    found = compile_check(bare, searches, True)(readings).findings
    if found:
        return f"`{found[0].content}` is of type `{found[0].matched}`, but no word for it stands near"
    formed = _of_form(leaf, readings)
    if formed is not None:
        return f"`{formed[0]}` looks like `{formed[1]}`, but is not valid, or joined to what stands beside it"
    return f"nothing in the text has the form of {_listed(leaf_names(leaf))}"


def _of_form(leaf: Entities, readings: Readings) -> tuple[str, str] | None:
    """The first stretch that looks like an entity, and its type."""
    for entity in leaf.entities:
        source = RegexSource(entity.type, body_of(entity), entity.place)
        form = Regexes((source,), None, None, leaf.reading, leaf.place)
        found = compile_check(form, CompiledSearches(), True)(readings).findings
        if found:
            return found[0].content, entity.type
    return None


def _found_without_context(leaf: Phrases | Regexes, readings: Readings, searches: Searches) -> bool:
    if not leaf.before and not leaf.after:
        return False
    return bool(compile_check(replace(leaf, before=None, after=None), searches, True)(readings).fired)


def _context_names(leaf: Phrases | Regexes) -> str:
    contexts = (("before", leaf.before), ("after", leaf.after))
    return " and ".join(f"`{name}`" for name, context in contexts if context)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} or {len(names) - 3} more"


def _nearest(leaf: Phrases, readings: Readings, on: View) -> _Near:
    within = readings.resolve(leaf.reading.within)
    units = readings.seen(within, leaf.reading.join, on).units
    texts = [_words(unit.text, on)[:_MAX_WORDS] for unit in units]
    best = _Near(0, 0, "", "", False)
    for phrase in leaf.phrases[:_MAX_PHRASES]:
        words = _words(phrase.text, on)
        if words:
            best = max(best, *(_prefix(phrase.text, words, text) for text in texts), best)
    return best


def _words(text: str, on: View) -> list[str]:
    """Pieces between separators on the view, without the punctuation around them."""
    return [word for word in map(_bare, separate(on, text, exact=False).pieces) if word]


def _bare(piece: str) -> str:
    kept = [i for i, char in enumerate(piece) if is_word[ord(char)]]
    return piece[kept[0] : kept[-1] + 1] if kept else ""


def _prefix(phrase: str, words: Sequence[str], text: Sequence[str]) -> _Near:
    """The longest prefix of ``words`` that stands in ``text``."""
    best = _Near(0, 0, phrase, "", False)
    for at in range(len(text)):
        n = 0
        while n < len(words) and at + n < len(text) and words[n] == text[at + n]:
            n += 1
        if n == len(words):
            return _Near(n, 0, phrase, " ".join(words), True)
        chars = _common(words[n], text[at + n]) if at + n < len(text) else 0
        if (n, chars) > (best.n_words, best.n_chars):
            found = [*words[:n], words[n][:chars]] if chars else words[:n]
            best = _Near(n, chars, phrase, " ".join(found), False)
    return best


def _common(a: str, b: str) -> int:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n
